"""Captures against those that scapy writes, and against files that end anywhere or lie."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples.errors import refused
from samples.networks import scapy

from labkit.errors import LabError
from labkit.net.capture import LONGEST_PACKET, read

FRAMES = [b"", b"x", bytes(range(60)), b"\xff" * 1514]


def written(order: str = "<", link: int = 1, frames: list[bytes] = FRAMES) -> bytes:
    """A capture as draft-ietf-opsawg-pcap draws it: a packet a second, a quarter past it."""
    return struct.pack(order + "IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link) + b"".join(
        struct.pack(order + "4I", 10 + n, 250_000, len(frame), len(frame)) + frame
        for n, frame in enumerate(frames)
    )


@pytest.mark.parametrize("order", "<>")
def test_both_orders(order: str) -> None:
    assert read(written(order)) == FRAMES


@pytest.mark.live("scapy")
@pytest.mark.parametrize("options", [{}, {"endianness": ">"}], ids=str)
def test_what_scapy_writes(tmp_path: Path, options: dict[str, Any]) -> None:
    s = scapy()
    head = s.Ether() / s.Dot1Q(vlan=10) / s.IP(dst="10.0.0.1") / s.ICMP()
    packets = [head / bytes(size) for size in (0, 7, 1400)]
    path = tmp_path / "scapy.pcap"
    s.wrpcap(str(path), packets, **options)
    assert read(path.read_bytes()) == [bytes(packet) for packet in packets]


@given(st.integers(0, 24 + 4 * 16 + sum(map(len, FRAMES))), st.sampled_from("<>"))
def test_cut_short_anywhere(size: int, order: str) -> None:
    data = written(order)[:size]
    if size < 24:
        words = "no capture" if size < 4 else "ends within its own header"
        assert words in refused(read, data)
        return
    ends = [24 + sum(16 + len(frame) for frame in FRAMES[: n + 1]) for n in range(4)]
    assert read(data) == FRAMES[: sum(end <= size for end in ends)]


@given(st.binary(max_size=100), st.sampled_from([b"", written(frames=[]), written(">", frames=[])]))
def test_any_bytes_are_read_or_refused_in_one_line(data: bytes, head: bytes) -> None:
    try:
        found = read(head + data)
    except LabError as error:
        assert "\n" not in str(error)
    else:
        assert sum(16 + len(frame) for frame in found) <= len(data)


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "That is no capture of tcpdump's (pcap): write one with `tcpdump -w FILE`."),
        (b"\x0a\x0d\x0d\x0a" + bytes(100), "no capture"),  # pcapng
        (written(link=113), "The capture is of link type 113, and only Ethernet (1) is read here."),
        (
            written(frames=[])
            + struct.pack("<4I", 0, 0, LONGEST_PACKET + 1, 0)
            + bytes(LONGEST_PACKET + 1),
            "A packet of 262,145 bytes in the capture: the file is damaged from byte 24 on.",
        ),
        (
            written(frames=[b"x"]) + b"\xff" * 16,
            "A packet of 4,294,967,295 bytes in the capture: the file is damaged from byte 41 on.",
        ),
    ],
)
def test_what_is_refused(data: bytes, words: str) -> None:
    assert words in refused(read, data)


def test_the_longest_packet_and_the_bits_above_the_link_type() -> None:
    assert len(read(written(frames=[bytes(LONGEST_PACKET)]))[0]) == LONGEST_PACKET
    assert read(written(link=0x1400_0001)) == FRAMES, "they tell a check sequence's length"
