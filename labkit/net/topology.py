"""A topology: which hosts are plugged into which ports of which switches, and what VLANs a port carries.

Written one statement a line::

    switch s1 s2
    host ana 10.0.10.1/24 s1.1 via 10.0.10.254
    link s1.24 s2.24
    access 10 s1.1
    trunk 10,20 native 1 s1.24 s2.24
    router r s1.23 10:10.0.10.254/24 20:10.0.20.254/24
    deny r 10 20
    name 10 classrooms

``deny``: the router passes nothing on from the first VLAN to the second. A port that no line names is an access port of
VLAN 1, as on a switch out of its box (IEEE 802.1Q-2022, table 9-2).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Interface
from typing import NamedTuple

from labkit import words as shellwords
from labkit.errors import LabError

MOST = 10_000  # devices
CHANGES = ("access", "trunk", "deny")  # statements that a made topology takes
_NAME = re.compile(r"[a-z][a-z0-9-]{0,9}")
_PLUG = re.compile(r"([a-z][a-z0-9-]{0,9})\.([0-9]{1,4})")


class Plug(NamedTuple):
    """One end of a cable: a switch's port, or port 0 of a host or router."""

    device: str
    port: int = 0

    def __str__(self) -> str:
        return f"{self.device}.{self.port}" if self.port else self.device


class Port(NamedTuple):
    """What a switch's port does. ``vlan``: that of frames without a tag (None: none); ``allowed``: those with a tag."""

    vlan: int | None = 1
    allowed: frozenset[int] = frozenset()

    @property
    def trunk(self) -> bool:
        return bool(self.allowed)

    def inside(self, tag: int | None) -> int | None:
        """The VLAN of a frame that arrives with this tag (None or 0: no VLAN said), None if it may not come in.

        Source: IEEE 802.1Q-2022, 6.9; ovs-vswitchd.conf.db(5), ``vlan_mode`` access, trunk and native-untagged.
        """
        if not tag:
            return self.vlan
        return tag if tag in self.allowed else None

    def carries(self, vlan: int) -> bool:
        """Whether frames of that VLAN leave here."""
        return vlan == self.vlan or vlan in self.allowed

    def tags(self, vlan: int) -> bool:
        """Whether frames of that VLAN leave with a tag."""
        return vlan != self.vlan

    def __str__(self) -> str:
        if not self.trunk:
            return f"access {self.vlan}"
        return f"trunk {ranges(self.allowed)}" + (f" native {self.vlan}" if self.vlan else "")


@dataclass(frozen=True)
class Host:
    """A computer with one cable. ``via``: its gateway."""

    name: str
    mac: bytes
    address: IPv4Interface
    plug: Plug
    via: IPv4Address | None = None


@dataclass(frozen=True)
class Router:
    """A router on a stick: one cable, and an address in each VLAN it routes for; ``denied``: (from, to)."""

    name: str
    mac: bytes
    plug: Plug
    addresses: Mapping[int, IPv4Interface]
    denied: frozenset[tuple[int, int]] = frozenset()


