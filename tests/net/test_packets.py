"""Packets against scapy, byte for byte and field for field; pieces that scapy puts together."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from samples.errors import refused
from samples.networks import fields, scapy

from labkit.net import packets
from labkit.net.headers import dissect, vlans
from labkit.net.layouts import ARP, IPV4, LAYOUTS
from labkit.net.packets import BROADCAST, checksum, fragments

ANA, BEN = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2"
A, B = 0x0A00_0A01, 0x0A00_0A02  # 10.0.10.1 and .2
PING = packets.ipv4(A, B, 1, packets.icmp(8, 1, 1, b"x"))
macs = st.binary(min_size=6, max_size=6)
ips = st.integers(0, 2**32 - 1)
words = st.integers(0, 2**16 - 1)
payloads = st.binary(max_size=64)
ethertypes = words.filter(lambda kind: kind != 0x8100)


def ip(address: int) -> str:
    return str(IPv4Address(address))


# -- as scapy builds them -----------------------------------------------------------------------


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


@pytest.mark.live("scapy")
@given(ips, words, ips, words, payloads, st.integers(0, 255), st.integers(0, 2**32 - 1))
@example(0, 0, 0, 0xFFDE, b"", 0, 0)  # UDP's sum is 0xFFFF: 0 as its checksum would say "none"
@example(0, 0, 0, 0xB4F3, b"", 0, 0)  # TCP's sum is 0xFFFF: its checksum is 0
def test_udp_and_tcp(
    source: int, port: int, to: int, other: int, data: bytes, flags: int, sequence: int
) -> None:
    s = scapy()
    head = s.IP(src=ip(source), dst=ip(to))
    ours = packets.udp((source, port), (to, other), data)
    assert ours == bytes(head / s.UDP(sport=port, dport=other) / s.Raw(data))[20:]
    assert fields(ours, "UDP", "UDP") == {
        "source port": port,
        "destination port": other,
        "length": 8 + len(data),
        "checksum": s.UDP(ours).chksum,
    }
    segment = s.TCP(sport=port, dport=other, seq=sequence, ack=1, window=64240, flags=flags)
    ours = packets.tcp((source, port), (to, other), data, flags, sequence)
    assert ours == bytes(head / segment / s.Raw(data))[20:]
    read = s.TCP(ours)
    assert fields(ours, "TCP", "TCP") == {
        "source port": read.sport,
        "destination port": read.dport,
        "sequence": read.seq,
        "acknowledgement": read.ack,
        "header words": read.dataofs,
        "reserved": read.reserved,
        "flags": int(read.flags),
        "window": read.window,
        "checksum": read.chksum,
        "urgent": read.urgptr,
    }


@pytest.mark.live("scapy")
def test_packets_in_packets() -> None:
    s = scapy()
    gre = packets.ipv4(A, B, 47, LAYOUTS["GRE"].build(0, IPV4) + PING)
    assert gre == bytes(s.IP(src=ip(A), dst=ip(B), id=0, flags="DF") / s.GRE() / s.IP(PING))
    protocol = s.IP(gre)[s.GRE].proto
    assert fields(gre, "GRE", "IPv4") == {"flags and version": 0, "protocol": protocol}
    frame = packets.ethernet(BEN, ANA, IPV4, PING)
    vxlan = LAYOUTS["VXLAN"].build(8, 0, 42, 0) + frame
    assert vxlan == bytes(s.VXLAN(flags=8, vni=42) / s.Ether(frame))
    found = dissect(packets.udp((A, 4789), (B, 4789), vxlan), "UDP")
    names = ["UDP", "VXLAN", "Ethernet", "type", "IPv4", "ICMP", "data"]
    assert [header.name for header in found] == names


# -- checksums and lengths ----------------------------------------------------------------------


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
    assert len(packets.ipv4(A, B, 17, bytes(65515))) == 65535
    said = refused(packets.ipv4, A, B, 17, bytes(65516))
    assert said.startswith("65516 bytes do not fit into one IPv4 packet, which holds 65,515")


# -- fragments ----------------------------------------------------------------------------------


@pytest.mark.live("scapy")
@settings(max_examples=30)
@given(st.integers(0, 3000), st.integers(28, 1500), st.integers(28, 1500))
def test_scapy_puts_fragments_together(size: int, mtu: int, narrower: int) -> None:
    s = scapy()
    data = packets.icmp(8, 1, 1, bytes(n % 251 for n in range(size)))
    whole = bytes(s.IP(src=ip(A), dst=ip(B), id=7, proto=1) / data)
    pieces = [small for piece in fragments(whole, mtu) for small in fragments(piece, narrower)]
    assert all(len(piece) <= min(mtu, narrower) for piece in pieces)
    assert all((len(piece) - 20) % 8 == 0 for piece in pieces[:-1])
    assert all(checksum(piece[:20]) == 0 for piece in pieces)
    [found] = s.defragment([s.IP(piece) for piece in pieces])
    assert found.build() == whole


def test_what_fits_stays_as_it_is() -> None:
    assert fragments(PING, len(PING)) == [PING]


@pytest.mark.parametrize(
    "packet, mtu, said",
    [
        (b"\x46" + PING[1:], 28, "Only IPv4 packets without options are cut here"),
        (PING, 27, "27 bytes hold no header of 20 and eight of data"),
        (PING, 28, 'The packet of 29 bytes says "do not fragment", and the next network takes 28:'),
    ],
)
def test_what_may_not_be_cut(packet: bytes, mtu: int, said: str) -> None:
    assert said in refused(fragments, packet, mtu)
