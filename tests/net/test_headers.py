"""Frames taken apart: what scapy reads in them, and bytes that nobody should send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples.networks import fields, names, scapy

from labkit.net.headers import ARP, DEPTH, IPV4, LAYOUTS, Header, dissect, summary, vlans
from labkit.net.packets import BROADCAST, arp, ethernet, icmp, ipv4

ANA, BEN = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2"
A, B = 0x0A00_0A01, 0x0A00_0A02  # 10.0.10.1 and .2
PING = ipv4(A, B, 1, icmp(8, 1, 1))
TAGGED = ethernet(BEN, ANA, IPV4, PING, [10])
QUESTION = ethernet(BROADCAST, ANA, ARP, arp(1, (ANA, A), (bytes(6), B)))
GRE = ethernet(BEN, ANA, IPV4, ipv4(A, B, 47, b"\0\0\x65\x58" * 9))


def datagram(port: int, data: bytes) -> bytes:
    """A UDP datagram from a port to the same one."""
    return LAYOUTS["UDP"].build(port, port, 8 + len(data), 0) + data


@pytest.mark.live("scapy")
@given(st.integers(0, 7), st.integers(0, 1), st.integers(0, 4095))
def test_tags_are_read_as_scapy_reads_them(priority: int, drop: int, vlan: int) -> None:
    s = scapy()
    frame = bytes(s.Ether() / s.Dot1Q(prio=priority, dei=drop, vlan=vlan) / s.IP())
    assert fields(frame, "802.1Q") == {
        "tag protocol": 0x8100,
        "priority": priority,
        "drop eligible": drop,
        "VLAN": vlan,
    }


@pytest.mark.parametrize("flags", ["8000", "2000", "1000", "0001"])
def test_gre_with_more_fields_is_not_guessed_at(flags: str) -> None:
    """Checksum, key, sequence (RFC 2890, 2), or version 1 (RFC 2637)."""
    assert names(bytes.fromhex(flags) + b"\x08\0" + PING, "GRE") == ["GRE", "data"]


@pytest.mark.live("scapy")
def test_packets_in_packets() -> None:
    s = scapy()
    gre = ipv4(A, B, 47, LAYOUTS["GRE"].build(0, IPV4) + PING)
    assert gre == bytes(
        s.IP(src="10.0.10.1", dst="10.0.10.2", id=0, flags="DF") / s.GRE() / s.IP(PING)
    )
    assert fields(gre, "GRE", "IPv4") == {
        "flags and version": 0,
        "protocol": s.IP(gre)[s.GRE].proto,
    }
    vxlan = LAYOUTS["VXLAN"].build(8, 0, 42, 0) + ethernet(BEN, ANA, IPV4, PING)
    assert vxlan == bytes(s.VXLAN(flags=8, vni=42) / s.Ether(ethernet(BEN, ANA, IPV4, PING)))
    found = names(datagram(4789, vxlan), "UDP")
    assert found == ["UDP", "VXLAN", "Ethernet", "type", "IPv4", "ICMP"]


def test_options_are_told() -> None:
    packet = bytes([0x46]) + PING[1:20] + b"\x94\4\0\0" + PING[20:]  # router alert: RFC 2113
    found = dissect(packet, "IPv4")
    check_cover(packet, found)
    assert [header.name for header in found] == ["IPv4", "ICMP"] and found[0].size == 24
    assert str(found[0].values[-1]) == "options 94 04 00 00"
    segment = LAYOUTS["TCP"].build(1, 2, 1, 1, 6, 0, 0x18, 64240, 0, 0) + b"\2\4\5\xb4x"
    assert str(dissect(segment, "TCP")[0].values[-1]) == "options 02 04 05 b4"


def test_a_length_is_no_ethertype() -> None:
    """Spanning tree, which sits on LLC: IEEE 802.3-2022, 3.2.6."""
    bridge = ethernet(b"\1\x80\xc2\0\0\0", ANA, 38, b"\x42\x42\3")
    assert dissect(bridge)[1].text("EtherType") == "0x0026 length"


# -- any bytes ----------------------------------------------------------------------------------


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good frame with some bytes changed, cut short."""
    frame = bytearray(draw(st.sampled_from([TAGGED, QUESTION, GRE])))
    for at in draw(st.lists(st.integers(0, len(frame) - 1), max_size=4)):
        frame[at] = draw(st.integers(0, 255))
    return bytes(frame[: draw(st.integers(0, len(frame)))])


