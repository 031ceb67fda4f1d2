"""Frames taken apart: which headers they are made of, and what each field says.

Nothing here reads from a network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from labkit.messages import N_, _
from labkit.net import layouts
from labkit.net.layouts import ETHERTYPES, LAYOUTS, Layout

DEPTH = 24  # headers in one frame: more is a hostile one
TAG = b"\x81\0"  # the EtherType of a VLAN tag
# The first byte of a WireGuard message that carries no data: Donenfeld, WireGuard (2017), 5.4.
_HANDSHAKES = {1: N_("handshake initiation"), 2: N_("handshake response"), 3: N_("cookie")}
# What is no header: it has no fields, and all that is left belongs to it.
_DATA = N_("data")
_CUT_SHORT = N_("cut short")
_ENCRYPTED = N_("encrypted")  # only a key opens it
_OPAQUE = (_ENCRYPTED, *_HANDSHAKES.values())


class Value(NamedTuple):
    """A field read: ``bit`` from the frame's start, ``bits`` wide, as a number and as text."""

    name: str
    bit: int
    bits: int
    value: int
    text: str

    def __str__(self) -> str:
        return f"{_(self.name)} {self.text}"


class Header(NamedTuple):
    """A header at ``offset`` in a frame, ``size`` bytes; ``name``: of LAYOUTS, or what it is."""

    name: str
    offset: int
    size: int
    values: tuple[Value, ...] = ()

    @property
    def label(self) -> str:
        """Its name in the language of the notebook."""
        return _(self.name)

    @property
    def sealed(self) -> bool:
        """Whether only who has the key sees what is in it."""
        return self.name == _ENCRYPTED

    def of(self, name: str) -> int:
        """The value of a field that this header has."""
        return self._named(name).value

    def text(self, name: str) -> str:
        """The value of a field that this header has, as text."""
        return self._named(name).text

    def _named(self, name: str) -> Value:
        return next(value for value in self.values if value.name == name)


def dissect(frame: bytes, first: str = "Ethernet") -> list[Header]:
    """A frame (or a packet that begins with the header ``first``) as headers, in order.

    They cover it byte for byte. Never fails: what is cut short or unknown is "data" too, and
    "encrypted" is what only a key opens.
    """
    found = list[Header]()
    name, offset = first, 0
    while offset < len(frame):
        header = _header(frame, offset, name if len(found) < DEPTH else _DATA)
        found.append(header)
        offset += header.size
        name = _following(header, frame[offset : offset + 2])
    return found


def _header(frame: bytes, offset: int, name: str) -> Header:
    """The header of that name at an offset; or all the rest, if it cannot be read as one."""
    rest = frame[offset:]
    if name == "WireGuard":
        name = _HANDSHAKES.get(rest[0], name)
    layout = _layout(name, rest)
    if not layout:
        return Header(name if name in _OPAQUE else _DATA, offset, len(rest))
    if len(rest) < layout.size or (name == "IPv4" and rest[0] >> 4 != 4):
        return Header(_CUT_SHORT, offset, len(rest))
    header = Header(name, offset, layout.size, _values(layout, rest, offset))
    size = layout.size
    if name in ("IPv4", "TCP"):
        size = max(size, header.of("header words") * 4)
    options = rest[layout.size : size]
    if not options:
        return header
    value = Value(
        N_("options"),
        8 * (offset + layout.size),
        8 * len(options),
        int.from_bytes(options, "big"),
        options.hex(" "),
    )
    return Header(name, offset, layout.size + len(options), (*header.values, value))


def _layout(name: str, rest: bytes) -> Layout | None:
    """The layout of a header, with the optional fields that its flags announce."""
    layout = LAYOUTS.get(name)
    if layout and name == "GRE":
        flags = int.from_bytes(rest[:2], "big")
        for flag, fields in layouts.GRE_OPTIONS.items():
            if flags & flag:
                layout = Layout(layout.source, *layout.fields, *fields)
    return layout


