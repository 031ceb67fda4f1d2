"""Headers against scapy, byte for byte and field for field; and against bytes that nobody should send."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from samples.networks import scapy

from labkit.errors import LabError
from labkit.net import headers
from labkit.net.headers import ARP, BROADCAST, IPV4, LAYOUTS, Header, dissect

ANA, BEN = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2"
A, B = 0x0A00_0A01, 0x0A00_0A02  # 10.0.10.1 and .2
macs, ips, words = (
    st.binary(min_size=6, max_size=6),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**16 - 1),
)
payloads = st.binary(max_size=64)


def names(frame: bytes, first: str = "Ethernet") -> list[str]:
    return [header.name for header in dissect(frame, first)]


def fields(frame: bytes, name: str, first: str = "Ethernet") -> dict[str, int]:
    header = next(header for header in dissect(frame, first) if header.name == name)
    return {value.name: value.value for value in header.values}


# -- as scapy builds them -----------------------------------------------------------------------


@pytest.mark.scapy
@given(
    macs,
    macs,
    words.filter(lambda kind: kind != 0x8100),
    st.lists(st.integers(0, 4095), max_size=4),
    payloads,
)
def test_frames_are_those_of_scapy(
    to: bytes, source: bytes, kind: int, tags: list[int], data: bytes
) -> None:
    s = scapy()
    packet = s.Ether(dst=to.hex(":"), src=source.hex(":"))
    for tag in tags:
        packet /= s.Dot1Q(vlan=tag)
    packet.lastlayer().type = kind
    frame = headers.ethernet(to, source, kind, data, tags)
    assert frame == bytes(packet / s.Raw(data))
    assert headers.vlans(frame) == tuple(tags)
    found = dissect(frame)
    assert (found[0].of("destination"), found[0].of("source")) == (
        int.from_bytes(to, "big"),
        int.from_bytes(source, "big"),
    )
    assert [header.of("VLAN") for header in found if header.name == "802.1Q"] == tags
    assert found[len(tags) + 1].of("EtherType") == kind


@pytest.mark.scapy
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


@pytest.mark.scapy
@given(st.integers(1, 2), macs, ips, macs, ips)
def test_arp_is_that_of_scapy(
    operation: int, mac: bytes, ip: int, other: bytes, target: int
) -> None:
    s = scapy()
    ours = headers.arp(operation, (mac, ip), (other, target))
    theirs = s.ARP(
        op=operation,
        hwsrc=mac.hex(":"),
        psrc=str(IPv4Address(ip)),
        hwdst=other.hex(":"),
        pdst=str(IPv4Address(target)),
        hwlen=6,
        plen=4,
    )
    assert ours == bytes(theirs)
    read = fields(headers.ethernet(BROADCAST, mac, ARP, ours), "ARP")
    assert read == {
        "hardware": theirs.hwtype,
        "protocol": theirs.ptype,
        "hardware size": 6,
        "protocol size": 4,
        "operation": operation,
        "sender MAC": int.from_bytes(mac, "big"),
        "sender IP": ip,
        "target MAC": int.from_bytes(other, "big"),
        "target IP": target,
    }


@pytest.mark.scapy
@given(ips, ips, st.integers(0, 255), payloads, st.integers(0, 255), words)
def test_ipv4_is_that_of_scapy(
    source: int, to: int, protocol: int, data: bytes, ttl: int, number: int
) -> None:
    s = scapy()
    ours = headers.ipv4(source, to, protocol, data, ttl, number)
    theirs = s.IP(
        src=str(IPv4Address(source)),
        dst=str(IPv4Address(to)),
        proto=protocol,
        ttl=ttl,
        id=number,
        flags="DF",
    ) / s.Raw(data)
    assert ours == bytes(theirs)
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


@pytest.mark.scapy
@given(st.sampled_from([0, 8]), words, words, payloads)
def test_icmp_is_that_of_scapy(kind: int, number: int, sequence: int, data: bytes) -> None:
    s = scapy()
    ours = headers.icmp(kind, number, sequence, data)
    assert ours == bytes(s.ICMP(type=kind, id=number, seq=sequence) / s.Raw(data))
    read = s.ICMP(ours)
    assert fields(ours, "ICMP", "ICMP") == {
        "type": kind,
        "code": 0,
        "checksum": read.chksum,
        "identifier": number,
        "sequence": sequence,
    }


@pytest.mark.scapy
@given(ips, words, ips, words, payloads, st.integers(0, 255), st.integers(0, 2**32 - 1))
@example(
    0, 0, 0, 0xFFDE, b"", 0, 0
)  # UDP whose sum is 0xFFFF: its checksum may not read 0, which says "none"
@example(0, 0, 0, 0xB4F3, b"", 0, 0)  # TCP whose sum is 0xFFFF: its checksum reads 0
def test_udp_and_tcp_are_those_of_scapy(
    source: int, port: int, to: int, other: int, data: bytes, flags: int, sequence: int
) -> None:
    s = scapy()
    ip = s.IP(src=str(IPv4Address(source)), dst=str(IPv4Address(to)))
    segment = s.TCP(sport=port, dport=other, seq=sequence, ack=1, window=64240, flags=flags)
    ours = headers.udp((source, port), (to, other), data)
    assert ours == bytes(ip / s.UDP(sport=port, dport=other) / s.Raw(data))[20:]
    assert fields(ours, "UDP", "UDP") == {
        "source port": port,
        "destination port": other,
        "length": 8 + len(data),
        "checksum": s.UDP(ours).chksum,
    }
    ours = headers.tcp((source, port), (to, other), data, flags, sequence)
    assert ours == bytes(ip / segment / s.Raw(data))[20:]
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


@pytest.mark.scapy
def test_packets_in_packets_are_those_of_scapy() -> None:
    s = scapy()
    inner = headers.ipv4(A, B, 1, headers.icmp(8, 1, 1, b"x"))
    gre = headers.ipv4(A, B, 47, LAYOUTS["GRE"].build(0, IPV4) + inner)
    assert gre == bytes(
        s.IP(src="10.0.10.1", dst="10.0.10.2", id=0, flags="DF") / s.GRE() / s.IP(inner)
    )
    assert fields(gre, "GRE", "IPv4") == {
        "flags and version": 0,
        "protocol": s.IP(gre)[s.GRE].proto,
    }
    frame = headers.ethernet(BEN, ANA, IPV4, inner)
    vxlan = LAYOUTS["VXLAN"].build(8, 0, 42, 0) + frame
    assert vxlan == bytes(s.VXLAN(flags=8, vni=42) / s.Ether(frame))
    assert names(headers.udp((A, 4789), (B, 4789), vxlan), "UDP") == [
        "UDP",
        "VXLAN",
        "Ethernet",
        "type",
        "IPv4",
        "ICMP",
        "data",
    ]


@pytest.mark.scapy
@pytest.mark.parametrize("flags", range(8))
def test_gre_with_optional_fields(flags: int) -> None:
    """Checksum, key, sequence: RFC 2784, 2.1, and RFC 2890, 2."""
    s = scapy()
    said, inner = (
        {"chksum_present": flags >> 2, "key_present": flags >> 1 & 1, "seqnum_present": flags & 1},
        PING,
    )
    gre = s.GRE(
        bytes(
            s.GRE(
                **said,
                key=0x1234 if said["key_present"] else None,
                sequence_number=7 if said["seqnum_present"] else None,
            )
            / s.IP(inner)
        )
    )
    found = fields(bytes(gre), "GRE", "GRE")
    assert names(bytes(gre), "GRE") == ["GRE", "IPv4", "ICMP"]
    assert [found.get(name) for name in ("checksum", "key", "sequence")] == [
        gre.chksum,
        gre.key,
        gre.sequence_number,
    ]


@pytest.mark.parametrize("flags", ["4000", "0800", "0001", "6000"])
def test_gre_of_other_kinds_is_not_guessed_at(flags: str) -> None:
    """Routing (RFC 1701) and version 1 (RFC 2637) put other fields in front of what they carry."""
    found = names(bytes.fromhex(flags) + b"\x08\0" + PING, "GRE")
    assert found == ["GRE", "data"]


def test_options_are_told() -> None:
    ip = bytes([0x46]) + PING[1:20] + b"\x94\4\0\0" + PING[20:]  # router alert: RFC 2113
    found = dissect(ip, "IPv4")
    check_cover(ip, found)
    assert [header.name for header in found] == ["IPv4", "ICMP"] and found[0].size == 24
    assert found[0].values[-1][::4] == ("options", "94 04 00 00")
    segment = headers.tcp((A, 1), (B, 2), b"x")
    segment = segment[:12] + b"\x60" + segment[13:20] + b"\2\4\5\xb4" + segment[20:]
    assert [(value.name, value.text) for value in dissect(segment, "TCP")[0].values][-1] == (
        "options",
        "02 04 05 b4",
    )


def test_a_length_is_no_ethertype() -> None:
    """Spanning tree, which sits on LLC: IEEE 802.3-2022, 3.2.6."""
    bridge = headers.ethernet(b"\1\x80\xc2\0\0\0", ANA, 38, b"\x42\x42\3")
    assert dissect(bridge)[1].values[0].text == "0x0026 length"


@given(st.binary(max_size=300))
@example(b"\xff\xff" * 40)
@example(b"")
def test_the_checksum_is_that_of_rfc_1071(data: bytes) -> None:
    total = 0
    for at in range(
        0, len(data), 2
    ):  # word by word with the carry brought round at once: RFC 1071, section 1
        total += int.from_bytes(data[at : at + 2].ljust(2, b"\0"), "big")
        total = (total & 0xFFFF) + (total >> 16)
    found = headers.checksum(data)
    assert found == total ^ 0xFFFF
    even = data + b"\0" * (len(data) % 2)
    assert headers.checksum(even + found.to_bytes(2, "big")) == 0


def test_the_checksum_of_the_example_in_rfc_1071() -> None:
    assert headers.checksum(bytes.fromhex("0001f203f4f5f6f7")) == ~0xDDF2 & 0xFFFF


# -- any bytes ----------------------------------------------------------------------------------

PING = headers.ipv4(A, B, 1, headers.icmp(8, 1, 1))
GOOD = [
    headers.ethernet(BEN, ANA, IPV4, PING, [10]),
    headers.ethernet(BROADCAST, ANA, ARP, headers.arp(1, (ANA, A), (bytes(6), B))),
    headers.ethernet(BEN, ANA, IPV4, headers.ipv4(A, B, 47, b"\0\0\x65\x58" * 9)),
]
FIRSTS = [*LAYOUTS, "no such header"]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good frame with some bytes changed, cut short."""
    frame = bytearray(draw(st.sampled_from(GOOD)))
    for at in draw(st.lists(st.integers(0, len(frame) - 1), max_size=4)):
        frame[at] = draw(st.integers(0, 255))
    return bytes(frame[: draw(st.integers(0, len(frame)))])