@dataclass
class Topology:
    """Devices by name; ``ports`` of switches as far as a line names them; ``cables`` in both directions."""

    switches: list[str] = field(default_factory=list)
    hosts: dict[str, Host] = field(default_factory=dict)
    routers: dict[str, Router] = field(default_factory=dict)
    ports: dict[Plug, Port] = field(default_factory=dict)
    cables: dict[Plug, Plug] = field(default_factory=dict)
    vlan_names: dict[int, str] = field(default_factory=dict)
    taken: set[IPv4Address] = field(default_factory=set, repr=False, compare=False)  # addresses

    def port(self, plug: Plug) -> Port:
        """What a switch's port does."""
        return self.ports.get(plug, Port())

    def host(self, name: str) -> Host:
        """A host by name. Raises :class:`LabError` naming those there are."""
        if name not in self.hosts:
            raise LabError(
                f"There is no host {name!r:.40}; there are: {', '.join(self.hosts)[:200] or 'none'}."
            )
        return self.hosts[name]

    def links(self) -> Iterator[tuple[Plug, Plug]]:
        """Cables between switches, each once."""
        for one, other in self.cables.items():
            if one < other and one.port and other.port:
                yield one, other

    def used(self) -> list[int]:
        """VLANs in which something may begin or end."""
        found = {port.vlan for port in self.ports.values()} | {1}
        found |= {vlan for router in self.routers.values() for vlan in router.addresses}
        return sorted(vlan for vlan in found if vlan)

    def names(self) -> dict[str, str]:
        """Names of hosts and routers by their MAC and IP addresses."""
        found = dict[str, str]()
        for device in self.hosts.values():
            found |= {device.mac.hex(":"): device.name, str(device.address.ip): device.name}
        for router in self.routers.values():
            found |= {
                router.mac.hex(":"): router.name,
                **{str(a.ip): router.name for a in router.addresses.values()},
            }
        return found

    def __str__(self) -> str:
        """The topology as text that :func:`parse` reads."""
        lines = [f"switch {' '.join(self.switches)}"] * bool(self.switches)
        for host in self.hosts.values():
            lines.append(
                f"host {host.name} {host.address} {host.plug}"
                + (f" via {host.via}" if host.via else "")
            )
        for router in self.routers.values():
            ways = " ".join(f"{vlan}:{address}" for vlan, address in router.addresses.items())
            lines.append(f"router {router.name} {router.plug} {ways}")
            lines += [f"deny {router.name} {one} {other}" for one, other in sorted(router.denied)]
        lines += [f"link {one} {other}" for one, other in self.links()]
        kinds: dict[str, list[str]] = {}
        for plug, port in sorted(self.ports.items()):
            kinds.setdefault(str(port), []).append(str(plug))
        lines += [f"{kind} {' '.join(plugs)}" for kind, plugs in kinds.items()]
        lines += [f"name {vlan} {name}" for vlan, name in sorted(self.vlan_names.items())]
        return "\n".join(lines)

    def changed(self, statement: str) -> Topology:
        """This topology after one of the statements CHANGES. Raises :class:`LabError`."""
        words = statement.split()
        made = replace(self, ports=dict(self.ports), routers=dict(self.routers))
        if words[:1] == ["deny"]:
            _deny(made, words)
        elif words and words[0] in CHANGES:
            port, plugs = _port(self, words)
            made.ports.update(dict.fromkeys(plugs, port))
        else:
            raise LabError(
                "Only what a port or a router does can be changed: `access 10 s1.3`, "
                "`trunk 10,20 native 1 s1.24`, `deny r 10 20`."
            )
        return checked(made)


def ranges(vlans: frozenset[int]) -> str:
    """``1-3,10``."""
    ordered, parts = sorted(vlans), list[list[int]]()
    for vlan in ordered:
        if parts and vlan == parts[-1][-1] + 1:
            parts[-1][1:] = [vlan]
        else:
            parts.append([vlan])
    return ",".join("-".join(map(str, part)) for part in parts)


def parse(text: str) -> Topology:
    """Read a topology. Raises :class:`LabError` with the line and what to write instead."""
    made, said = Topology(), dict[Plug, int]()
    lines = [
        (number, line.partition("#")[0].split()) for number, line in enumerate(text.splitlines(), 1)
    ]
    order = (
        "switch",
        "host",
        "router",
        "deny",
        "link",
        "access",
        "trunk",
        "name",
    )  # lines may come in any other
    for number, words in lines:
        if words and words[0] not in order:
            raise LabError(
                f"Line {number}: {words[0]!r:.30} is no statement; a line begins with {', '.join(order)}."
            )
    for number, words in sorted(
        (line for line in lines if line[1]), key=lambda line: order.index(line[1][0])
    ):
        try:
            if words[0] in ("access", "trunk"):
                port, plugs = _port(made, words)
                for plug in plugs:
                    if plug in said:
                        raise LabError(
                            f"{plug} is said twice, in line {said[plug]} too: a port is access in one VLAN, "
                            "or a trunk for several."
                        )
                    made.ports[plug], said[plug] = port, number
            else:
                _STATEMENTS[words[0]](made, words)
        except LabError as error:
            raise LabError(f"Line {number}: {error}") from None
    return checked(made)


def _room(made: Topology, more: int) -> None:
    if len(made.switches) + len(made.hosts) + len(made.routers) + more > MOST:
        raise LabError(f"more than {MOST:,} devices: this model is for fewer.")


