"""A topology: what is plugged into which ports of switches, and what VLANs a port carries.

:mod:`labkit.net.statements` reads one from text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface
from typing import NamedTuple

from labkit.errors import LabError
from labkit.messages import N_, _


class Plug(NamedTuple):
    """One end of a cable: a switch's port, or port 0 of a host or router."""

    device: str
    port: int = 0

    def __str__(self) -> str:
        return f"{self.device}.{self.port}" if self.port else self.device


Cable = tuple[Plug, Plug]  # its ends
Place = tuple[str, int]  # a switch, and a VLAN in it
_NO_HOST = N_("There is no host {name!r:.40}; there are: {known}.")
_RING = N_(
    "VLAN {vlan} runs in a ring that {one}–{other} closes: without spanning tree a broadcast "
    "would circle in it for ever. Take that link or its VLAN out."
)


class Port(NamedTuple):
    """The VLAN of frames without a tag (None: none), and the VLANs ``allowed`` with one.

    A port that nobody has set is an access port of VLAN 1, as on a switch out of its box (IEEE
    802.1Q-2022, table 9-2).
    """

    vlan: int | None = 1
    allowed: frozenset[int] = frozenset()

    @property
    def trunk(self) -> bool:
        return bool(self.allowed)

    def inside(self, tag: int) -> int | None:
        """The VLAN of a frame that arrives with this tag (0: none), None if it may not come in.

        Source: IEEE 802.1Q-2022, 6.9; ovs-vswitchd.conf.db(5), ``vlan_mode``.
        """
        if not tag:
            return self.vlan
        return tag if tag in self.allowed else None

    def outside(self, vlan: int) -> int | None:
        """The tag with which a frame of that VLAN leaves (0: none), None if it may not go out."""
        if vlan == self.vlan:
            return 0
        return vlan if vlan in self.allowed else None

    def __str__(self) -> str:
        """As a statement says it, without the port's name."""
        if not self.trunk:
            return f"access {self.vlan}"
        native = f" native {self.vlan}" if self.vlan else ""
        return f"trunk {ranges(self.allowed)}{native}"


class Hop(NamedTuple):
    """Where a packet goes next: in which VLAN (0: without a tag), and to whose address."""

    vlan: int
    address: IPv4Address


@dataclass(frozen=True)
class Host:
    """A computer with one cable. ``via``: its gateway."""

    name: str
    mac: bytes
    address: IPv4Interface
    plug: Plug
    via: IPv4Address | None = None

    @property
    def addresses(self) -> Mapping[int, IPv4Interface]:
        """As of a router, by VLAN (0: without a tag)."""
        return {0: self.address}

    def next_hop(self, target: IPv4Address) -> Hop | None:
        """To whom it gives a packet: the target itself, or its gateway; None if there is no way."""
        network = self.address.network
        if target in network:
            return Hop(0, target)
        return Hop(0, self.via) if self.via and self.via in network else None

    def __str__(self) -> str:
        gateway = f" via {self.via}" if self.via else ""
        return f"host {self.name} {self.address} {self.plug}{gateway}"


@dataclass(frozen=True)
class Router:
    """A router on a stick: one cable, and an address in each VLAN that it routes for.

    It passes nothing on from the first to the second VLAN of a pair that is ``denied``.
    """

    name: str
    mac: bytes
    plug: Plug
    addresses: Mapping[int, IPv4Interface]
    denied: frozenset[tuple[int, int]] = frozenset()

    def next_hop(self, target: IPv4Address) -> Hop | None:
        """To whom it gives a packet, by its most exact network; None if there is no way."""
        fitting = [
            (address.network.prefixlen, vlan)
            for vlan, address in self.addresses.items()
            if target in address.network
        ]
        return Hop(max(fitting)[1], target) if fitting else None

    def __str__(self) -> str:
        addresses = " ".join(f"{vlan}:{address}" for vlan, address in self.addresses.items())
        lines = [f"router {self.name} {self.plug} {addresses}"]
        lines += [f"deny {self.name} {start} {target}" for start, target in sorted(self.denied)]
        return "\n".join(lines)


