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
from typing import NamedTuple

from labkit.errors import LabError
from labkit.messages import _
from labkit.net.domains import without_rings
from labkit.net.topology import Host, Plug, Port, Router, Topology
from labkit.words import number

MOST_DEVICES = 10_000
CHANGES = ("access", "trunk", "deny")  # statements that change a topology there is
_NAME = re.compile(r"[a-z][a-z0-9-]{0,9}")
_PLUG = re.compile(r"([a-z][a-z0-9-]{0,9})\.([0-9]{1,4})")
_NAME_LENGTH = 40  # letters of a VLAN's name; what is longer is cut


class _Line(NamedTuple):
    number: int
    words: list[str]


def parse(text: str) -> Topology:
    """Read a topology. Raises :class:`LabError` with the line and what to write instead."""
    lines = list[_Line]()
    for at, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if words and words[0] not in _ORDER:
            why = _(
                "Line {number}: {word!r:.30} is no statement; a line begins with {statements}.",
                number=at,
                word=words[0],
                statements=", ".join(_ORDER),
            )
            raise LabError(why)
        if words:
            lines.append(_Line(at, words))
    reader = _Reader()
    for numbered in sorted(lines, key=lambda line: _ORDER.index(line.words[0])):
        reader.read(numbered)
    return without_rings(reader.topology)


def changed(topology: Topology, statement: str) -> Topology:
    """A topology after one of the statements CHANGES. Raises :class:`LabError`."""
    words = statement.split()
    copy = replace(topology, ports=dict(topology.ports), routers=dict(topology.routers))
    if words[:1] == ["deny"]:
        _deny(copy, words)
    elif words and words[0] in CHANGES:
        port, plugs = _port(copy, words)
        copy.ports.update(dict.fromkeys(plugs, port))
    else:
        why = _(
            "Only what a port or a router does can be changed: `access 10 s1.3`, "
            "`trunk 10,20 native 1 s1.24`, `deny r 10 20`."
        )
        raise LabError(why)
    return without_rings(copy)


# -- words --------------------------------------------------------------------------------------


def _plug(topology: Topology, word: str) -> Plug:
    match = _PLUG.fullmatch(word)
    if not match or not int(match[2]):
        why = _(
            "{word!r:.40} is no port: write the switch, a point and a number from 1, as s1.4.",
            word=word,
        )
        raise LabError(why)
    switch, port = match.groups()
    if switch not in topology.switches:
        why = _(
            "there is no switch {switch}; there are: {switches}.",
            switch=switch,
            switches=", ".join(topology.switches)[:200] or _("none"),
        )
        raise LabError(why)
    return Plug(switch, int(port))


def _vlan(word: str) -> int:
    """A VLAN: 1 to 4094, for 0 means none, 4095 is reserved (IEEE 802.1Q-2022, table 9-2)."""
    refusal = _(
        "{word!r:.30} is no VLAN: it is a number from 1 to 4094 (0 means none, 4095 is reserved).",
        word=word,
    )
    return number(word, 1, 4094, refusal)


def _vlans(word: str) -> frozenset[int]:
    """The VLANs of a trunk: numbers and ranges with commas between, or ``all``."""
    vlans = set[int]()
    for part in ("1-4094" if word == "all" else word).split(","):
        if not part:
            why = _(
                "the VLANs of a trunk stand together, with a comma between them: "
                "`trunk 10,20 s1.24`."
            )
            raise LabError(why)
        first, dash, last = part.partition("-")
        span = range(_vlan(first), _vlan(last if dash else first) + 1)
        if not span:
            why = _(
                "{part!r:.30} is no VLAN range: the lower number comes first, as in "
                "{lower}-{higher}.",
                part=part,
                lower=last,
                higher=first,
            )
            raise LabError(why)
        vlans.update(span)
    return frozenset(vlans)


