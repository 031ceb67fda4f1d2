"""Headers: what they look like, as the standards draw them, and frames taken apart into them.

Why no packet library: students look at where in a frame a field lies, and neither dpkt (BSD, last
release of 2022) nor scapy (GPL-2, a second to import) says so; the tables that do are also all it
takes to read. scapy is the oracle of the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import IPv4Address
from typing import NamedTuple

from labkit.messages import N_, _

# EtherTypes: IEEE Registration Authority.
TAGGED = 0x8100
ARP = 0x0806
IPV4 = 0x0800
ETHERTYPES = {
    TAGGED: "802.1Q",
    ARP: "ARP",
    IPV4: "IPv4",
    0x86DD: "IPv6",
    0x6558: "Ethernet",
    0x88A8: "802.1ad",
}
LONGEST = 1500  # bytes: up to this an EtherType is the length of what follows (IEEE 802.3, 3.2.6)
# What an IPv4 packet carries: IANA, "Protocol Numbers".
ICMP = 1
IP_IN_IP = 4
TCP = 6
UDP = 17
GRE = 47
ESP = 50
PROTOCOLS = {ICMP: "ICMP", IP_IN_IP: "IPv4", TCP: "TCP", UDP: "UDP", GRE: "GRE", ESP: "ESP"}
# What a UDP datagram carries.
VXLAN_PORT = 4789  # RFC 7348, section 5
OPENVPN_PORT = 1194  # IANA
WIREGUARD_PORT = 51820  # wg(8)
PORTS = {VXLAN_PORT: "VXLAN", OPENVPN_PORT: "OpenVPN", WIREGUARD_PORT: "WireGuard"}
ARP_OPERATIONS = {1: N_("request"), 2: N_("reply")}  # RFC 826
ICMP_TYPES = {0: N_("echo reply"), 3: N_("unreachable"), 8: N_("echo request")}  # RFC 792
TCP_FLAGS = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR")  # from the lowest bit
DEPTH = 24  # headers in one frame: more is a hostile one
TAG = b"\x81\0"  # the EtherType of a VLAN tag
# The first byte of a WireGuard message that carries no data: Donenfeld, WireGuard (2017), 5.4.
_HANDSHAKES = {1: N_("handshake initiation"), 2: N_("handshake response"), 3: N_("cookie")}
# What is no header: it has no fields, and all that is left belongs to it.
_DATA = N_("data")
_CUT_SHORT = N_("cut short")
_ENCRYPTED = N_("encrypted")  # only a key opens it
_OPAQUE = (_ENCRYPTED, *_HANDSHAKES.values())
_UNTOLD = ("Ethernet", "802.1Q", "type", _DATA)  # in a frame's summary


class HeaderField(NamedTuple):
    """One field of a header, ``bits`` wide; ``reads``: what its value is told as."""

    name: str
    bits: int
    reads: Callable[[int], object] = str


class Layout:
    """A header as ``source`` draws it."""

    def __init__(self, source: str, *fields: HeaderField) -> None:
        self.source = source
        self.fields = fields
        self.size = sum(field.bits for field in fields) // 8  # in bytes

    def build(self, *values: int) -> bytes:
        """The header with these values, in order."""
        whole = 0
        for field, value in zip(self.fields, values, strict=True):
            whole = whole << field.bits | value
        return whole.to_bytes(self.size, "big")


def _mac(value: int) -> str:
    return value.to_bytes(6, "big").hex(":")


def _ethertype(value: int) -> str:
    kind = ETHERTYPES.get(value, _("length") if value <= LONGEST else "")
    return f"0x{value:04x} {kind}".rstrip()


def _named(names: Mapping[int, str]) -> Callable[[int], str]:
    """A number, and what it stands for if that is known."""
    return lambda value: f"{value} {_(names.get(value, ''))}".rstrip()


def _flags(value: int) -> str:
    return "+".join(name for bit, name in enumerate(TCP_FLAGS) if value >> bit & 1) or _("none")


def _little_endian(value: int) -> str:
    return str(int.from_bytes(value.to_bytes(8, "big"), "little"))


LAYOUTS = {
    "Ethernet": Layout(
        "IEEE 802.3-2022, 3.1.1",
        HeaderField(N_("destination"), 48, _mac),
        HeaderField(N_("source"), 48, _mac),
    ),
    "802.1Q": Layout(
        "IEEE 802.1Q-2022, 9.3 to 9.6",
        HeaderField(N_("tag protocol"), 16, hex),
        HeaderField(N_("priority"), 3),
        HeaderField(N_("drop eligible"), 1),
        HeaderField("VLAN", 12),
    ),
    "type": Layout("IEEE 802.3-2022, 3.2.6", HeaderField("EtherType", 16, _ethertype)),
    "ARP": Layout(
        "RFC 826",
        HeaderField(N_("hardware"), 16),
        HeaderField(N_("protocol"), 16, hex),
        HeaderField(N_("hardware size"), 8),
        HeaderField(N_("protocol size"), 8),
        HeaderField(N_("operation"), 16, _named(ARP_OPERATIONS)),
        HeaderField(N_("sender MAC"), 48, _mac),
        HeaderField(N_("sender IP"), 32, IPv4Address),
        HeaderField(N_("target MAC"), 48, _mac),
        HeaderField(N_("target IP"), 32, IPv4Address),
    ),
    "IPv4": Layout(
        "RFC 791, 3.1",
        HeaderField(N_("version"), 4),
        HeaderField(N_("header words"), 4),
        HeaderField("DSCP", 6),
        HeaderField("ECN", 2),
        HeaderField(N_("total length"), 16),
        HeaderField(N_("identification"), 16, hex),
        HeaderField(N_("flags"), 3),
        HeaderField(N_("fragment offset"), 13),
        HeaderField(N_("time to live"), 8),
        HeaderField(N_("protocol"), 8, _named(PROTOCOLS)),
        HeaderField(N_("checksum"), 16, hex),
        HeaderField(N_("source"), 32, IPv4Address),
        HeaderField(N_("destination"), 32, IPv4Address),
    ),
    "ICMP": Layout(
        "RFC 792",
        HeaderField(N_("type"), 8, _named(ICMP_TYPES)),
        HeaderField(N_("code"), 8),
        HeaderField(N_("checksum"), 16, hex),
        HeaderField(N_("identifier"), 16, hex),
        HeaderField(N_("sequence"), 16),
    ),
    "UDP": Layout(
        "RFC 768",
        HeaderField(N_("source port"), 16),
        HeaderField(N_("destination port"), 16),
        HeaderField(N_("length"), 16),
        HeaderField(N_("checksum"), 16, hex),
    ),
    "TCP": Layout(
        "RFC 9293, 3.1",
        HeaderField(N_("source port"), 16),
        HeaderField(N_("destination port"), 16),
        HeaderField(N_("sequence"), 32),
        HeaderField(N_("acknowledgement"), 32),
        HeaderField(N_("header words"), 4),
        HeaderField(N_("reserved"), 4),
        HeaderField(N_("flags"), 8, _flags),
        HeaderField(N_("window"), 16),
        HeaderField(N_("checksum"), 16, hex),
        HeaderField(N_("urgent"), 16),
    ),
    "GRE": Layout(
        "RFC 2784, 2",
        HeaderField(N_("flags and version"), 16, hex),
        HeaderField(N_("protocol"), 16, _ethertype),
    ),
    "VXLAN": Layout(
        "RFC 7348, 5",
        HeaderField(N_("flags"), 8, hex),
        HeaderField(N_("reserved"), 24),
        HeaderField("VNI", 24),
        HeaderField(N_("reserved"), 8),
    ),
    "ESP": Layout(
        "RFC 4303, 2; RFC 4106, 3",
        HeaderField("SPI", 32, hex),
        HeaderField(N_("sequence"), 32),
        HeaderField(N_("initialisation vector"), 64, hex),
    ),
    "OpenVPN": Layout(
        "OpenVPN 2.6, ssl_pkt.h: P_DATA_V2",
        HeaderField(N_("opcode"), 5),
        HeaderField(N_("key"), 3),
        HeaderField(N_("peer"), 24),
        HeaderField(N_("packet number"), 32),
        HeaderField(N_("tag"), 128, hex),
    ),
    "WireGuard": Layout(
        "Donenfeld, WireGuard (2017), 5.4.6",
        HeaderField(N_("type"), 8),
        HeaderField(N_("reserved"), 24),
        HeaderField(N_("receiver"), 32, hex),
        HeaderField(N_("counter"), 64, _little_endian),
    ),
}


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
        return next(value.value for value in self.values if value.name == name)

    def text(self, name: str) -> str:
        """The same as text."""
        return next(value.text for value in self.values if value.name == name)


def dissect(frame: bytes, first: str = "Ethernet") -> list[Header]:
    """A frame (or a packet that begins with the header ``first``) as headers, in order.

    They cover it byte for byte. Never fails: what is cut short or unknown is "data" too, and
    "encrypted" is what only a key opens.
    """
    headers = list[Header]()
    name, offset = first, 0
    while offset < len(frame):
        header = _header(frame, offset, name if len(headers) < DEPTH else _DATA)
        headers.append(header)
        offset += header.size
        name = _following(header, frame[offset : offset + 2])
    return headers


def _header(frame: bytes, offset: int, name: str) -> Header:
    """The header of that name at an offset; or all the rest, if it cannot be read as one."""
    rest = frame[offset:]
    if name == "WireGuard":
        name = _HANDSHAKES.get(rest[0], name)
    if name not in LAYOUTS:
        return Header(name if name in _OPAQUE else _DATA, offset, len(rest))
    layout = LAYOUTS[name]
    size = layout.size
    if len(rest) < size or (name == "IPv4" and rest[0] >> 4 != 4):
        return Header(_CUT_SHORT, offset, len(rest))
    whole = int.from_bytes(rest[:size], "big")
    read = 0  # bits
    values = list[Value]()
    for label, bits, reads in layout.fields:
        value = whole >> (8 * size - read - bits) & ((1 << bits) - 1)
        values.append(Value(label, 8 * offset + read, bits, value, str(reads(value))))
        read += bits
    header = Header(name, offset, size, tuple(values))
    options = rest[size : header.of("header words") * 4] if name in ("IPv4", "TCP") else b""
    if not options:
        return header
    number = int.from_bytes(options, "big")
    field = Value(N_("options"), 8 * (offset + size), 8 * len(options), number, options.hex(" "))
    return Header(name, offset, size + len(options), (*values, field))


def _following(header: Header, begins: bytes) -> str:
    """The name of what follows a header, which ``begins`` with these two bytes."""
    match header.name:
        case "Ethernet" | "802.1Q":
            return "802.1Q" if begins == TAG else "type"
        case "type":
            return ETHERTYPES.get(header.of("EtherType"), _DATA)
        case "IPv4" if not header.of("fragment offset"):  # else it is the middle of something
            return PROTOCOLS.get(header.of("protocol"), _DATA)
        case "UDP":
            by_source = PORTS.get(header.of("source port"), _DATA)
            return PORTS.get(header.of("destination port"), by_source)
        case "GRE" if not header.of("flags and version"):  # else more fields: RFC 2890, 2
            return ETHERTYPES.get(header.of("protocol"), _DATA)
        case "VXLAN":
            return "Ethernet"
        case "ESP" | "OpenVPN" | "WireGuard":
            return _ENCRYPTED
    return _DATA


def vlans(frame: bytes) -> tuple[int, ...]:
    """The VLAN identifiers of a frame's tags, the outer one first."""
    identifiers = list[int]()
    offset = 12
    while frame[offset : offset + 2] == TAG and len(frame) >= offset + 4:
        identifiers.append(int.from_bytes(frame[offset + 2 : offset + 4], "big") & 0xFFF)
        offset += 4
    return tuple(identifiers)