@dataclass
class Topology:
    """Devices by name, ``ports`` as far as a statement names them, ``cables`` in both directions.

    Its ``str`` is text that ``statements.parse`` reads.
    """

    switches: list[str] = field(default_factory=list)
    hosts: dict[str, Host] = field(default_factory=dict)
    routers: dict[str, Router] = field(default_factory=dict)
    ports: dict[Plug, Port] = field(default_factory=dict)
    cables: dict[Plug, Plug] = field(default_factory=dict)
    vlan_names: dict[int, str] = field(default_factory=dict)

    @property
    def stations(self) -> list[Host | Router]:
        """All that have addresses."""
        return [*self.hosts.values(), *self.routers.values()]

    def port(self, plug: Plug) -> Port:
        """What a switch's port does."""
        return self.ports.get(plug, Port())

    def host(self, name: str) -> Host:
        """A host by name. Raises :class:`LabError` naming those there are."""
        if name not in self.hosts:
            raise LabError(_NO_HOST, name=name, known=listed(self.hosts))
        return self.hosts[name]

    def switch_ports(self) -> list[Plug]:
        """Ports of switches that hold a cable."""
        return [plug for plug in self.cables if plug.port]

    def links(self) -> Iterator[Cable]:
        """Cables between switches, each once."""
        for one, other in self.cables.items():
            if one < other and one.port and other.port:
                yield one, other

    def plugged(self) -> dict[str, list[Cable]]:
        """The cables of each switch, by port: its own end, then the other."""
        cables: dict[str, list[Cable]] = {name: [] for name in self.switches}
        for plug, other in sorted(self.cables.items()):
            if plug.port:
                cables[plug.device].append((plug, other))
        return cables

    def used(self) -> list[int]:
        """VLANs in which something may begin or end, in order."""
        vlans = {port.vlan for port in self.ports.values() if port.vlan}
        routed = (router.addresses for router in self.routers.values())
        return sorted(vlans.union({1}, *routed))

    def names(self) -> dict[str, str]:
        """Names of hosts and routers by their MAC and IP addresses."""
        names = dict[str, str]()
        for station in self.stations:
            names[station.mac.hex(":")] = station.name
            for address in station.addresses.values():
                names[str(address.ip)] = station.name
        return names

    def __str__(self) -> str:
        lines = [f"switch {' '.join(self.switches)}"] if self.switches else []
        lines += map(str, self.stations)
        lines += [f"link {one} {other}" for one, other in self.links()]
        alike: dict[str, list[str]] = {}  # ports that do the same share a statement
        for plug, port in sorted(self.ports.items()):
            alike.setdefault(str(port), []).append(str(plug))
        lines += [f"{does} {' '.join(plugs)}" for does, plugs in alike.items()]
        lines += [f"name {vlan} {name}" for vlan, name in sorted(self.vlan_names.items())]
        return "\n".join(lines)


def listed(names: Iterable[str]) -> str:
    """Names to choose from, as a message tells them."""
    return ", ".join(names)[:200] or _("none")


def ranges(vlans: frozenset[int]) -> str:
    """VLANs as a statement has them: ``1-3,10``."""
    parts = list[str]()
    for first in sorted(vlans):
        if first - 1 in vlans:
            continue  # within a range already told
        last = first
        while last + 1 in vlans:
            last += 1
        parts.append(f"{first}-{last}" if last > first else str(first))
    return ",".join(parts)


def crossings(here: Port, there: Port, vlans: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The VLANs in which frames leave by a link, and those in which they arrive.

    The two differ where the ports do not agree on the native VLAN.
    """
    for vlan in vlans:
        tag = here.outside(vlan)
        arrives = None if tag is None else there.inside(tag)
        if arrives:
            yield vlan, arrives


def without_rings(topology: Topology) -> Topology:
    """The topology itself, if no VLAN runs in a ring. Raises :class:`LabError` if one does."""
    used = topology.used()
    joined: dict[Place, set[Place]] = {}  # each place with all that links have joined it to so far
    for one, other in topology.links():
        here, there = topology.port(one), topology.port(other)
        pairs = set(crossings(here, there, used))
        pairs.update((vlan, leaves) for leaves, vlan in crossings(there, here, used))
        for vlan, far in sorted(pairs):
            ends = (one.device, vlan), (other.device, far)
            fewer, more = sorted((joined.setdefault(end, {end}) for end in ends), key=len)
            if fewer is more:
                raise LabError(_RING, vlan=vlan, one=one, other=other)
            more |= fewer
            joined.update(dict.fromkeys(fewer, more))
    return topology
