"""A topology as text, one statement a line::

    switch s1 s2
    host ana 10.0.10.1/24 s1.1 via 10.0.10.254
    link s1.24 s2.24
    access 10 s1.1
    trunk 10,20 native 1 s1.24 s2.24
    router r s1.23 10:10.0.10.254/24 20:10.0.20.254/24
    deny r 10 20
    name 10 classrooms

Lines may come in any order; what follows a # is a remark. A trunk may carry ``all`` VLANs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface

from labkit.errors import LabError
from labkit.messages import N_, _
from labkit.net.topology import Host, Plug, Port, Router, Topology, listed, without_rings
from labkit.words import number

MOST_DEVICES = 10_000
CHANGES = ("access", "trunk", "deny")  # statements that change a topology there is
_NAME = re.compile(r"[a-z][a-z0-9-]{0,9}")
_PLUG = re.compile(r"([a-z][a-z0-9-]{0,9})\.([0-9]{1,4})")
_NAME_LENGTH = 40  # letters of a VLAN's name; what is longer is cut
_PORT = N_("write `access VLAN SWITCH.PORT …` or `trunk VLANS [native VLAN] SWITCH.PORT …`.")
_USAGE = {
    "host": N_("write `host NAME ADDRESS/PREFIX SWITCH.PORT`, and `via GATEWAY` if it has one."),
    "router": N_("write `router NAME SWITCH.PORT VLAN:ADDRESS/PREFIX …`."),
    "deny": N_("write `deny ROUTER VLAN VLAN`: from the first to the second."),
    "link": N_("write `link SWITCH.PORT SWITCH.PORT`."),
    "access": _PORT,
    "trunk": _PORT,
    "name": N_("write `name VLAN WORDS`."),
}
# What is wrong with a word, and what with a line.
_NO_VLAN = N_(
    "{word!r:.30} is no VLAN: it is a number from 1 to 4094 (0 means none, 4095 is reserved)."
)
_NO_VLANS = N_(
    "the VLANs of a trunk stand together, with a comma between them: `trunk 10,20 s1.24`."
)
_NO_RANGE = N_("{part!r:.30} is no VLAN range: the lower number comes first, as in {order}.")
_NO_ADDRESS = N_("{word!r:.40} is no IPv4 address with its prefix, as 10.0.10.1/24.")
_NO_PREFIX = N_(
    "{word} lacks its prefix: write {word}/24 if the network is its first three numbers."
)
_NO_HOST = N_(
    "{word} is no address for a host: it stands for a network, for all in it, for a "
    "group or for this computer itself."
)
_NO_PLUG = N_("{word!r:.40} is no port: write the switch, a point and a number from 1, as s1.4.")
_SAID_TWICE = N_(
    "{plug} is said twice, in line {line} too: a port is access in one VLAN, or a trunk for "
    "several."
)
_NO_NAME = N_("{name!r:.40} is no name: up to ten of a-z, 0-9 and -, beginning with a letter.")
_NO_SWITCH = N_("there is no switch {switch}; there are: {known}.")
_NO_ROUTER = N_("there is no router {name!r:.40}; there are: {known}.")
_NOT_ROUTED = N_("{router} has no address in VLAN {vlan}, so nothing passes there anyway.")
_TWO_ADDRESSES = N_("the router has two addresses in VLAN {vlan}: give it one.")
_TOO_MANY = N_("more than {most:,} devices: this model is for fewer.")
_NAME_TAKEN = N_("there is a {name} already: give each device a name of its own.")
_ADDRESS_TAKEN = N_("the address {address} is taken: give each host its own.")
_PORT_TAKEN = N_("{plug} holds a cable already, to {other}: take another port.")


def parse(text: str) -> Topology:
    """Read a topology. Raises :class:`LabError` with the line and what to write instead."""
    lines = list[tuple[int, list[str]]]()
    for place, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if words and words[0] not in _STATEMENTS:
            raise LabError(
                "Line {number}: {word!r:.30} is no statement; a line begins with {statements}.",
                number=place,
                word=words[0],
                statements=", ".join(_STATEMENTS),
            )
        if words:
            lines.append((place, words))
    order = list(_STATEMENTS)
    reader = _Reader(Topology())
    for place, words in sorted(lines, key=lambda line: order.index(line[1][0])):
        try:
            reader.read(words, place)
        except LabError as error:
            raise LabError("Line {number}: {error}", number=place, error=error) from None
    return without_rings(reader.topology)


def changed(topology: Topology, statement: str) -> Topology:
    """A topology after one of the statements CHANGES. Raises :class:`LabError`."""
    words = statement.split()
    if not words or words[0] not in CHANGES:
        raise LabError(
            "Only what a port or a router does can be changed: `access 10 s1.3`, "
            "`trunk 10,20 native 1 s1.24`, `deny r 10 20`."
        )
    reader = _Reader(replace(topology, ports=dict(topology.ports), routers=dict(topology.routers)))
    reader.read(words)
    return without_rings(reader.topology)


def _vlan(word: str) -> int:
    """A VLAN: 1 to 4094, for 0 means none, 4095 is reserved (IEEE 802.1Q-2022, table 9-2)."""
    return number(word, 1, 4094, _(_NO_VLAN, word=word))


def _vlans(word: str) -> frozenset[int]:
    """The VLANs of a trunk: numbers and ranges with commas between, or ``all``."""
    vlans = set[int]()
    for part in ("1-4094" if word == "all" else word).split(","):
        if not part:
            raise LabError(_NO_VLANS)
        first, dash, last = part.partition("-")
        span = range(_vlan(first), _vlan(last if dash else first) + 1)
        if not span:
            raise LabError(_NO_RANGE, part=part, order=f"{last}-{first}")
        vlans.update(span)
    return frozenset(vlans)


def _interface(word: str) -> IPv4Interface:
    """An address that a host may have, with its prefix."""
    try:
        interface = IPv4Interface(word)
    except ValueError:
        raise LabError(_NO_ADDRESS, word=word) from None
    if "/" not in word:
        raise LabError(_NO_PREFIX, word=word)
    address, network = interface.ip, interface.network
    others = address.is_multicast or address.is_loopback or address.is_unspecified
    ends = network.network_address, network.broadcast_address
    if others or (network.prefixlen < 31 and address in ends):  # all of a /31 are hosts: RFC 3021
        raise LabError(_NO_HOST, word=word)
    return interface


class _Reader:
    """A topology as far as it is read, and what must not be said twice."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self._line = 0
        self._port_lines: dict[Plug, int] = {}  # in which line a port was set
        self._names = set[str]()
        self._taken = set[IPv4Address]()

    def read(self, words: list[str], line: int = 0) -> None:
        """Add what a line says; without a number it may say what others have said."""
        self._line = line
        adds, pattern = _STATEMENTS[words[0]]
        match = re.fullmatch(pattern, " ".join(words[1:]))
        if not match:
            raise LabError(_USAGE[words[0]])
        adds(self, *match.groups())

    def switch(self, names: str) -> None:
        self.topology.switches += map(self._new, names.split())

    def host(self, name: str, address: str, plug: str, gateway: str | None) -> None:
        via = _interface(f"{gateway}/32").ip if gateway else None
        interface = _interface(address)
        if via == interface.ip:
            raise LabError("{via} would be its own gateway: name the router's address.", via=via)
        station = Plug(self._new(name))
        port = self._plug(plug)
        self._take(interface)
        self.topology.hosts[name] = Host(name, self._mac(), interface, port, via)
        self._connect(station, port)

    def router(self, name: str, plug: str, ways: str) -> None:
        station = Plug(self._new(name))
        port = self._plug(plug)
        addresses = dict[int, IPv4Interface]()
        for way in ways.split():
            number, _colon, address = way.partition(":")
            vlan = _vlan(number)
            if vlan in addresses:
                raise LabError(_TWO_ADDRESSES, vlan=vlan)
            addresses[vlan] = self._take(_interface(address))
        self.topology.routers[name] = Router(name, self._mac(), port, addresses)
        self._connect(station, port)

    def deny(self, name: str, start: str, target: str) -> None:
        routers = self.topology.routers
        if name not in routers:
            raise LabError(_NO_ROUTER, name=name, known=listed(routers))
        router = routers[name]
        pair = _vlan(start), _vlan(target)
        for vlan in pair:
            if vlan not in router.addresses:
                raise LabError(_NOT_ROUTED, router=name, vlan=vlan)
        routers[name] = replace(router, denied=router.denied | {pair})

    def link(self, one: str, other: str) -> None:
        self._connect(self._plug(one), self._plug(other))

    def access(self, vlan: str, plugs: str) -> None:
        self._set(Port(_vlan(vlan)), plugs)

    def trunk(self, vlans: str, native: str | None, plugs: str | None) -> None:
        own = _vlan(native) if native else None
        if not plugs:
            raise LabError(_PORT)
        allowed = _vlans(vlans)
        self._set(Port(own, allowed | {own} if own else allowed), plugs)

    def name(self, vlan: str, name: str) -> None:
        self.topology.vlan_names[_vlan(vlan)] = name[:_NAME_LENGTH].rstrip()

    def _set(self, port: Port, plugs: str) -> None:
        for plug in [self._plug(word) for word in plugs.split()]:
            if line := self._port_lines.get(plug):
                raise LabError(_SAID_TWICE, plug=plug, line=line)
            self.topology.ports[plug] = port
            self._port_lines[plug] = self._line

    def _plug(self, word: str) -> Plug:
        match = _PLUG.fullmatch(word)
        if not match or not int(match[2]):
            raise LabError(_NO_PLUG, word=word)
        switch, port = match.groups()
        if switch not in self.topology.switches:
            raise LabError(_NO_SWITCH, switch=switch, known=listed(self.topology.switches))
        return Plug(switch, int(port))

    def _new(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise LabError(_NO_NAME, name=name)
        if len(self._names) == MOST_DEVICES:
            raise LabError(_TOO_MANY, most=MOST_DEVICES)
        if name in self._names:
            raise LabError(_NAME_TAKEN, name=name)
        self._names.add(name)
        return name

    def _mac(self) -> bytes:
        """02: an address given by ourselves, no maker's (IEEE 802-2014, 8.4.4)."""
        count = len(self.topology.hosts) + len(self.topology.routers) + 1
        return b"\2\0" + count.to_bytes(4, "big")

    def _take(self, address: IPv4Interface) -> IPv4Interface:
        if address.ip in self._taken:
            raise LabError(_ADDRESS_TAKEN, address=address.ip)
        self._taken.add(address.ip)
        return address

    def _connect(self, one: Plug, other: Plug) -> None:
        cables = self.topology.cables
        for plug in (one, other):
            if plug in cables:
                raise LabError(_PORT_TAKEN, plug=plug, other=cables[plug])
        if one == other:
            raise LabError("a cable from {plug} to itself: name two ports.", plug=one)
        cables[one] = other
        cables[other] = one


# What each statement adds, and its words. They are read in this order, whatever that of the lines:
# each names what those before it have made.
_STATEMENTS: dict[str, tuple[Callable[..., None], str]] = {
    "switch": (_Reader.switch, r"(.*)"),
    "host": (_Reader.host, r"(\S+) (\S+) (\S+)(?: via (\S+))?"),
    "router": (_Reader.router, r"(\S+) (\S+) (.+)"),
    "deny": (_Reader.deny, r"(\S+) (\S+) (\S+)"),
    "link": (_Reader.link, r"(\S+) (\S+)"),
    "access": (_Reader.access, r"(\S+) (.+)"),
    "trunk": (_Reader.trunk, r"(\S+)(?: native (\S+))?(?: (.+))?"),
    "name": (_Reader.name, r"(\S+) (.+)"),
}