def summary(frame: bytes, names: Mapping[str, str]) -> str:
    """A frame in a few words, as tcpdump would put it; ``names`` for addresses."""
    headers = dissect(frame)
    outermost = {header.name: header for header in reversed(headers)}

    def who(packet: Header, field: str) -> str:
        address = packet.text(field)
        return names.get(address, address)

    if packet := outermost.get("ARP"):
        sender, target = who(packet, "sender IP"), who(packet, "target IP")
        if packet.of("operation") == 1:
            return _("ARP who has {target}? tell {sender}", target=target, sender=sender)
        return _("ARP {sender} is at {mac}", sender=sender, mac=who(packet, "sender MAC"))
    if packet := outermost.get("IPv4"):
        way = f"{who(packet, 'source')} → {who(packet, 'destination')}"
        inside = [header for header in headers if header.name not in _UNTOLD]
        if len(inside) > 1 and inside[1].name == "ICMP":
            number = inside[1].of("type")
            kind = _(ICMP_TYPES.get(number, "")) or _("type {number}", number=number)
            return f"ICMP {kind} {way}"
        return f"{' | '.join(header.label for header in inside)} {way}"
    size = _("{size} bytes", size=len(frame))
    return f"{size} {outermost['type'].text('EtherType')}" if "type" in outermost else size
