"""Frames and packets built: the bytes that a host puts on its cable.

Nothing here writes to a network. MAC addresses are six bytes, IPv4 addresses numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from labkit.errors import LabError
from labkit.messages import _
from labkit.net.layouts import IPV4, TAGGED, TCP, UDP

BROADCAST = b"\xff" * 6
LONGEST = 65_515  # bytes that one IPv4 packet carries: its length is told in 16 bits (RFC 791, 3.1)
# Of an IPv4 header: RFC 791, 3.1.
_HEADER = 20  # bytes, without options
_HEADER_BEGINS = 0x45  # version 4, five words: no options
_DO_NOT_FRAGMENT = 0x4000
_MORE = 0x2000  # pieces follow
_OFFSET = 0x1FFF  # of a piece
_UNIT = 8  # bytes that an offset counts


def checksum(data: bytes) -> int:
    """The Internet checksum: ones' complement of the ones' complement sum of words (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(
    destination: bytes, source: bytes, kind: int, payload: bytes, tags: Sequence[int] = ()
) -> bytes:
    """A frame without its check sequence; ``tags`` are VLAN identifiers, the outer one first."""
    tagged = b"".join(struct.pack("!HH", TAGGED, tag) for tag in tags)
    return destination + source + tagged + kind.to_bytes(2, "big") + payload


def arp(operation: int, sender: tuple[bytes, int], target: tuple[bytes, int]) -> bytes:
    """An ARP packet for Ethernet and IPv4 (RFC 826): 1 asks, 2 replies; addresses are (MAC, IP)."""
    return struct.pack("!HHBBH6sI6sI", 1, IPV4, 6, 4, operation, *sender, *target)


def with_checksum(header: bytes) -> bytes:
    """An IPv4 header of 20 bytes with its checksum as it should be."""
    total = checksum(header[:10] + header[12:])
    return header[:10] + total.to_bytes(2, "big") + header[12:]


def ipv4(
    source: int,
    destination: int,
    protocol: int,
    payload: bytes,
    ttl: int = 64,
    identification: int = 0,
) -> bytes:
    """An IPv4 packet that may not be fragmented. Raises :class:`LabError` if it is too long."""
    if len(payload) > LONGEST:
        why = _(
            "{size} bytes do not fit into one IPv4 packet, which holds {most:,}: send less.",
            size=len(payload),
            most=LONGEST,
        )
        raise LabError(why)
    header = struct.pack(
        "!BxHHHBBxxII",
        _HEADER_BEGINS,
        _HEADER + len(payload),
        identification,
        _DO_NOT_FRAGMENT,
        ttl,
        protocol,
        source,
        destination,
    )
    return with_checksum(header) + payload


def icmp(kind: int, identifier: int, sequence: int, data: bytes = b"") -> bytes:
    """An ICMP echo (RFC 792): kind 8 asks, 0 replies."""
    rest = struct.pack("!HH", identifier, sequence) + data
    return struct.pack("!BxH", kind, checksum(bytes([kind, 0]) + rest)) + rest


def _transport_checksum(protocol: int, source: int, destination: int, segment: bytes) -> int:
    """Of UDP or TCP: it covers a pseudo header too (RFC 9293, 3.1)."""
    pseudo = struct.pack("!IIxBH", source, destination, protocol, len(segment))
    return checksum(pseudo + segment)


def udp(source: tuple[int, int], destination: tuple[int, int], data: bytes) -> bytes:
    """A UDP datagram (RFC 768) between two (IP, port)."""
    header = struct.pack("!HHH", source[1], destination[1], 8 + len(data))
    total = _transport_checksum(UDP, source[0], destination[0], header + bytes(2) + data)
    total = total or 0xFFFF  # 0 would say that there is none
    return header + total.to_bytes(2, "big") + data


def tcp(
    source: tuple[int, int],
    destination: tuple[int, int],
    data: bytes,
    flags: int = 0x18,
    sequence: int = 1,
) -> bytes:
    """A TCP segment (RFC 9293, 3.1) between two (IP, port); ``flags`` 0x18 are PSH and ACK."""
    header = struct.pack("!HHIIBBH", source[1], destination[1], sequence, 1, 0x50, flags, 64240)
    total = _transport_checksum(TCP, source[0], destination[0], header + bytes(4) + data)
    return header + total.to_bytes(2, "big") + bytes(2) + data


# -- cut into pieces, as a router does whose next network takes less (RFC 791, 3.2) --------------


def fragments(packet: bytes, mtu: int) -> list[bytes]:
    """An IPv4 packet in pieces of at most ``mtu`` bytes; it may be a piece itself.

    Raises :class:`LabError` if it may not be cut: the sender has said so, or there is room for no
    data at all.
    """
    if len(packet) <= mtu:
        return [packet]
    _check(packet, mtu)
    control = int.from_bytes(packet[6:8], "big")
    step = (mtu - _HEADER) // _UNIT * _UNIT
    data = packet[_HEADER:]
    pieces = list[bytes]()
    for start in range(0, len(data), step):
        piece = data[start : start + step]
        more = control & _MORE if start + step >= len(data) else _MORE
        offset = (control & _OFFSET) + start // _UNIT
        size = (_HEADER + len(piece)).to_bytes(2, "big")
        header = packet[:2] + size + packet[4:6] + (more | offset).to_bytes(2, "big") + packet[8:20]
        pieces.append(with_checksum(header) + piece)
    return pieces


def _check(packet: bytes, mtu: int) -> None:
    """Raise :class:`LabError` if a packet may not be cut."""
    if packet[0] != _HEADER_BEGINS:
        raise LabError("Only IPv4 packets without options are cut here.")
    if mtu < _HEADER + _UNIT:
        why = _(
            "{mtu} bytes hold no header of 20 and eight of data: an IPv4 network takes at "
            "least 68.",
            mtu=mtu,
        )
        raise LabError(why)
    if int.from_bytes(packet[6:8], "big") & _DO_NOT_FRAGMENT:
        why = _(
            'The packet of {size} bytes says "do not fragment", and the next network takes '
            "{mtu}: the router drops it and tells the sender so (ICMP, RFC 1191). If a "
            "firewall stops that word, the connection just hangs.",
            size=len(packet),
            mtu=mtu,
        )
        raise LabError(why)