def _values(layout: Layout, rest: bytes, offset: int) -> tuple[Value, ...]:
    whole = int.from_bytes(rest[: layout.size], "big")
    left = 8 * layout.size  # bits not yet read
    values = list[Value]()
    for field in layout.fields:
        bit = 8 * (offset + layout.size) - left
        left -= field.bits
        value = whole >> left & ((1 << field.bits) - 1)
        values.append(Value(field.name, bit, field.bits, value, field.reads(value)))
    return tuple(values)


# -- what comes after a header ------------------------------------------------------------------


def _after_ipv4(header: Header) -> str:
    if header.of("fragment offset"):  # the middle of what a packet carries
        return _DATA
    return layouts.PROTOCOLS.get(header.of("protocol"), _DATA)


def _after_udp(header: Header) -> str:
    by_source = layouts.PORTS.get(header.of("source port"), _DATA)
    return layouts.PORTS.get(header.of("destination port"), by_source)


def _after_gre(header: Header) -> str:
    if header.of("flags and version") & layouts.GRE_UNKNOWN:
        return _DATA
    return ETHERTYPES.get(header.of("protocol"), _DATA)


_AFTER: dict[str, Callable[[Header], str]] = {
    "type": lambda header: ETHERTYPES.get(header.of("EtherType"), _DATA),
    "IPv4": _after_ipv4,
    "UDP": _after_udp,
    "GRE": _after_gre,
    "VXLAN": lambda header: "Ethernet",
    "ESP": lambda header: _ENCRYPTED,
    "OpenVPN": lambda header: _ENCRYPTED,
    "WireGuard": lambda header: _ENCRYPTED,
}


def _following(header: Header, begins: bytes) -> str:
    """The name of what follows a header, which ``begins`` with these two bytes."""
    if header.name in ("Ethernet", "802.1Q"):
        return "802.1Q" if begins == TAG else "type"
    after = _AFTER.get(header.name)
    return after(header) if after else _DATA


# -- frames in a few words ----------------------------------------------------------------------


def vlans(frame: bytes) -> tuple[int, ...]:
    """The VLAN identifiers of a frame's tags, the outer one first."""
    found = list[int]()
    offset = 12
    while frame[offset : offset + 2] == TAG and len(frame) >= offset + 4:
        control = int.from_bytes(frame[offset + 2 : offset + 4], "big")
        found.append(control & 0xFFF)
        offset += 4
    return tuple(found)


def summary(frame: bytes, names: Mapping[str, str]) -> str:
    """A frame in a few words, as tcpdump would put it; ``names`` for addresses."""
    headers = dissect(frame)
    outermost = {header.name: header for header in reversed(headers)}
    if "ARP" in outermost:
        return _arp_summary(outermost["ARP"], names)
    if "IPv4" in outermost:
        inside = [header for header in headers if header.name not in ("Ethernet", "802.1Q", "type")]
        return _ipv4_summary(inside, names)
    size = _("{size} bytes", size=len(frame))
    return f"{size} {outermost['type'].text('EtherType')}" if "type" in outermost else size


def _who(packet: Header, field: str, names: Mapping[str, str]) -> str:
    address = packet.text(field)
    return names.get(address, address)


def _arp_summary(packet: Header, names: Mapping[str, str]) -> str:
    sender = _who(packet, "sender IP", names)
    if packet.of("operation") == 1:
        target = _who(packet, "target IP", names)
        return _("ARP who has {target}? tell {sender}", target=target, sender=sender)
    return _("ARP {sender} is at {mac}", sender=sender, mac=_who(packet, "sender MAC", names))


def _ipv4_summary(inside: list[Header], names: Mapping[str, str]) -> str:
    """Of the headers from the first IPv4 header on."""
    packet = inside[0]
    way = f"{_who(packet, 'source', names)} → {_who(packet, 'destination', names)}"
    if len(inside) > 1 and inside[1].name == "ICMP":
        number = inside[1].of("type")
        kind = _(layouts.ICMP_TYPES.get(number, "")) or _("type {number}", number=number)
        return f"ICMP {kind} {way}"
    if inside[-1].name == _DATA:
        inside = inside[:-1]
    return f"{' | '.join(header.label for header in inside)} {way}"
