"""Captures: what tcpdump wrote, as frames. Source: draft-ietf-opsawg-pcap, 4 and 5."""

from __future__ import annotations

import struct
from typing import NamedTuple

from labkit.commands import LabError

_MAGIC = {b"\xd4\xc3\xb2\xa1": ("<", 1e-6), b"\xa1\xb2\xc3\xd4": (">", 1e-6),
          b"\x4d\x3c\xb2\xa1": ("<", 1e-9), b"\xa1\xb2\x3c\x4d": (">", 1e-9)}
FIRST = {1: "Ethernet", 101: "IPv4"}  # link types: what a packet begins with
LONGEST = 262_144  # bytes of one packet: tcpdump's own limit


class Seen(NamedTuple):
    """One packet of a capture: when (seconds since 1970), its bytes, and whether they are all of it."""

    time: float
    frame: bytes
    whole: bool = True


def read(data: bytes) -> tuple[str, list[Seen]]:
    """What a capture's packets begin with (as for ``dissect``), and the packets; a last one cut short is left out.

    Raises :class:`LabError` for anything else than a capture.
    """
    if data[:4] not in _MAGIC:
        raise LabError("That is no capture of tcpdump's (pcap): write one with `tcpdump -w FILE`.")
    order, unit = _MAGIC[data[:4]]
    if len(data) < 24:
        raise LabError("The capture ends within its own header: capture again, and stop tcpdump with Ctrl-C.")
    link = struct.unpack_from(order + "I", data, 20)[0] & 0xFFFF
    if link not in FIRST:
        raise LabError(f"The capture is of link type {link}, and only Ethernet (1) and plain IP (101) are read here.")
    found, at = list[Seen](), 24
    while at + 16 <= len(data):
        seconds, parts, size, whole = struct.unpack_from(order + "4I", data, at)
        if size > LONGEST:
            raise LabError(f"A packet of {size:,} bytes in the capture: the file is damaged from byte {at:,} on.")
        if at + 16 + size > len(data):
            break  # tcpdump was still writing
        found.append(Seen(seconds + parts * unit, data[at + 16:at + 16 + size], size == whole))
        at += 16 + size
    return FIRST[link], found