def check_cover(frame: bytes, found: list[Header]) -> None:
    """The headers cover the frame exactly once, in order; fields lie inside, one beside the other."""
    assert [header.offset for header in found] == [
        sum(h.size for h in found[:n]) for n in range(len(found))
    ]
    assert sum(header.size for header in found) == len(frame)
    whole = int.from_bytes(frame, "big")
    for header in found:
        assert header.size > 0
        bit = header.offset * 8
        for value in header.values:
            assert value.bit == bit and value.value == whole >> (
                len(frame) * 8 - bit - value.bits
            ) & ((1 << value.bits) - 1)
            bit += value.bits
        assert bit <= (header.offset + header.size) * 8


@given(st.one_of(st.binary(max_size=200), damaged()), st.sampled_from(FIRSTS))
def test_any_bytes_are_covered_by_headers(frame: bytes, first: str) -> None:
    check_cover(frame, dissect(frame, first))
    assert len(headers.summary(frame, {})) < 500
    assert all(0 <= vlan < 4096 for vlan in headers.vlans(frame))


@pytest.mark.parametrize(
    "frame, last",
    [
        (headers.ethernet(BEN, ANA, IPV4, PING, [1] * 300), "data"),
        (headers.ethernet(BEN, ANA, IPV4, b"\x40" + PING[1:]), "ICMP"),  # a header of no words
        (
            headers.ethernet(BEN, ANA, IPV4, b"\x4f" + PING[1:]),
            "IPv4",
        ),  # one of fifteen, and less is there
        (
            headers.ethernet(BEN, ANA, IPV4, b"\x65" + PING[1:]),
            "cut short",
        ),  # version 6 where 4 is said
        (headers.ethernet(BEN, ANA, IPV4, PING[:19]), "cut short"),
        (headers.ethernet(BEN, ANA, 0x8100, b"\0"), "cut short"),
        (
            headers.ethernet(BEN, ANA, IPV4, PING[:6] + b"\0\1" + PING[8:]),
            "data",
        ),  # a fragment that is not the first
        (
            headers.ethernet(BEN, ANA, IPV4, PING[:6] + b"\x20\0" + PING[8:]),
            "ICMP",
        ),  # the first one
        (headers.ethernet(BEN, ANA, 0x1234, b"x"), "data"),
    ],
)
def test_hostile_frames(frame: bytes, last: str) -> None:
    found = dissect(frame)
    check_cover(frame, found)
    assert found[-1].name == last and len(found) <= headers.DEPTH + 1


