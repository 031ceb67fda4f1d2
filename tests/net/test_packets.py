"""Packets against scapy, byte for byte and field for field."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from samples.networks import fields, refused, scapy

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
@given(ips, ips, st.integers(0, 255), payloads, st.integers(0, 255), words)
def test_ipv4(source: int, to: int, protocol: int, data: bytes, ttl: int, number: int) -> None:
    s = scapy()
    ours = packets.ipv4(source, to, protocol, data, ttl, number)
    head = s.IP(src=ip(source), dst=ip(to), proto=protocol, ttl=ttl, id=number, flags="DF")
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


def test_a_packet_has_a_longest() -> None:
    assert len(packets.ipv4(1, 2, 17, bytes(65515))) == 65535
    said = refused(lambda: packets.ipv4(1, 2, 17, bytes(65516)))
    assert said.startswith("65516 bytes do not fit into one IPv4 packet, which holds 65,515")