def check_cover(frame: bytes, found: list[Header]) -> None:
    """The headers cover the frame exactly once, in order; fields lie inside, side by side."""
    whole = int.from_bytes(frame, "big")
    offset = 0
    for header in found:
        assert header.offset == offset and header.size > 0
        offset += header.size
        bit = header.offset * 8
        for value in header.values:
            below = len(frame) * 8 - bit - value.bits
            assert value.bit == bit and value.value == whole >> below & ((1 << value.bits) - 1)
            bit += value.bits
        assert bit <= offset * 8
    assert offset == len(frame)


@given(st.one_of(st.binary(max_size=200), damaged()), st.sampled_from([*LAYOUTS, "no such header"]))
def test_any_bytes_are_covered_by_headers(frame: bytes, first: str) -> None:
    check_cover(frame, dissect(frame, first))
    assert len(summary(frame, {})) < 500
    assert all(0 <= vlan < 4096 for vlan in vlans(frame))


def damage(at: int, data: bytes) -> bytes:
    """PING with other bytes from one on."""
    return PING[:at] + data + PING[at + len(data) :]


@pytest.mark.parametrize(
    "kind, payload, last",
    [
        (IPV4, damage(0, b"\x40"), "ICMP"),  # a header of no words
        (IPV4, damage(0, b"\x4f"), "IPv4"),  # one of fifteen, and less is there
        (IPV4, damage(0, b"\x65"), "cut short"),  # version 6 where 4 is said
        (IPV4, PING[:19], "cut short"),
        (IPV4, damage(6, b"\0\1"), "data"),  # a fragment that is not the first
        (IPV4, damage(6, b"\x20\0"), "ICMP"),  # the first one
        (0x8100, b"\0", "cut short"),
        (0x1234, b"x", "data"),
        (0x8100, b"\0\1\x81\0" * 300, "data"),  # very many tags
    ],
)
def test_hostile_frames(kind: int, payload: bytes, last: str) -> None:
    frame = ethernet(BEN, ANA, kind, payload)
    found = dissect(frame)
    check_cover(frame, found)
    assert found[-1].name == last and len(found) <= DEPTH + 1


@pytest.mark.parametrize(
    "kind, name",
    [
        (1, "handshake initiation"),
        (2, "handshake response"),
        (3, "cookie"),
        (4, "WireGuard"),
    ],
)
def test_wireguard_says_what_it_is(kind: int, name: str) -> None:
    assert names(datagram(51820, bytes([kind]) + bytes(40)), "UDP")[1] == name


# -- texts --------------------------------------------------------------------------------------

ANSWER = ethernet(ANA, BEN, ARP, arp(2, (BEN, B), (ANA, A)))
DATAGRAM = ethernet(BEN, ANA, IPV4, ipv4(A, B, 17, datagram(9, b"x")))


@pytest.mark.parametrize(
    "frame, text",
    [
        (TAGGED, "ICMP echo request 10.0.10.1 → ben"),
        (QUESTION, "ARP who has ben? tell 10.0.10.1"),
        (ANSWER, "ARP ben is at 02:00:00:00:00:02"),
        (DATAGRAM, "IPv4 | UDP 10.0.10.1 → ben"),
        (ethernet(BEN, ANA, 0x86DD, b"x"), "15 bytes 0x86dd IPv6"),
        (b"", "0 bytes"),
    ],
)
def test_summary(frame: bytes, text: str) -> None:
    assert summary(frame, names={"10.0.10.2": "ben"}) == text
