"""Packets and captures against scapy, byte for byte and field for field."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from samples.networks import fields, scapy

from labkit.net import packets
from labkit.net.headers import ARP, dissect, vlans
from labkit.net.packets import BROADCAST, checksum

macs = st.binary(min_size=6, max_size=6)
ips = st.integers(0, 2**32 - 1)
words = st.integers(0, 2**16 - 1)
payloads = st.binary(max_size=64)
ethertypes = words.filter(lambda kind: kind != 0x8100)


def ip(address: int) -> str:
    return str(IPv4Address(address))


@pytest.mark.live("scapy")
@given(macs, macs, ethertypes, st.lists(st.integers(0, 4095), max_size=4), payloads)
def test_frames(to: bytes, source: bytes, kind: int, tags: list[int], data: bytes) -> None:
    s = scapy()
    packet = s.Ether(dst=to.hex(":"), src=source.hex(":"))
    for tag in tags:
        packet /= s.Dot1Q(vlan=tag)
    packet.lastlayer().type = kind
    frame = packets.ethernet(to, source, kind, data, tags)
    assert frame == bytes(packet / s.Raw(data))
    assert vlans(frame) == tuple(tags)
    found = dissect(frame)
    assert found[0].of("destination") == int.from_bytes(to, "big")
    assert found[0].of("source") == int.from_bytes(source, "big")
    assert [header.of("VLAN") for header in found if header.name == "802.1Q"] == tags
    assert found[len(tags) + 1].of("EtherType") == kind


@pytest.mark.live("scapy")
@given(st.integers(1, 2), macs, ips, macs, ips)
def test_arp(operation: int, mac: bytes, sender: int, other: bytes, target: int) -> None:
    ours = packets.arp(operation, (mac, sender), (other, target))
    theirs = scapy().ARP(
        op=operation,
        hwsrc=mac.hex(":"),
        psrc=ip(sender),
        hwdst=other.hex(":"),
        pdst=ip(target),
        hwlen=6,
        plen=4,
    )
    assert ours == bytes(theirs)
    assert fields(packets.ethernet(BROADCAST, mac, ARP, ours), "ARP") == {
        "hardware": theirs.hwtype,
        "protocol": theirs.ptype,
        "hardware size": 6,
        "protocol size": 4,
        "operation": operation,
        "sender MAC": int.from_bytes(mac, "big"),
        "sender IP": sender,
        "target MAC": int.from_bytes(other, "big"),
        "target IP": target,
    }


@pytest.mark.live("scapy")
@given(ips, ips, st.integers(0, 255), payloads, words)
def test_ipv4(source: int, to: int, protocol: int, data: bytes, number: int) -> None:
    s = scapy()
    ours = packets.ipv4(source, to, protocol, data, number)
    head = s.IP(src=ip(source), dst=ip(to), proto=protocol, id=number, flags="DF")
    assert ours == bytes(head / s.Raw(data))
    read = s.IP(ours)
    assert fields(ours, "IPv4", "IPv4") == {
        "version": 4,
        "header words": read.ihl,
        "DSCP": read.tos >> 2,
        "ECN": read.tos & 3,
        "total length": read.len,
        "identification": read.id,
        "flags": int(read.flags),
        "fragment offset": read.frag,
        "time to live": read.ttl,
        "protocol": read.proto,
        "checksum": read.chksum,
        "source": source,
        "destination": to,
    }


@pytest.mark.live("scapy")
@given(st.sampled_from([0, 8]), words, words, payloads)
def test_icmp(kind: int, number: int, sequence: int, data: bytes) -> None:
    s = scapy()
    ours = packets.icmp(kind, number, sequence, data)
    assert ours == bytes(s.ICMP(type=kind, id=number, seq=sequence) / s.Raw(data))
    assert fields(ours, "ICMP", "ICMP") == {
        "type": kind,
        "code": 0,
        "checksum": s.ICMP(ours).chksum,
        "identifier": number,
        "sequence": sequence,
    }


@given(st.binary(max_size=300))
@example(b"\xff\xff" * 40)
@example(b"")
def test_the_checksum_is_that_of_rfc_1071(data: bytes) -> None:
    """Word by word, with the carry brought round at once: RFC 1071, section 1."""
    total = 0
    for at in range(0, len(data), 2):
        total += int.from_bytes(data[at : at + 2].ljust(2, b"\0"), "big")
        total = (total & 0xFFFF) + (total >> 16)
    assert checksum(data) == total ^ 0xFFFF
    even = data + b"\0" * (len(data) % 2)
    assert checksum(even + checksum(data).to_bytes(2, "big")) == 0


def test_the_checksum_of_the_example_in_rfc_1071() -> None:
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == ~0xDDF2 & 0xFFFF


# -- captures -----------------------------------------------------------------------------------

FRAMES = [b"", b"x", bytes(range(60)), b"\xff" * 1514]


def written(order: str, frames: list[bytes]) -> bytes:
    """A capture as draft-ietf-opsawg-pcap draws it: a packet a second, a quarter past it."""
    return struct.pack(order + "IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + b"".join(
        struct.pack(order + "4I", 10 + n, 250_000, len(frame), len(frame)) + frame
        for n, frame in enumerate(frames)
    )


@pytest.mark.live("scapy")
@pytest.mark.parametrize("options", [{}, {"endianness": ">"}], ids=str)
def test_captures_that_scapy_writes(tmp_path: Path, options: dict[str, str]) -> None:
    s = scapy()
    head = s.Ether() / s.Dot1Q(vlan=10) / s.IP(dst="10.0.0.1") / s.ICMP()
    frames = [head / bytes(size) for size in (0, 7, 1400)]
    s.wrpcap(str(tmp_path / "scapy.pcap"), frames, **options)
    read = packets.captured((tmp_path / "scapy.pcap").read_bytes())
    assert read == [bytes(frame) for frame in frames]


@given(st.integers(0, 24 + 4 * 16 + sum(map(len, FRAMES))), st.sampled_from("<>"))
def test_a_capture_cut_short_anywhere(size: int, order: str) -> None:
    ends = [24 + sum(16 + len(frame) for frame in FRAMES[: n + 1]) for n in range(4)]
    whole = FRAMES[: sum(end <= size for end in ends)]
    assert packets.captured(written(order, FRAMES)[:size]) == whole


@given(st.binary(max_size=100), st.sampled_from([b"", written("<", []), written(">", [])]))
def test_any_bytes_are_a_capture_of_what_is_in_them(data: bytes, head: bytes) -> None:
    frames = packets.captured(head + data)
    assert sum(16 + len(frame) for frame in frames) <= len(data)
