"""Captures: what tcpdump wrote, as frames. Source: draft-ietf-opsawg-pcap, 4 and 5."""

from __future__ import annotations

import struct

from labkit.errors import LabError

LONGEST_PACKET = 262_144  # bytes: tcpdump's own limit
_ORDERS = {b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">"}  # of bytes, by the first four
_HEADER = 24  # bytes, of the file
_RECORD = 16  # bytes, in front of each packet
_ETHERNET = 1  # link type


def read(data: bytes) -> list[bytes]:
    """The frames of a capture; a last one cut short is left out, for tcpdump was still writing.

    Raises :class:`LabError` for anything else than a capture of Ethernet.
    """
    order = _ORDERS.get(data[:4])
    if not order:
        raise LabError("That is no capture of tcpdump's (pcap): write one with `tcpdump -w FILE`.")
    if len(data) < _HEADER:
        raise LabError(
            "The capture ends within its own header: capture again, and stop tcpdump with Ctrl-C."
        )
    number = struct.Struct(order + "I")
    link = number.unpack_from(data, 20)[0] & 0xFFFF  # above: how long a check sequence is
    if link != _ETHERNET:
        raise LabError(
            "The capture is of link type {link}, and only Ethernet (1) is read here.", link=link
        )
    frames = list[bytes]()
    offset = _HEADER
    while offset + _RECORD <= len(data):
        (size,) = number.unpack_from(data, offset + 8)
        if size > LONGEST_PACKET:
            raise LabError(
                "A packet of {size:,} bytes in the capture: the file is damaged from byte "
                "{offset:,} on.",
                size=size,
                offset=offset,
            )
        start = offset + _RECORD
        offset = start + size
        if offset <= len(data):
            frames.append(data[start:offset])
    return frames