@pytest.mark.parametrize(
    "kind, name",
    [
        (b"\1", "handshake initiation"),
        (b"\2", "handshake response"),
        (b"\3", "cookie"),
        (b"\4", "WireGuard"),
    ],
)
def test_wireguard_says_what_it_is(kind: bytes, name: str) -> None:
    assert names(headers.udp((A, 51820), (B, 51820), kind + bytes(40)), "UDP")[1] == name


# -- texts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame, text",
    [
        (GOOD[0], "ICMP echo request 10.0.10.1 → ben"),
        (GOOD[1], "ARP who has ben? tell 10.0.10.1"),
        (
            headers.ethernet(ANA, BEN, ARP, headers.arp(2, (BEN, B), (ANA, A))),
            "ARP ben is at 02:00:00:00:00:02",
        ),
        (
            headers.ethernet(
                BEN, ANA, IPV4, headers.ipv4(A, B, 17, headers.udp((A, 9), (B, 9), b"x"))
            ),
            "IPv4 | UDP 10.0.10.1 → ben",
        ),
        (headers.ethernet(BEN, ANA, 0x86DD, b"x"), "15 bytes 0x86dd IPv6"),
        (b"", "0 bytes"),
    ],
)
def test_summary(frame: bytes, text: str) -> None:
    assert headers.summary(frame, names={"10.0.10.2": "ben"}) == text


def test_a_packet_has_a_longest() -> None:
    assert len(headers.ipv4(A, B, 17, bytes(65515))) == 65535
    with pytest.raises(LabError, match="do not fit into one IPv4 packet"):
        headers.ipv4(A, B, 17, bytes(65516))
