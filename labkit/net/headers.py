"""Headers: the bytes in front of the data, built and taken apart field by field.

A header is a table of fields, as its standard draws it. Nothing here reads or writes a network.

Why no packet library: students look at where in a frame a field lies, and neither dpkt (BSD, last release of 2022) nor
scapy (GPL-2, a second to import) says so; the tables that do are also all it takes to read. scapy is the oracle of
the tests.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import NamedTuple

from labkit.errors import LabError

TAGGED, ARP, IPV4 = 0x8100, 0x0806, 0x0800  # EtherTypes; IEEE Registration Authority
ETHERTYPES = {
    TAGGED: "802.1Q",
    ARP: "ARP",
    IPV4: "IPv4",
    0x86DD: "IPv6",
    0x6558: "Ethernet",
    0x88A8: "802.1ad",
}
PROTOCOLS = {
    1: "ICMP",
    4: "IPv4",
    6: "TCP",
    17: "UDP",
    47: "GRE",
    50: "ESP",
}  # IANA, "Protocol Numbers"
PORTS = {
    4789: "VXLAN",
    1194: "OpenVPN",
    51820: "WireGuard",
}  # UDP: RFC 7348, section 5; IANA; wg(8)
FLAGS = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR")  # of TCP, from the lowest bit
BROADCAST = b"\xff" * 6
DEPTH = 24  # headers in one frame: more is a hostile one


class Field(NamedTuple):
    """One field of a header: ``bits`` wide; ``kind`` says how its value reads."""

    name: str
    bits: int
    kind: str = ""


@dataclass(frozen=True)
class Layout:
    """A header as ``source`` draws it."""

    name: str
    source: str
    fields: tuple[Field, ...]

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(field.bits for field in self.fields) // 8

    def build(self, *values: int) -> bytes:
        """The header with these values, in order."""
        whole = 0
        for field, value in zip(self.fields, values, strict=True):
            whole = whole << field.bits | value
        return whole.to_bytes(self.size, "big")


def _layout(name: str, source: str, fields: str) -> Layout:
    found = (
        line.rsplit(":", 2) if line.count(":") == 2 else [*line.rsplit(":", 1), ""]
        for line in fields.split(", ")
    )
    return Layout(name, source, tuple(Field(name, int(bits), kind) for name, bits, kind in found))


LAYOUTS = {
    layout.name: layout
    for layout in (
        _layout("Ethernet", "IEEE 802.3-2022, 3.1.1", "destination:48:mac, source:48:mac"),
        _layout(
            "802.1Q",
            "IEEE 802.1Q-2022, 9.3 to 9.6",
            "tag protocol:16:hex, priority:3, drop eligible:1, VLAN:12",
        ),
        _layout("type", "IEEE 802.3-2022, 3.2.6", "EtherType:16:ethertype"),
        _layout(
            "ARP",
            "RFC 826",
            "hardware:16, protocol:16:hex, hardware size:8, protocol size:8, operation:16:arp, "
            "sender MAC:48:mac, sender IP:32:ip, target MAC:48:mac, target IP:32:ip",
        ),
        _layout(
            "IPv4",
            "RFC 791, 3.1",
            "version:4, header words:4, DSCP:6, ECN:2, total length:16, identification:16:hex, "
            "flags:3, fragment offset:13, time to live:8, protocol:8:protocol, checksum:16:hex, source:32:ip, "
            "destination:32:ip",
        ),
        _layout(
            "ICMP",
            "RFC 792",
            "type:8:icmp, code:8, checksum:16:hex, identifier:16:hex, sequence:16",
        ),
        _layout(
            "UDP", "RFC 768", "source port:16, destination port:16, length:16, checksum:16:hex"
        ),
        _layout(
            "TCP",
            "RFC 9293, 3.1",
            "source port:16, destination port:16, sequence:32, acknowledgement:32, "
            "header words:4, reserved:4, flags:8:tcp, window:16, checksum:16:hex, urgent:16",
        ),
        _layout("GRE", "RFC 2784, 2", "flags and version:16:hex, protocol:16:ethertype"),
        _layout("VXLAN", "RFC 7348, 5", "flags:8:hex, reserved:24, VNI:24, reserved:8"),
        _layout(
            "ESP",
            "RFC 4303, 2; RFC 4106, 3",
            "SPI:32:hex, sequence:32, initialisation vector:64:hex",
        ),
        _layout(
            "OpenVPN",
            "OpenVPN 2.6, ssl_pkt.h: P_DATA_V2",
            "opcode:5, key:3, peer:24, packet number:32, tag:128:hex",
        ),
        _layout(
            "WireGuard",
            "Donenfeld, WireGuard (2017), 5.4.6",
            "type:8, reserved:24, receiver:32:hex, counter:64:little",
        ),
    )
}
# Fields of GRE that are there if their flag is: RFC 2784, 2.1; RFC 2890, 2.
_OPTIONAL = {
    0x8000: (Field("checksum", 16, "hex"), Field("reserved", 16)),
    0x2000: (Field("key", 32, "hex"),),
    0x1000: (Field("sequence", 32),),
}
_UNKNOWN = 0x4C07  # flags of GRE that mean other fields, and versions: RFC 2784, 2.2 and 2.3
_SHOWN: dict[str, Callable[[int], str]] = {
    "mac": lambda value: value.to_bytes(6, "big").hex(":"),
    "ip": lambda value: str(IPv4Address(value)),
    "hex": lambda value: f"0x{value:x}",
    # Up to 1500 it is the length of what follows: IEEE 802.3-2022, 3.2.6.
    "ethertype": lambda value: (
        f"0x{value:04x} {ETHERTYPES.get(value, 'length' * (value <= 1500))}".strip()
    ),
    "protocol": lambda value: f"{value} {PROTOCOLS.get(value, '')}".strip(),
    "arp": lambda value: f"{value} {({1: 'request', 2: 'reply'}).get(value, '')}".strip(),
    "icmp": lambda value: (
        f"{value} {({0: 'echo reply', 3: 'unreachable', 8: 'echo request'}).get(value, '')}".strip()
    ),
    "tcp": lambda value: (
        "+".join(name for bit, name in enumerate(FLAGS) if value >> bit & 1) or "none"
    ),
    "little": lambda value: str(int.from_bytes(value.to_bytes(8, "big"), "little")),
}


class Value(NamedTuple):
    """A field read: where it is in the frame (``bit`` from its start), and its ``value`` as number and as ``text``."""

    name: str
    bit: int
    bits: int
    value: int
    text: str


class Header(NamedTuple):
    """A header found at ``offset`` in a frame, ``size`` bytes long; ``name`` is one of LAYOUTS, or says what else."""

    name: str
    offset: int
    size: int
    values: tuple[Value, ...] = ()

    def of(self, name: str) -> int:
        """The value of a field that this header has."""
        return {value.name: value.value for value in self.values}[name]


# -- building -----------------------------------------------------------------------------------


def checksum(data: bytes) -> int:
    """The Internet checksum: the ones' complement of the ones' complement sum of 16-bit words (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(
    destination: bytes, source: bytes, kind: int, payload: bytes, tags: Sequence[int] = ()
) -> bytes:
    """A frame without its check sequence; ``tags`` are VLAN identifiers, the outer one first."""
    return b"".join(
        [
            destination,
            source,
            *(struct.pack("!HH", TAGGED, tag) for tag in tags),
            kind.to_bytes(2, "big"),
            payload,
        ]
    )


def arp(operation: int, sender: tuple[bytes, int], target: tuple[bytes, int]) -> bytes:
    """An ARP packet for Ethernet and IPv4: operation 1 asks, 2 replies; ``sender`` and ``target`` are (MAC, IP)."""
    return struct.pack("!HHBBH6sI6sI", 1, IPV4, 6, 4, operation, *sender, *target)


def ipv4(
    source: int,
    destination: int,
    protocol: int,
    payload: bytes,
    ttl: int = 64,
    identification: int = 0,
) -> bytes:
    """An IPv4 packet that may not be fragmented. Raises :class:`LabError` if it would be longer than 65,535 bytes."""
    if len(payload) > 65515:
        raise LabError(
            f"{len(payload)} bytes do not fit into one IPv4 packet, which holds 65,515: send less."
        )
    head = struct.pack(
        "!BBHHHBBHII",
        0x45,
        0,
        20 + len(payload),
        identification,
        0x4000,
        ttl,
        protocol,
        0,
        source,
        destination,
    )
    return head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + payload


def icmp(kind: int, identifier: int, sequence: int, data: bytes = b"") -> bytes:
    """An ICMP echo: kind 8 asks, 0 replies."""
    rest = struct.pack("!HH", identifier, sequence) + data
    return struct.pack("!BBH", kind, 0, checksum(bytes([kind, 0]) + rest)) + rest


def _over_ip(
    source: int, destination: int, protocol: int, head: bytes, at: int, data: bytes
) -> bytes:
    """Fill in the checksum of UDP or TCP, which covers a pseudo header too (RFC 9293, 3.1)."""
    pseudo = struct.pack("!IIBBH", source, destination, 0, protocol, len(head) + len(data))
    found = checksum(pseudo + head + data) or (
        0xFFFF if protocol == 17 else 0
    )  # 0 of UDP says "none": RFC 768
    return head[:at] + found.to_bytes(2, "big") + head[at + 2 :] + data


def udp(source: tuple[int, int], destination: tuple[int, int], data: bytes) -> bytes:
    """A UDP datagram between two (IP, port)."""
    head = struct.pack("!HHHH", source[1], destination[1], 8 + len(data), 0)
    return _over_ip(source[0], destination[0], 17, head, 6, data)


def tcp(
    source: tuple[int, int],
    destination: tuple[int, int],
    data: bytes,
    flags: int = 0x18,
    sequence: int = 1,
) -> bytes:
    """A TCP segment between two (IP, port); ``flags`` 0x18 are PSH and ACK."""
    head = struct.pack(
        "!HHIIBBHHH", source[1], destination[1], sequence, 1, 0x50, flags, 64240, 0, 0
    )
    return _over_ip(source[0], destination[0], 6, head, 16, data)


# -- taking apart -------------------------------------------------------------------------------


def _read(layout: Layout, frame: bytes, at: int) -> Header:
    whole, bit, values = int.from_bytes(frame[at : at + layout.size], "big"), 0, list[Value]()
    for field in layout.fields:
        value = whole >> (layout.size * 8 - bit - field.bits) & ((1 << field.bits) - 1)
        text = _SHOWN[field.kind](value) if field.kind else str(value)
        values.append(Value(field.name, at * 8 + bit, field.bits, value, text))
        bit += field.bits
    return Header(layout.name, at, layout.size, tuple(values))


def _next(header: Header) -> tuple[str, int]:
    """What follows a header, and how long the header is with its options."""
    name = header.name
    if name == "GRE" and header.of("flags and version") & _UNKNOWN:
        return "", header.size
    if name in ("type", "GRE"):
        return ETHERTYPES.get(
            header.of("EtherType" if name == "type" else "protocol"), ""
        ), header.size
    if name == "IPv4":
        size = max(20, header.of("header words") * 4)
        return "" if header.of("fragment offset") else PROTOCOLS.get(
            header.of("protocol"), ""
        ), size
    if name == "TCP":
        return "", max(20, header.of("header words") * 4)
    if name == "UDP":
        return PORTS.get(header.of("destination port")) or PORTS.get(
            header.of("source port"), ""
        ), header.size
    return {
        "VXLAN": "Ethernet",
        "ESP": "encrypted",
        "OpenVPN": "encrypted",
        "WireGuard": "encrypted",
    }.get(name, ""), header.size


def dissect(frame: bytes, first: str = "Ethernet") -> list[Header]:
    """A frame (or a packet that begins with the header ``first``) as its headers, then what is left as "data".

    Never fails: what is cut short or unknown is "data" too, and "encrypted" is what only a key opens.
    """
    found, at, name = list[Header](), 0, first
    while at < len(frame) and len(found) < DEPTH:
        if name == "WireGuard" and frame[at : at + 1] in (b"\1", b"\2", b"\3"):
            name = {1: "handshake initiation", 2: "handshake response", 3: "cookie"}[frame[at]]
        layout = LAYOUTS.get(name)
        if layout and name == "GRE":
            flags = int.from_bytes(frame[at : at + 2], "big")
            more = (field for flag, fields in _OPTIONAL.items() if flags & flag for field in fields)
            layout = replace(layout, fields=(*layout.fields, *more))
        if not layout or at + layout.size > len(frame) or (name == "IPv4" and frame[at] >> 4 != 4):
            known = name in ("encrypted", "handshake initiation", "handshake response", "cookie")
            found.append(
                Header(name if known else "cut short" if layout else "data", at, len(frame) - at)
            )
            return found
        header = _read(layout, frame, at)
        if name in ("Ethernet", "802.1Q"):
            following = ETHERTYPES.get(
                int.from_bytes(frame[at + layout.size : at + layout.size + 2], "big")
            )
            name, size = "802.1Q" if following == "802.1Q" else "type", layout.size
        else:
            name, size = _next(header)
        size = min(size, len(frame) - at)
        if options := frame[at + header.size : at + size]:
            told = Value(
                "options",
                8 * (at + header.size),
                8 * len(options),
                int.from_bytes(options, "big"),
                options.hex(" "),
            )
            header = header._replace(size=size, values=(*header.values, told))
        found.append(header)
        at += size
    if at < len(frame):
        found.append(Header("data", at, len(frame) - at))
    return found


def vlans(frame: bytes) -> tuple[int, ...]:
    """The VLAN identifiers of a frame's tags, the outer one first."""
    found, at = list[int](), 12
    while frame[at : at + 2] == b"\x81\0" and len(frame) >= at + 4:
        found.append(int.from_bytes(frame[at + 2 : at + 4], "big") & 0xFFF)
        at += 4
    return tuple(found)


def summary(frame: bytes, names: Mapping[str, str]) -> str:
    """A frame in a few words, as tcpdump would put it; ``names`` for addresses."""
    headers = dissect(frame)
    found = {header.name: header for header in reversed(headers)}  # of two alike, the outer one

    def name(header: Header, field: str) -> str:
        text = next(value.text for value in header.values if value.name == field)
        return names.get(text, text)

    if "ARP" in found:
        packet = found["ARP"]
        if packet.of("operation") == 1:
            return f"ARP who has {name(packet, 'target IP')}? tell {name(packet, 'sender IP')}"
        return f"ARP {name(packet, 'sender IP')} is at {name(packet, 'sender MAC')}"
    if "IPv4" in found:
        packet = found["IPv4"]
        what = [
            header.name for header in headers if header.name not in ("Ethernet", "802.1Q", "type")
        ]
        way = f"{name(packet, 'source')} → {name(packet, 'destination')}"
        if what[1:2] == ["ICMP"]:
            kind = (
                found["ICMP"].values[0].text.partition(" ")[2] or f"type {found['ICMP'].of('type')}"
            )
            return f"ICMP {kind} {way}"
        return f"{' | '.join(what[:-1] if what[-1] == 'data' else what)} {way}"
    kind = found["type"].values[0].text if "type" in found else ""
    return f"{len(frame)} bytes {kind}".strip()
