"""Why a packet does not get from one host to another: cable by cable, from the topology alone."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from labkit.messages import _
from labkit.net.domains import Domains, Place
from labkit.net.topology import Host, Plug, Router, Topology


class End(NamedTuple):
    """Where frames of a device come and go: a switch's port, and their tag (0: none)."""

    plug: Plug
    tag: int = 0


class Reasons:
    """Answers for one topology; each is one line, "" where there is nothing to object."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.domains = Domains(topology)

    def why_not(self, one: Host, other: Host) -> str:
        """Why an echo request from one host to another gets no reply."""
        there = self._way(one, other)
        if there:
            return there
        back = self._answer(one, other) or self._way(other, one) or self._answer(other, one)
        return _("the way back is missing: {why}", why=back) if back else ""

    def place(self, end: End) -> Place | None:
        """Where frames that enter there are, None if they may not."""
        vlan = self.topology.port(end.plug).inside(end.tag)
        return (end.plug.device, vlan) if vlan else None

    # -- packets --------------------------------------------------------------------------------

    def _answer(self, one: Host, other: Host) -> str:
        """Why a host in the same network cannot answer to ARP, whatever way its packets take."""
        if other.address.ip not in one.address.network:
            return ""
        return self._cable(End(other.plug), End(one.plug))

    def _way(self, one: Host, other: Host) -> str:
        """Why a packet does not get from one to the other."""
        target, network = other.address.ip, one.address.network
        if target in network:
            return self._cable(End(one.plug), End(other.plug))
        told = {"host": one.name, "network": network, "target": target, "gateway": one.via}
        if not one.via:
            return _(
                "{target} is outside {network}, the network of {host}, which knows no gateway",
                **told,
            )
        if one.via not in network:
            return _("the gateway {gateway} of {host} is not in its own network {network}", **told)
        for router in self.topology.routers.values():
            for vlan, address in router.addresses.items():
                if address.ip == one.via:
                    return self._routed(one, router, vlan, other)
        return _("nobody has the address {gateway}, the gateway of {host}", **told)

    def _routed(self, one: Host, router: Router, vlan: int, other: Host) -> str:
        """Why a packet does not get to the other by a router, to which the first gives it."""
        told: dict[str, object] = {"host": one.name, "router": router.name}
        why = self._both_ways(End(one.plug), End(router.plug, vlan))
        if why:
            return _("{host} does not get to its gateway {router}: {why}", why=why, **told)
        target = other.address.ip
        hop = router.next_hop(target)
        if not hop:
            return _("{router} has no address in a network of {target}", target=target, **told)
        if (vlan, hop.vlan) in router.denied:
            told |= {"start": self._vlan(vlan), "target": self._vlan(hop.vlan)}
            return _("{router} passes nothing on from {start} to {target}", **told)
        why = self._both_ways(End(router.plug, hop.vlan), End(other.plug))
        told["host"] = other.name
        return _("{router} does not get to {host}: {why}", why=why, **told) if why else ""

    # -- frames ---------------------------------------------------------------------------------

    def _both_ways(self, one: End, other: End) -> str:
        return self._cable(one, other) or self._cable(other, one)

    def _cable(self, start: End, target: End) -> str:
        """Why a frame does not get from one end to the other."""
        inside = self.place(start)
        first, last = self.topology.port(start.plug), self.topology.port(target.plug)
        if not inside:
            told = {"plug": start.plug, "does": first, "tag": start.tag}
            if start.tag:
                return _("port {plug} ({does}) lets no tag {tag} in", **told)
            return _("port {plug} ({does}) lets no frame without a tag in", **told)
        vlan = target.tag or last.vlan
        if not vlan or not last.carries(vlan) or last.tags(vlan) != bool(target.tag):
            told = {"plug": target.plug, "does": last, "tag": target.tag}
            if target.tag:
                return _("port {plug} ({does}) gives no tag {tag} out", **told)
            return _("port {plug} ({does}) gives nothing without a tag out", **told)
        heard = self.domains.heard(inside)
        if (target.plug.device, vlan) in heard:
            return ""
        if any(place[1] == vlan for place in heard):
            return self._stops(inside, target.plug.device, vlan)
        return _(
            "port {start} is in {first}, port {target} in {second}, and switches pass nothing "
            "from one VLAN to another: that takes a router",
            start=start.plug,
            first=self._vlan(inside[1]),
            target=target.plug,
            second=self._vlan(vlan),
        )

    def _stops(self, start: Place, device: str, vlan: int) -> str:
        """Where on the way from a place to a switch a VLAN stops."""
        told: dict[str, object] = {"vlan": self._vlan(vlan), "start": start[0], "target": device}
        path = self._path(start[0], device)
        if path is None:
            return _("no cable leads from {start} to {target}", **told)
        for plug in path:
            port = self.topology.port(plug)
            if not port.carries(vlan):
                return _("{vlan} stops at {plug}, which is {does}", plug=plug, does=port, **told)
        return _("{vlan} does not get from {start} to {target}", **told)

    def _path(self, start: str, target: str) -> list[Plug] | None:
        """Both plugs of each cable on the shortest way between switches; None if there is none."""
        cables: dict[str, list[Plug]] = {}  # from each switch to others
        for one, other in self.topology.links():
            cables.setdefault(one.device, []).append(one)
            cables.setdefault(other.device, []).append(other)
        came: dict[str, Plug | None] = {start: None}  # from where a switch was first got to
        waiting = deque([start])
        while waiting:
            for near in cables.get(waiting.popleft(), ()):
                far = self.topology.cables[near]
                if far.device not in came:
                    came[far.device] = near
                    waiting.append(far.device)
        if target not in came:
            return None
        path = list[Plug]()
        while last := came[target]:
            path = [last, self.topology.cables[last], *path]
            target = last.device
        return path

    def _vlan(self, vlan: int) -> str:
        name = self.topology.vlan_names.get(vlan)
        if name:
            return _("VLAN {vlan} ({name})", vlan=vlan, name=name)
        return _("VLAN {vlan}", vlan=vlan)
