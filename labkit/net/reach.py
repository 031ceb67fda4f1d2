"""Who reaches whom, and why not: worked out from the topology alone, without a frame.

Hosts with the same place, network and gateway that lie in the same networks of all others are one group, so the answer
grows with groups, not with pairs of hosts.
"""

from __future__ import annotations

from collections import deque
from functools import cached_property
from typing import Any

from labkit.net.switching import route
from labkit.net.topology import Host, Plug, Router, Topology

_BACK = "the way back is missing: "
MOST = 240  # reasons told in text: all of sixteen groups
Place = tuple[str, int]  # a VLAN in a switch


class Reach:
    """Answers for one topology. ``groups``: hosts that are alike, by name, in the order of the topology."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self._ways: dict[Place, list[Place]] = {}
        for one, other in topology.links():
            for a, b in ((one, other), (other, one)):
                here, there = topology.port(a), topology.port(b)
                for vlan in topology.used():
                    if here.carries(vlan) and (
                        then := there.inside(vlan if here.tags(vlan) else None)
                    ):
                        self._ways.setdefault((a.device, vlan), []).append((b.device, then))
        self._flooded: dict[Place, set[Place]] = {}
        networks = {host.address.network for host in topology.hosts.values()}
        networks |= {
            way.network for router in topology.routers.values() for way in router.addresses.values()
        }
        self._narrow = {(int(network.network_address), network.prefixlen) for network in networks}
        self._lengths = sorted({length for _, length in self._narrow}, reverse=True)
        groups: dict[object, list[str]] = {}
        for host in topology.hosts.values():
            where = self._place(host.plug)
            alike = where and min(
                place for place in self._from(where) if where in self._from(place)
            )
            key = alike, host.address.network, host.via, self._narrowest(int(host.address))
            groups.setdefault(key, []).append(host.name)
        self.groups = list(groups.values())

    def _narrowest(self, address: int) -> tuple[int, int]:
        """The narrowest network of anybody's that holds an address: whoever holds one of two holds the other."""
        return next(
            found
            for length in self._lengths
            if (found := (address >> 32 - length << 32 - length, length)) in self._narrow
        )

    def _place(self, plug: Plug, tag: int | None = None) -> Place | None:
        vlan = self.topology.port(plug).inside(tag)
        return (plug.device, vlan) if vlan else None

    def _from(self, place: Place) -> set[Place]:
        """All places that a broadcast from there gets to."""
        found = self._flooded.get(place)
        if found is None:
            found, todo = {place}, deque([place])
            while todo:
                for there in self._ways.get(todo.popleft(), ()):
                    if there not in found:
                        found.add(there)
                        todo.append(there)
            self._flooded[place] = found
        return found

    def why_not(self, start: str, target: str) -> str:
        """Why an echo from one host to another gets no reply; "" if it does. Raises :class:`LabError`."""
        one, other = self.topology.host(start), self.topology.host(target)
        if start == target:
            return ""
        there = self._way(one, other)
        back = "" if there else self._way(other, one)
        return there or (back and _BACK + back.removeprefix(_BACK))

    def _way(self, one: Host, other: Host) -> str:
        """Why a packet does not get from one to the other, "" if it does."""
        here = one.address.network
        if other.address.ip in here:
            back = self._hop(
                other.plug, None, one.plug, None
            )  # of the answer to ARP, whatever way the echo's takes
            return self._hop(one.plug, None, other.plug, None) or (back and _BACK + back)
        if not one.via:
            return f"{other.address.ip} is outside {here}, the network of {one.name}, which knows no gateway"
        if one.via not in here:
            return f"the gateway {one.via} of {one.name} is not in its own network {here}"
        for router in self.topology.routers.values():
            for vlan, address in router.addresses.items():
                if address.ip == one.via:
                    return self._routed(one, router, vlan, other)
        return f"nobody has the address {one.via}, the gateway of {one.name}"

    def _routed(self, one: Host, router: Router, vlan: int, other: Host) -> str:
        if no := self._hop(one.plug, None, router.plug, vlan) or self._hop(
            router.plug, vlan, one.plug, None
        ):
            return f"{one.name} does not get to its gateway {router.name}: {no}"
        out = route(router, int(other.address.ip))
        if out is None:
            return f"{router.name} has no address in a network of {other.address.ip}"
        if (vlan, out) in router.denied:
            return f"{router.name} passes nothing on from {self._vlan(vlan)} to {self._vlan(out)}"
        if no := self._hop(router.plug, out, other.plug, None) or self._hop(
            other.plug, None, router.plug, out
        ):
            return f"{router.name} does not get to {other.name}: {no}"
        return ""

    def _hop(self, start: Plug, tag: int | None, end: Plug, wanted: int | None) -> str:
        """Why a frame with a tag does not get from one plug to the other with the ``wanted`` tag, "" if it does."""
        made, inside = self.topology, self._place(start, tag)
        port, last = made.port(start), made.port(end)
        if not inside:
            return (
                f"port {start} ({port}) lets no {f'tag {tag}' if tag else 'frame without a tag'} in"
            )
        vlan = last.vlan if wanted is None else wanted
        if not vlan or not last.carries(vlan) or last.tags(vlan) != bool(wanted):
            return f"port {end} ({last}) gives {f'no tag {wanted}' if wanted else 'nothing without a tag'} out"
        if (end.device, vlan) in self._from(inside):
            return ""
        if inside[1] != vlan and not any(place[1] == vlan for place in self._from(inside)):
            return (
                f"port {start} is in {self._vlan(inside[1])}, port {end} in {self._vlan(vlan)}, and switches pass "
                "nothing from one VLAN to another: that takes a router"
            )
        return self._cut(inside, end.device, vlan)

    def _cut(self, inside: Place, device: str, vlan: int) -> str:
        """Where on the way to a switch a VLAN stops."""
        cables: dict[str, list[tuple[Plug, Plug]]] = {}
        for one, other in self.topology.links():
            cables.setdefault(one.device, []).append((one, other))
            cables.setdefault(other.device, []).append((other, one))
        came: dict[str, tuple[Plug, Plug] | None] = {inside[0]: None}
        todo = deque([inside[0]])
        while todo:
            for a, b in cables.get(todo.popleft(), ()):
                if b.device not in came:
                    came[b.device] = (a, b)
                    todo.append(b.device)
        if device not in came:
            return f"no cable leads from {inside[0]} to {device}"
        path, at = list[tuple[Plug, Plug]](), device
        while step := came[at]:
            path.append(step)
            at = step[0].device
        for a, b in reversed(path):
            if not self.topology.port(a).carries(vlan):
                return f"{self._vlan(vlan)} stops at {a}, which is {self.topology.port(a)}"
            if not self.topology.port(b).carries(vlan):
                return f"{self._vlan(vlan)} stops at {b}, which is {self.topology.port(b)}"
        return f"{self._vlan(vlan)} does not get from {inside[0]} to {device}"

    def _vlan(self, vlan: int) -> str:
        name = self.topology.vlan_names.get(vlan)
        return f"VLAN {vlan} ({name})" if name else f"VLAN {vlan}"

    @cached_property
    def pairs(self) -> list[tuple[int, int, str]]:
        """For each pair of groups (also a group of several with itself): why not, "" if they reach each other."""
        return [
            (a, b, self.why_not(one[0], other[-1]))
            for a, one in enumerate(self.groups)
            for b, other in enumerate(self.groups)
            if a != b or len(one) > 1
        ]

    def to_json(self) -> dict[str, Any]:
        """``groups`` of hosts that are alike, and for each pair of them, by number, whether and why not."""
        return {
            "groups": self.groups,
            "reach": [
                {"from": a, "to": b, "reaches": not why, "why": why} for a, b, why in self.pairs
            ],
        }

    def __str__(self) -> str:
        """A matrix for up to sixteen groups, then each "no" with its reason."""
        names = [
            group[0] + (f" +{len(group) - 1}" if len(group) > 1 else "") for group in self.groups
        ]
        found = {(a, b): why for a, b, why in self.pairs}
        lines = list[str]()
        if 0 < len(names) <= 16:
            wide = max(map(len, names))
            lines.append(" " * wide + "  " + "  ".join(names))
            for a, name in enumerate(names):
                marks = [
                    "·" if (a, b) not in found else "no" if found[a, b] else "yes"
                    for b in range(len(names))
                ]
                lines.append(
                    f"{name:<{wide}}  "
                    + "  ".join(
                        f"{mark:<{len(n)}}" for mark, n in zip(marks, names, strict=True)
                    ).rstrip()
                )
        reasons = [
            f"{self.groups[a][0]} → {self.groups[b][-1]}: {why}"
            for (a, b), why in found.items()
            if why
        ]
        lines += reasons[:MOST] + [f"… and {len(reasons) - MOST} more"] * (len(reasons) > MOST)
        return "\n".join(lines) or "(no hosts)"

    __repr__ = __str__
