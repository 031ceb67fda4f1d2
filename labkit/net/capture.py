"""Captures: what tcpdump wrote, as frames. Source: draft-ietf-opsawg-pcap, 4 and 5."""

from __future__ import annotations

import struct

from labkit.errors import LabError

_ORDER = {b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">"}
LONGEST = 262_144  # bytes of one packet: tcpdump's own limit


def read(data: bytes) -> list[bytes]:
    """The frames of a capture; a last one cut short is left out.

    Raises :class:`LabError` for anything else than a capture of Ethernet.
    """
    if data[:4] not in _ORDER:
        raise LabError("That is no capture of tcpdump's (pcap): write one with `tcpdump -w FILE`.")
    order = _ORDER[data[:4]]
    if len(data) < 24:
        raise LabError(
            "The capture ends within its own header: capture again, and stop tcpdump with Ctrl-C."
        )
    link = struct.unpack_from(order + "I", data, 20)[0] & 0xFFFF
    if link != 1:
        raise LabError(f"The capture is of link type {link}, and only Ethernet (1) is read here.")
    found, at = list[bytes](), 24
    while at + 16 <= len(data):
        size = struct.unpack_from(order + "I", data, at + 8)[0]
        if size > LONGEST:
            raise LabError(
                f"A packet of {size:,} bytes in the capture: the file is damaged from byte {at:,} on."
            )
        if at + 16 + size > len(data):
            break  # tcpdump was still writing
        found.append(data[at + 16 : at + 16 + size])
        at += 16 + size
    return found
