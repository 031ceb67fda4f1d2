"""Who reaches whom: a matrix of groups of hosts, and the reason of each "no".

Hosts with the same place, network and gateway that lie in the same networks of all others are one
group, so the answer grows with groups, not with pairs of hosts. Reasons are worked out cable by
cable, from the topology alone.
"""

from __future__ import annotations

from collections import deque
from functools import cached_property
from ipaddress import IPv4Network
from typing import Any

from labkit.messages import _
from labkit.net.topology import Cable, Host, Place, Plug, Router, Topology, crossings

MOST_GROUPS = 16  # in a matrix that one can read
MOST_REASONS = 240  # told in text: all of sixteen groups
End = tuple[Plug, int]  # where frames of a device come and go: a switch's port, and their tag or 0


class Reasons:
    """Answers for one topology; each is one line, "" where there is nothing to object."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self._heard: dict[Place, set[Place]] = {}
        self._next: dict[Place, list[Place]] = {}  # where a frame in a place gets to over a cable
        used = topology.used()
        for link in topology.links():
            for start, end in (link, link[::-1]):
                for leaves, arrives in crossings(topology.port(start), topology.port(end), used):
                    ways = self._next.setdefault((start.device, leaves), [])
                    ways.append((end.device, arrives))

    def heard(self, place: Place) -> set[Place]:
        """All places that a broadcast from there gets to, itself included."""
        if place not in self._heard:
            reached = {place}
            waiting = [place]
            while waiting:
                following = set(self._next.get(waiting.pop(), ())) - reached
                reached |= following
                waiting += following
            self._heard[place] = reached
        return self._heard[place]

    def why_not(self, one: Host, other: Host) -> str:
        """Why an echo request from one host to another gets no reply."""
        if why := self._way(one, other):
            return why
        why = self._answer(one, other) or self._way(other, one) or self._answer(other, one)
        return _("the way back is missing: {why}", why=why) if why else ""

    def _answer(self, one: Host, other: Host) -> str:
        """Why a host in the same network cannot answer to ARP, whatever way its packets take."""
        if other.address.ip not in one.address.network:
            return ""
        return self._cable((other.plug, 0), (one.plug, 0))

    def _way(self, one: Host, other: Host) -> str:
        """Why a packet does not get from one to the other."""
        target, network = other.address.ip, one.address.network
        if target in network:
            return self._cable((one.plug, 0), (other.plug, 0))
        values = {"host": one.name, "network": network, "target": target, "gateway": one.via}
        if not one.via:
            return _(
                "{target} is outside {network}, the network of {host}, which knows no gateway",
                **values,
            )
        if one.via not in network:
            return _(
                "the gateway {gateway} of {host} is not in its own network {network}", **values
            )
        for router in self.topology.routers.values():
            for vlan, address in router.addresses.items():
                if address.ip == one.via:
                    return self._routed(one, router, vlan, other)
        return _("nobody has the address {gateway}, the gateway of {host}", **values)

    def _routed(self, one: Host, router: Router, vlan: int, other: Host) -> str:
        """Why a packet does not get to the other by a router, to which the first gives it."""
        values: dict[str, object] = {"host": one.name, "router": router.name}
        if why := self._both_ways((one.plug, 0), (router.plug, vlan)):
            return _("{host} does not get to its gateway {router}: {why}", why=why, **values)
        target = other.address.ip
        hop = router.next_hop(target)
        if not hop:
            return _("{router} has no address in a network of {target}", target=target, **values)
        if (vlan, hop.vlan) in router.denied:
            values |= {"start": self._vlan(vlan), "target": self._vlan(hop.vlan)}
            return _("{router} passes nothing on from {start} to {target}", **values)
        why = self._both_ways((router.plug, hop.vlan), (other.plug, 0))
        values["host"] = other.name
        return _("{router} does not get to {host}: {why}", why=why, **values) if why else ""

    def _both_ways(self, one: End, other: End) -> str:
        return self._cable(one, other) or self._cable(other, one)

    def _cable(self, start: End, target: End) -> str:
        """Why a frame does not get from one end to the other."""
        plug, tag = start
        port = self.topology.port(plug)
        inside = port.inside(tag)
        if not inside:
            if tag:
                return _("port {plug} ({does}) lets no tag {tag} in", plug=plug, does=port, tag=tag)
            return _("port {plug} ({does}) lets no frame without a tag in", plug=plug, does=port)
        plug, tag = target
        port = self.topology.port(plug)
        vlan = tag or port.vlan
        if not vlan or port.outside(vlan) != tag:
            if tag:
                return _(
                    "port {plug} ({does}) gives no tag {tag} out", plug=plug, does=port, tag=tag
                )
            return _("port {plug} ({does}) gives nothing without a tag out", plug=plug, does=port)
        heard = self.heard((start[0].device, inside))
        if (plug.device, vlan) in heard:
            return ""
        if any(place[1] == vlan for place in heard):
            return self._stops(start[0].device, plug.device, vlan)
        return _(
            "port {start} is in {first}, port {target} in {second}, and switches pass nothing "
            "from one VLAN to another: that takes a router",
            start=start[0],
            first=self._vlan(inside),
            target=plug,
            second=self._vlan(vlan),
        )

    def _stops(self, start: str, target: str, vlan: int) -> str:
        """Where on the shortest way between switches a VLAN stops."""
        values: dict[str, object] = {"vlan": self._vlan(vlan), "start": start, "target": target}
        cables: dict[str, list[Cable]] = {}  # from each switch to others
        for one, other in self.topology.links():
            cables.setdefault(one.device, []).append((one, other))
            cables.setdefault(other.device, []).append((other, one))
        came: dict[str, Cable | None] = {start: None}  # by which cable a switch is first got to
        waiting = deque([start])
        while waiting:
            for near, far in cables.get(waiting.popleft(), ()):
                if far.device not in came:
                    came[far.device] = (near, far)
                    waiting.append(far.device)
        if target not in came:
            return _("no cable leads from {start} to {target}", **values)
        path = list[Plug]()  # backwards
        while cable := came[target]:
            path += reversed(cable)
            target = cable[0].device
        for plug in reversed(path):
            port = self.topology.port(plug)
            if port.outside(vlan) is None:
                return _("{vlan} stops at {plug}, which is {does}", plug=plug, does=port, **values)
        return _("{vlan} does not get from {start} to {target}", **values)

    def _vlan(self, vlan: int) -> str:
        if name := self.topology.vlan_names.get(vlan):
            return _("VLAN {vlan} ({name})", vlan=vlan, name=name)
        return _("VLAN {vlan}", vlan=vlan)


class Reach:
    """Answers for one topology.

    ``groups``: hosts that are alike, by name, in the order of the topology.
    """

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self._reasons = Reasons(topology)
        self._networks = {
            address.network
            for station in topology.stations
            for address in station.addresses.values()
        }
        self._lengths = sorted({network.prefixlen for network in self._networks}, reverse=True)
        groups: dict[object, list[str]] = {}
        for host in topology.hosts.values():
            groups.setdefault(self._likeness(host), []).append(host.name)
        self.groups = list(groups.values())

    def _likeness(self, host: Host) -> object:
        """What all hosts of a group have in common.

        A place stands for all that hear it and that it hears; the narrowest network of anybody's
        that holds an address for all wider ones that hold it too.
        """
        heard = self._reasons.heard
        vlan = self.topology.port(host.plug).inside(0)
        place = (host.plug.device, vlan) if vlan else None
        mutual = place and min(other for other in heard(place) if place in heard(other))
        address = host.address.ip
        holding = (IPv4Network((address, length), strict=False) for length in self._lengths)
        narrowest = next(network for network in holding if network in self._networks)
        return mutual, host.address.network, host.via, narrowest

    def why_not(self, start: str, target: str) -> str:
        """Why an echo request from one host to another gets no reply; "" if it does.

        Raises :class:`LabError` if there is no such host.
        """
        one, other = self.topology.host(start), self.topology.host(target)
        return "" if start == target else self._reasons.why_not(one, other)

    @cached_property
    def pairs(self) -> dict[tuple[int, int], str]:
        """Why the hosts of one group do not reach those of another, "" if they do, by number.

        Also of a group of several and itself.
        """
        return {
            (start, target): self.why_not(one[0], other[-1])
            for start, one in enumerate(self.groups)
            for target, other in enumerate(self.groups)
            if start != target or len(one) > 1
        }

    def to_json(self) -> dict[str, Any]:
        """``groups``, and for each pair of them, by number, whether and why not."""
        return {
            "groups": self.groups,
            "reach": [
                {"from": start, "to": target, "reaches": not why, "why": why}
                for (start, target), why in self.pairs.items()
            ],
        }

    def __str__(self) -> str:
        """A matrix, unless there are very many groups; then each "no" with its reason."""
        lines = self._matrix() if 0 < len(self.groups) <= MOST_GROUPS else []
        reasons = [
            f"{self.groups[start][0]} → {self.groups[target][-1]}: {why}"
            for (start, target), why in self.pairs.items()
            if why
        ]
        lines += reasons[:MOST_REASONS]
        if len(reasons) > MOST_REASONS:
            lines.append(_("… and {number} more", number=len(reasons) - MOST_REASONS))
        return "\n".join(lines) or _("(no hosts)")

    def _matrix(self) -> list[str]:
        names = list[str]()
        for first, *others in self.groups:
            names.append(f"{first} +{len(others)}" if others else first)
        signs = {pair: _("no") if why else _("yes") for pair, why in self.pairs.items()}
        wide = max(map(len, names))
        lines = [f"{'':<{wide}}  {'  '.join(names)}"]
        for start, name in enumerate(names):
            cells = [
                f"{signs.get((start, target), '·'):<{len(head)}}"
                for target, head in enumerate(names)
            ]
            lines.append(f"{name:<{wide}}  {'  '.join(cells)}".rstrip())
        return lines