def _interface(word: str) -> IPv4Interface:
    """An address that a host may have, with its prefix."""
    try:
        interface = IPv4Interface(word)
    except ValueError:
        why = _("{word!r:.40} is no IPv4 address with its prefix, as 10.0.10.1/24.", word=word)
        raise LabError(why) from None
    if "/" not in word:
        why = _(
            "{word} lacks its prefix: write {word}/24 if the network is its first three numbers.",
            word=word,
        )
        raise LabError(why)
    if not _for_a_host(interface):
        why = _(
            "{word} is no address for a host: it stands for a network, for all in it, for a "
            "group or for this computer itself.",
            word=word,
        )
        raise LabError(why)
    return interface


def _for_a_host(interface: IPv4Interface) -> bool:
    address, network = interface.ip, interface.network
    if address.is_multicast or address.is_loopback or address.is_unspecified:
        return False
    if network.prefixlen >= 31:  # all of its addresses are for hosts: RFC 3021
        return True
    return address not in (network.network_address, network.broadcast_address)


# -- statements that change a topology too ------------------------------------------------------


def _port(topology: Topology, words: list[str]) -> tuple[Port, list[Plug]]:
    """What ``access VLAN PLUG…`` or ``trunk VLANS [native VLAN] PLUG…`` says, of which ports."""
    native = None
    plugs = words[2:]
    if words[0] == "trunk" and plugs[:1] == ["native"] and len(plugs) > 1:
        native = _vlan(plugs[1])
        plugs = plugs[2:]
    if not plugs:
        why = _("write `access VLAN SWITCH.PORT …` or `trunk VLANS [native VLAN] SWITCH.PORT …`.")
        raise LabError(why)
    if words[0] == "access":
        port = Port(_vlan(words[1]))
    else:
        allowed = _vlans(words[1])
        port = Port(native, allowed | {native} if native else allowed)
    return port, [_plug(topology, word) for word in plugs]


def _deny(topology: Topology, words: list[str]) -> None:
    if len(words) != 4:
        raise LabError("write `deny ROUTER VLAN VLAN`: from the first to the second.")
    name = words[1]
    if name not in topology.routers:
        why = _(
            "there is no router {name!r:.40}; there are: {routers}.",
            name=name,
            routers=", ".join(topology.routers) or _("none"),
        )
        raise LabError(why)
    router = topology.routers[name]
    pair = _vlan(words[2]), _vlan(words[3])
    for vlan in pair:
        if vlan not in router.addresses:
            why = _(
                "{router} has no address in VLAN {vlan}, so nothing passes there anyway.",
                router=name,
                vlan=vlan,
            )
            raise LabError(why)
    topology.routers[name] = replace(router, denied=router.denied | {pair})


# -- statements that only build -----------------------------------------------------------------


