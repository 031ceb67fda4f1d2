"""Who reaches whom: a matrix of groups of hosts, and the reason of each "no".

Hosts with the same place, network and gateway that lie in the same networks of all others are one
group, so the answer grows with groups, not with pairs of hosts.
"""

from __future__ import annotations

from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from typing import Any, NamedTuple

from labkit.messages import _
from labkit.net.reasons import End, Reasons
from labkit.net.topology import Host, Topology

MOST_GROUPS = 16  # in a matrix that one can read
MOST_REASONS = 240  # told in text: all of sixteen groups


class GroupPair(NamedTuple):
    """``why`` the hosts of one group do not reach those of another, "" if they do.

    The groups are told by their numbers.
    """

    start: int
    target: int
    why: str


class Reach:
    """Answers for one topology.

    ``groups``: hosts that are alike, by name, in the order of the topology.
    """

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self._reasons = Reasons(topology)
        self._networks = _networks(topology)
        self._lengths = sorted({network.prefixlen for network in self._networks}, reverse=True)
        groups: dict[object, list[str]] = {}
        for host in topology.hosts.values():
            groups.setdefault(self._likeness(host), []).append(host.name)
        self.groups = list(groups.values())

    def _likeness(self, host: Host) -> object:
        """What all hosts of a group have in common.

        A place stands for all that hear it and that it hears; a network that holds an address for
        all wider ones that hold it too.
        """
        heard = self._reasons.domains.heard
        place = self._reasons.place(End(host.plug))
        mutual = place and min(other for other in heard(place) if place in heard(other))
        return mutual, host.address.network, host.via, self._narrowest(host.address.ip)

    def _narrowest(self, address: IPv4Address) -> IPv4Network:
        """The narrowest network of anybody's that holds a host's address."""
        candidates = (IPv4Network((address, length), strict=False) for length in self._lengths)
        return next(network for network in candidates if network in self._networks)

    def why_not(self, start: str, target: str) -> str:
        """Why an echo request from one host to another gets no reply; "" if it does.

        Raises :class:`LabError` if there is no such host.
        """
        one, other = self.topology.host(start), self.topology.host(target)
        return "" if start == target else self._reasons.why_not(one, other)

    @cached_property
    def pairs(self) -> list[GroupPair]:
        """An answer for each pair of groups, also for a group of several with itself."""
        return [
            GroupPair(start, target, self.why_not(one[0], other[-1]))
            for start, one in enumerate(self.groups)
            for target, other in enumerate(self.groups)
            if start != target or len(one) > 1
        ]

    def to_json(self) -> dict[str, Any]:
        """``groups``, and for each pair of them, by number, whether and why not."""
        return {
            "groups": self.groups,
            "reach": [
                {"from": start, "to": target, "reaches": not why, "why": why}
                for start, target, why in self.pairs
            ],
        }

    def __str__(self) -> str:
        """A matrix, unless there are very many groups; then each "no" with its reason."""
        lines = self._matrix() if 0 < len(self.groups) <= MOST_GROUPS else []
        reasons = [
            f"{self.groups[pair.start][0]} → {self.groups[pair.target][-1]}: {pair.why}"
            for pair in self.pairs
            if pair.why
        ]
        lines += reasons[:MOST_REASONS]
        if len(reasons) > MOST_REASONS:
            lines.append(_("… and {number} more", number=len(reasons) - MOST_REASONS))
        return "\n".join(lines) or _("(no hosts)")

    __repr__ = __str__

    def _matrix(self) -> list[str]:
        names = list[str]()
        for first, *others in self.groups:
            names.append(f"{first} +{len(others)}" if others else first)
        answers = {
            (pair.start, pair.target): _("no") if pair.why else _("yes") for pair in self.pairs
        }
        wide = max(map(len, names))
        lines = [f"{'':<{wide}}  {'  '.join(names)}"]
        for start, name in enumerate(names):
            cells = [
                f"{answers.get((start, target), '·'):<{len(head)}}"
                for target, head in enumerate(names)
            ]
            lines.append(f"{name:<{wide}}  {'  '.join(cells)}".rstrip())
        return lines


def _networks(topology: Topology) -> set[IPv4Network]:
    networks = {host.address.network for host in topology.hosts.values()}
    for router in topology.routers.values():
        networks.update(address.network for address in router.addresses.values())
    return networks
