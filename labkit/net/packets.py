"""Frames and packets: the bytes that a host puts on its cable, and those that tcpdump saw there.

MAC addresses are six bytes, IPv4 addresses numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from labkit.net.headers import IPV4, TAGGED

BROADCAST = b"\xff" * 6
# The byte order of a capture, by its first four bytes: draft-ietf-opsawg-pcap, 4.
_ORDERS = {b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">"}


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
    source: int, destination: int, protocol: int, payload: bytes, identification: int = 0
) -> bytes:
    """An IPv4 packet that may not be fragmented, with up to 65,515 bytes of payload."""
    # Version 4 and five words, so no options; "do not fragment"; time to live: RFC 791, 3.1.
    begins = struct.pack("!BxHHH", 0x45, 20 + len(payload), identification, 0x4000)
    ends = struct.pack("!BBxxII", 64, protocol, source, destination)
    return with_checksum(begins + ends) + payload


def icmp(kind: int, identifier: int, sequence: int, data: bytes = b"") -> bytes:
    """An ICMP echo (RFC 792): kind 8 asks, 0 replies."""
    rest = struct.pack("!HH", identifier, sequence) + data
    return struct.pack("!BxH", kind, checksum(bytes([kind, 0]) + rest)) + rest


def captured(data: bytes) -> list[bytes]:
    """The frames of a capture that tcpdump writes of a cable: draft-ietf-opsawg-pcap, 4 and 5.

    A last one cut short is left out, for tcpdump is still writing; what is no capture has none.
    """
    order = _ORDERS.get(data[:4])
    frames = list[bytes]()
    offset = 24  # behind the header of the file
    while order and offset + 16 <= len(data):
        (size,) = struct.unpack_from(f"{order}I", data, offset + 8)
        start = offset + 16
        offset = start + size
        if offset <= len(data):
            frames.append(data[start:offset])
    return frames