class _Reader:
    """A topology as far as it is read, and what must not be said twice."""

    def __init__(self) -> None:
        self.topology = Topology()
        self._line = 0
        self._port_lines: dict[Plug, int] = {}  # in which line a port was set
        self._taken = set[IPv4Address]()

    def read(self, line: _Line) -> None:
        """Add what a line says. Raises :class:`LabError` with its number."""
        self._line = line.number
        try:
            _STATEMENTS[line.words[0]](self, line.words)
        except LabError as error:
            raise LabError("Line {number}: {error}", number=line.number, error=error) from None

    def switch(self, words: list[str]) -> None:
        self._room(len(words) - 1)  # at once: a line may name very many
        for name in words[1:]:
            self.topology.switches.append(self._new(name))

    def host(self, words: list[str]) -> None:
        if len(words) not in (4, 6) or words[4:5] not in ([], ["via"]):
            why = _(
                "write `host NAME ADDRESS/PREFIX SWITCH.PORT`, and `via GATEWAY` if it has one."
            )
            raise LabError(why)
        via = _interface(f"{words[5]}/32").ip if len(words) == 6 else None
        address = _interface(words[2])
        if via == address.ip:
            raise LabError("{via} would be its own gateway: name the router's address.", via=via)
        name, plug = self._new(words[1]), _plug(self.topology, words[3])
        self._take(address)
        self.topology.hosts[name] = Host(name, self._mac(), address, plug, via)
        self._connect(Plug(name), plug)

    def router(self, words: list[str]) -> None:
        if len(words) < 4:
            raise LabError("write `router NAME SWITCH.PORT VLAN:ADDRESS/PREFIX …`.")
        name, plug = self._new(words[1]), _plug(self.topology, words[2])
        addresses = dict[int, IPv4Interface]()
        for word in words[3:]:
            vlan, _colon, address = word.partition(":")
            if _vlan(vlan) in addresses:
                why = _("the router has two addresses in VLAN {vlan}: give it one.", vlan=vlan)
                raise LabError(why)
            addresses[_vlan(vlan)] = self._take(_interface(address))
        self.topology.routers[name] = Router(name, self._mac(), plug, addresses)
        self._connect(Plug(name), plug)

    def deny(self, words: list[str]) -> None:
        _deny(self.topology, words)

    def link(self, words: list[str]) -> None:
        if len(words) != 3:
            raise LabError("write `link SWITCH.PORT SWITCH.PORT`.")
        self._connect(_plug(self.topology, words[1]), _plug(self.topology, words[2]))

    def port(self, words: list[str]) -> None:
        port, plugs = _port(self.topology, words)
        for plug in plugs:
            if plug in self._port_lines:
                why = _(
                    "{plug} is said twice, in line {line} too: a port is access in one VLAN, "
                    "or a trunk for several.",
                    plug=plug,
                    line=self._port_lines[plug],
                )
                raise LabError(why)
            self.topology.ports[plug] = port
            self._port_lines[plug] = self._line

    def name(self, words: list[str]) -> None:
        if len(words) < 3:
            raise LabError("write `name VLAN WORDS`.")
        name = " ".join(words[2:])[:_NAME_LENGTH].rstrip()
        self.topology.vlan_names[_vlan(words[1])] = name

    # -- what has to be new or free --

    def _room(self, more: int) -> None:
        made = self.topology
        if len(made.switches) + len(made.hosts) + len(made.routers) + more > MOST_DEVICES:
            why = _("more than {most:,} devices: this model is for fewer.", most=MOST_DEVICES)
            raise LabError(why)

    def _new(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            why = _(
                "{name!r:.40} is no name: up to ten of a-z, 0-9 and -, beginning with a letter.",
                name=name,
            )
            raise LabError(why)
        self._room(1)
        made = self.topology
        if name in made.switches or name in made.hosts or name in made.routers:
            why = _("there is a {name} already: give each device a name of its own.", name=name)
            raise LabError(why)
        return name

    def _mac(self) -> bytes:
        """02: an address given by ourselves, no maker's (IEEE 802-2014, 8.4.4)."""
        count = len(self.topology.hosts) + len(self.topology.routers) + 1
        return b"\2\0" + count.to_bytes(4, "big")

    def _take(self, address: IPv4Interface) -> IPv4Interface:
        if address.ip in self._taken:
            why = _("the address {address} is taken: give each host its own.", address=address.ip)
            raise LabError(why)
        self._taken.add(address.ip)
        return address

    def _connect(self, one: Plug, other: Plug) -> None:
        cables = self.topology.cables
        for plug in (one, other):
            if plug in cables:
                why = _(
                    "{plug} holds a cable already, to {other}: take another port.",
                    plug=plug,
                    other=cables[plug],
                )
                raise LabError(why)
        if one == other:
            raise LabError("a cable from {plug} to itself: name two ports.", plug=one)
        cables[one] = other
        cables[other] = one


# In this order, whatever the order of the lines: each names what those before it have made.
_STATEMENTS: dict[str, Callable[[_Reader, list[str]], None]] = {
    "switch": _Reader.switch,
    "host": _Reader.host,
    "router": _Reader.router,
    "deny": _Reader.deny,
    "link": _Reader.link,
    "access": _Reader.port,
    "trunk": _Reader.port,
    "name": _Reader.name,
}
_ORDER = tuple(_STATEMENTS)
