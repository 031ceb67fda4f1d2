"""Broadcast domains: where a frame for all gets to, worked out from what the ports carry."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from labkit.errors import LabError
from labkit.messages import _
from labkit.net.topology import Port, Topology

Place = tuple[str, int]  # a switch, and a VLAN in it


def crossings(here: Port, there: Port, vlans: Sequence[int]) -> Iterator[tuple[int, int]]:
    """How frames cross a link: in which of the VLANs they leave, and in which they arrive.

    The two differ where the ports do not agree on the native VLAN.
    """
    for vlan in vlans:
        if here.carries(vlan):
            arrives = there.inside(vlan if here.tags(vlan) else 0)
            if arrives:
                yield vlan, arrives


class Domains:
    """The broadcast domains of a topology."""

    def __init__(self, topology: Topology) -> None:
        self._next: dict[Place, list[Place]] = {}
        self._flooded: dict[Place, set[Place]] = {}
        used = topology.used()
        for link in topology.links():
            for start, end in (link, link[::-1]):
                for leaves, arrives in crossings(topology.port(start), topology.port(end), used):
                    ways = self._next.setdefault((start.device, leaves), [])
                    ways.append((end.device, arrives))

    def heard(self, place: Place) -> set[Place]:
        """All places that a broadcast from there gets to, itself included."""
        if place not in self._flooded:
            reached = {place}
            waiting = deque([place])
            while waiting:
                for following in self._next.get(waiting.popleft(), ()):
                    if following not in reached:
                        reached.add(following)
                        waiting.append(following)
            self._flooded[place] = reached
        return self._flooded[place]


class _Trees:
    """Places joined one by one, each set of them a tree (a disjoint-set forest)."""

    def __init__(self) -> None:
        self._above: dict[Place, Place] = {}

    def _top(self, place: Place) -> Place:
        above = self._above
        while place in above:
            above[place] = above.get(above[place], above[place])  # half the way for who asks next
            place = above[place]
        return place

    def join(self, one: Place, other: Place) -> bool:
        """Join two places; False if they were together already."""
        first, second = self._top(one), self._top(other)
        if first == second:
            return False
        self._above[first] = second
        return True


def without_rings(topology: Topology) -> Topology:
    """The topology itself, if no VLAN runs in a ring. Raises :class:`LabError` if one does."""
    used = topology.used()
    trees = _Trees()
    for one, other in topology.links():
        here, there = topology.port(one), topology.port(other)
        joined = set(crossings(here, there, used))
        joined.update((vlan, leaves) for leaves, vlan in crossings(there, here, used))
        for vlan, far in sorted(joined):
            if not trees.join((one.device, vlan), (other.device, far)):
                why = _(
                    "VLAN {vlan} runs in a ring that {one}–{other} closes: without spanning "
                    "tree a broadcast would circle in it for ever. Take that link or its VLAN "
                    "out.",
                    vlan=vlan,
                    one=one,
                    other=other,
                )
                raise LabError(why)
    return topology