def _new(made: Topology, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise LabError(
            f"{name!r:.40} is no name: up to ten of a-z, 0-9 and -, beginning with a letter."
        )
    _room(made, 1)
    if name in made.switches or name in made.hosts or name in made.routers:
        raise LabError(f"there is a {name} already: give each device a name of its own.")
    return name


def _plug(made: Topology, word: str) -> Plug:
    match = _PLUG.fullmatch(word)
    if not match or not int(match[2]):
        raise LabError(
            f"{word!r:.40} is no port: write the switch, a point and a number from 1, as s1.4."
        )
    if match[1] not in made.switches:
        raise LabError(
            f"there is no switch {match[1]}; there are: {', '.join(made.switches)[:200] or 'none'}."
        )
    return Plug(match[1], int(match[2]))


def _connect(made: Topology, one: Plug, other: Plug) -> None:
    for plug in (one, other):
        if plug in made.cables:
            raise LabError(
                f"{plug} holds a cable already, to {made.cables[plug]}: take another port."
            )
    if one == other:
        raise LabError(f"a cable from {one} to itself: name two ports.")
    made.cables[one], made.cables[other] = other, one


def _vlan(word: str) -> int:
    """A VLAN identifier: 1 to 4094, for 0 means none and 4095 is reserved (IEEE 802.1Q-2022, table 9-2)."""
    said = (
        f"{word!r:.30} is no VLAN: it is a number from 1 to 4094 (0 means none, 4095 is reserved)."
    )
    return shellwords.number(word, 1, 4094, said)


def _vlans(word: str) -> frozenset[int]:
    found = set[int]()
    for part in ("1-4094" if word == "all" else word).split(","):
        if not part:
            raise LabError(
                "the VLANs of a trunk stand together, with a comma between them: `trunk 10,20 s1.24`."
            )
        first, dash, last = part.partition("-")
        many = range(_vlan(first), _vlan(last if dash else first) + 1)
        if not many:
            raise LabError(
                f"{part!r:.30} is no VLAN range: the lower number comes first, as in {last}-{first}."
            )
        found.update(many)
    return frozenset(found)


def _interface(word: str) -> IPv4Interface:
    try:
        found = IPv4Interface(word)
    except ValueError:
        raise LabError(
            f"{word!r:.40} is no IPv4 address with its prefix, as 10.0.10.1/24."
        ) from None
    if "/" not in word:
        raise LabError(
            f"{word} lacks its prefix: write {word}/24 if the network is its first three numbers."
        )
    ends = (
        (found.network.network_address, found.network.broadcast_address)
        if found.network.prefixlen < 31
        else ()
    )
    if found.ip in ends or found.ip.is_multicast or found.ip.is_loopback or found.ip.is_unspecified:
        raise LabError(
            f"{word} is no address for a host: it stands for a network, for all in it, for a group or for "
            "this computer itself."
        )
    return found


def _mac(made: Topology) -> bytes:
    """02: an address given by ourselves, no maker's (IEEE 802-2014, 8.4.4)."""
    return b"\2\0" + (len(made.hosts) + len(made.routers) + 1).to_bytes(4, "big")


def _free(made: Topology, address: IPv4Interface) -> IPv4Interface:
    if address.ip in made.taken:
        raise LabError(f"the address {address.ip} is taken: give each host its own.")
    made.taken.add(address.ip)
    return address


def _switch(made: Topology, words: list[str]) -> None:
    _room(made, len(words) - 1)  # at once: a line may name very many
    for name in words[1:]:
        made.switches.append(_new(made, name))


def _host(made: Topology, words: list[str]) -> None:
    if len(words) not in (4, 6) or (len(words) == 6 and words[4] != "via"):
        raise LabError(
            "write `host NAME ADDRESS/PREFIX SWITCH.PORT`, and `via GATEWAY` if it has one."
        )
    via = _interface(f"{words[5]}/32").ip if len(words) == 6 else None
    if via == _interface(words[2]).ip:
        raise LabError(f"{via} would be its own gateway: name the router's address.")
    name, plug = _new(made, words[1]), _plug(made, words[3])
    made.hosts[name] = Host(name, _mac(made), _free(made, _interface(words[2])), plug, via)
    _connect(made, Plug(name), plug)


def _router(made: Topology, words: list[str]) -> None:
    if len(words) < 4:
        raise LabError("write `router NAME SWITCH.PORT VLAN:ADDRESS/PREFIX …`.")
    name, plug, ways = _new(made, words[1]), _plug(made, words[2]), dict[int, IPv4Interface]()
    for word in words[3:]:
        vlan, _, address = word.partition(":")
        if _vlan(vlan) in ways:
            raise LabError(f"the router has two addresses in VLAN {vlan}: give it one.")
        ways[int(vlan)] = _free(made, _interface(address))
    made.routers[name] = Router(name, _mac(made), plug, ways)
    _connect(made, Plug(name), plug)


def _deny(made: Topology, words: list[str]) -> None:
    if len(words) != 4:
        raise LabError("write `deny ROUTER VLAN VLAN`: from the first to the second.")
    if words[1] not in made.routers:
        raise LabError(
            f"there is no router {words[1]!r:.40}; there are: {', '.join(made.routers) or 'none'}."
        )
    router, pair = made.routers[words[1]], (_vlan(words[2]), _vlan(words[3]))
    for vlan in pair:
        if vlan not in router.addresses:
            raise LabError(
                f"{router.name} has no address in VLAN {vlan}, so nothing passes there anyway."
            )
    made.routers[router.name] = replace(router, denied=router.denied | {pair})


def _link(made: Topology, words: list[str]) -> None:
    if len(words) != 3:
        raise LabError("write `link SWITCH.PORT SWITCH.PORT`.")
    _connect(made, _plug(made, words[1]), _plug(made, words[2]))


def _called(made: Topology, words: list[str]) -> None:
    if len(words) < 3:
        raise LabError("write `name VLAN WORDS`.")
    made.vlan_names[_vlan(words[1])] = " ".join(words[2:])[:40].rstrip()


_STATEMENTS = {
    "switch": _switch,
    "host": _host,
    "router": _router,
    "deny": _deny,
    "link": _link,
    "name": _called,
}


def _port(made: Topology, words: list[str]) -> tuple[Port, list[Plug]]:
    """What ``access VLAN PLUG…`` or ``trunk VLANS [native VLAN] PLUG…`` says."""
    usage = "write `access VLAN SWITCH.PORT …` or `trunk VLANS [native VLAN] SWITCH.PORT …`."
    if words[0] == "access":
        if len(words) < 3:
            raise LabError(usage)
        return Port(_vlan(words[1])), [_plug(made, word) for word in words[2:]]
    native = _vlan(words[3]) if words[2:3] == ["native"] and len(words) > 3 else None
    rest = words[4:] if native else words[2:]
    if not rest:
        raise LabError(usage)
    allowed = _vlans(words[1]) | ({native} if native else set())
    return Port(native, frozenset(allowed)), [_plug(made, word) for word in rest]


def checked(made: Topology) -> Topology:
    """The topology itself, if no VLAN runs in a ring. Raises :class:`LabError` if one does."""
    up: dict[tuple[str, int], tuple[str, int]] = {}

    def top(node: tuple[str, int]) -> tuple[str, int]:
        while node in up:
            if up[node] in up:
                up[node] = up[up[node]]
            node = up[node]
        return node

    used = made.used()
    for one, other in made.links():
        here, there = made.port(one), made.port(other)
        joined: set[tuple[int | None, int | None]] = {
            (vlan, there.inside(vlan if here.tags(vlan) else None))
            for vlan in used
            if here.carries(vlan)
        }
        joined |= {
            (here.inside(vlan if there.tags(vlan) else None), vlan)
            for vlan in used
            if there.carries(vlan)
        }
        for a, b in sorted((a, b) for a, b in joined if a and b):
            if a in used and b in used:
                if (first := top((one.device, a))) == (second := top((other.device, b))):
                    raise LabError(
                        f"VLAN {a} runs in a ring that {one}–{other} closes: without spanning tree a "
                        "broadcast would circle in it for ever. Take that link or its VLAN out."
                    )
                up[first] = second
    return made
