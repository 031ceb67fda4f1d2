"""Tunnels opened by others: scapy and cryptography decrypt them; what was altered nobody opens."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from hypothesis import example, given, settings
from hypothesis import strategies as st
from samples.errors import refused
from samples.lessons import beside
from samples.networks import fields, scapy

from labkit.errors import LabError
from labkit.net.headers import dissect
from labkit.net.packets import checksum, icmp, ipv4

tunnels = beside("03", "tunnels")
TUNNEL_KINDS, Tunnel = tunnels.TUNNEL_KINDS, tunnels.Tunnel
SEALED = [kind for kind, about in TUNNEL_KINDS.items() if about.encrypts]
OPEN = [kind for kind in TUNNEL_KINDS if kind not in SEALED]
SECRET = b"nobody else may read this"
A, B = 0x0A00_0001, 0x0A00_0002
payloads = st.binary(max_size=80)
ips = st.integers(0, 2**32 - 1)
words = st.integers(0, 2**16 - 1)


def packet(data: bytes = SECRET) -> bytes:
    return ipv4(A, B, 17, tunnels.udp((A, 9), (B, 9), data))


def unopened(tunnel: Any, arrived: bytes) -> str:
    return refused(tunnel.unwrap, arrived)


# -- opened by others ---------------------------------------------------------------------------


@pytest.mark.live("scapy")
@settings(max_examples=30)
@given(payloads, st.integers(0, 2**32 - 2))
def test_scapy_opens_esp(data: bytes, before: int) -> None:
    s = scapy()
    from scapy.layers.ipsec import ESP, SecurityAssociation

    tunnel = Tunnel("esp", counter=before)
    outside = s.IP(tunnel.wrap(packet(data)))
    assert (outside.src, outside.dst) == ("192.0.2.1", "192.0.2.2")
    assert (outside[ESP].spi, outside[ESP].seq) == (0x1001, before + 1)
    there = SecurityAssociation(
        ESP,
        spi=0x1001,
        crypt_algo="AES-GCM",
        crypt_key=tunnel.key + bytes(4),
        tunnel_header=s.IP(src="192.0.2.1", dst="192.0.2.2"),
    )
    assert bytes(there.decrypt(outside)) == packet(data)


@given(payloads, st.integers(0, 2**62))
def test_wireguard_is_chacha20_poly1305(data: bytes, before: int) -> None:
    """A counter of 64 bits, little-endian after four zeros, nothing bound, padded to 16.

    Source: Donenfeld, WireGuard (2017), 5.4.6.
    """
    tunnel = Tunnel("wireguard", counter=before)
    content = tunnel.wrap(packet(data))[28:]
    assert content[:4] == b"\4\0\0\0" and content[8:16] == before.to_bytes(8, "little")
    clear = ChaCha20Poly1305(tunnel.key).decrypt(bytes(4) + content[8:16], content[16:], None)
    assert clear.startswith(packet(data)) and len(clear) % 16 == 0
    assert not any(clear[len(packet(data)) :])


@given(payloads, st.integers(0, 2**32 - 2))
def test_openvpn_is_aes_gcm(data: bytes, before: int) -> None:
    """Opcode, key and peer, packet number, tag, data; what stands before the tag is bound.

    Source: OpenVPN 2.6, crypto.c.
    """
    tunnel = Tunnel("openvpn", counter=before)
    content = tunnel.wrap(packet(data))[28:]
    assert content[0] >> 3 == 9 and content[4:8] == (before + 1).to_bytes(4, "big")
    sealed = content[24:] + content[8:24]
    clear = AESGCM(tunnel.key).decrypt(content[4:8] + bytes(8), sealed, content[:8])
    assert clear == packet(data)


@pytest.mark.live("scapy")
@pytest.mark.parametrize(
    "kind, layers",
    [
        ("ipip", ["IP", "IP", "UDP"]),
        ("gre", ["IP", "GRE", "IP", "UDP"]),
        ("vxlan", ["IP", "UDP", "VXLAN", "Ethernet", "IP", "UDP"]),
    ],
)
def test_scapy_reads_what_is_open(kind: str, layers: list[str]) -> None:
    s = scapy()
    found = s.IP(Tunnel(kind).wrap(packet()))
    assert [layer._name or layer.__name__ for layer in found.layers()][:-1] == layers
    assert bytes(found.getlayer(s.IP, 2)) == packet()


# -- there and back -----------------------------------------------------------------------------


@settings(max_examples=25)
@pytest.mark.parametrize("kind", TUNNEL_KINDS)
@given(data=st.lists(payloads, min_size=1, max_size=4))
def test_what_goes_in_comes_out(kind: str, data: list[bytes]) -> None:
    here, there = Tunnel(kind), Tunnel(kind)
    sent = [here.wrap(packet(part)) for part in data]
    for part, outside in reversed([*zip(data, sent, strict=True)]):  # a later one may come first
        assert there.unwrap(outside) == packet(part)


@pytest.mark.parametrize("kind", TUNNEL_KINDS)
def test_who_has_no_key_sees_nothing_where_it_encrypts(kind: str) -> None:
    outside = Tunnel(kind).wrap(packet())
    assert (SECRET in outside) == (kind in OPEN)
    sealed = [header for header in dissect(outside, "IPv4") if header.sealed]
    assert bool(sealed) == (kind in SEALED)
    for at in range(len(SECRET) - 4):
        assert kind in OPEN or SECRET[at : at + 4] not in outside


@pytest.mark.parametrize("kind", SEALED)
def test_every_flipped_bit_is_refused(kind: str) -> None:
    outside = Tunnel(kind).wrap(packet())
    there = Tunnel(kind)
    start = 20 if kind == "esp" else 28  # behind IPv4 and UDP
    for bit in range(8 * start, 8 * len(outside)):
        altered = bytearray(outside)
        altered[bit // 8] ^= 1 << bit % 8
        said = unopened(there, bytes(altered))
        assert "it is dropped" in said or "The receiver drops it" in said
    assert there.unwrap(outside) == packet(), "and none of them has used up its number"


@pytest.mark.parametrize("kind", SEALED)
def test_replays_and_other_keys_are_refused(kind: str) -> None:
    here, there = Tunnel(kind), Tunnel(kind)
    one, two = here.wrap(packet()), here.wrap(packet())
    assert one != two, "the same packet never looks the same"
    assert there.unwrap(one) == there.unwrap(two) == packet()
    for again in (one, two):
        assert "has arrived before: somebody plays back" in unopened(there, again)
    assert "The tag does not fit" in unopened(Tunnel(kind, secret="another"), one)


@pytest.mark.parametrize("kind", list(TUNNEL_KINDS)[1:])
@given(st.binary(max_size=120), st.integers(0, 200), st.sampled_from([0x45, 0x4F, 0x40, 0x46]))
def test_any_bytes_are_opened_or_refused_in_one_line(
    kind: str, data: bytes, cut: int, first: int
) -> None:
    outside = Tunnel(kind).wrap(packet())
    for arrived in (data, bytes([first]) + outside[1:cut], outside[:20] + data):
        try:
            Tunnel(kind).unwrap(arrived)
        except LabError as error:
            assert "\n" not in str(error)


def test_a_key_that_was_not_agreed_on() -> None:
    gre = ipv4(A, B, 47, b"\x20\0\x08\0" + bytes(4) + packet())
    assert "That is no packet of this tunnel" in unopened(Tunnel("gre"), gre)


def test_no_such_tunnel() -> None:
    said = "'pptp' is no tunnel here; there are: none, ipip, gre, vxlan, esp, openvpn, wireguard."
    assert refused(Tunnel, "pptp") == said


# -- what packets carry -------------------------------------------------------------------------


@pytest.mark.live("scapy")
@given(ips, words, ips, words, payloads)
@example(0, 0, 0, 0xFFDE, b"")  # UDP's sum is 0xFFFF: 0 as its checksum would say "none"
@example(0, 0, 0, 0xB4DA, b"")  # TCP's sum is 0xFFFF: its checksum is 0
def test_udp_and_tcp(source: int, port: int, to: int, other: int, data: bytes) -> None:
    s = scapy()
    head = s.IP(src=str(IPv4Address(source)), dst=str(IPv4Address(to)))
    ours = tunnels.udp((source, port), (to, other), data)
    assert ours == bytes(head / s.UDP(sport=port, dport=other) / s.Raw(data))[20:]
    assert fields(ours, "UDP", "UDP") == {
        "source port": port,
        "destination port": other,
        "length": 8 + len(data),
        "checksum": s.UDP(ours).chksum,
    }
    segment = s.TCP(sport=port, dport=other, seq=1, ack=1, window=64240, flags="PA")
    ours = tunnels.tcp((source, port), (to, other), data)
    assert ours == bytes(head / segment / s.Raw(data))[20:]
    read = s.TCP(ours)
    assert fields(ours, "TCP", "TCP") == {
        "source port": port,
        "destination port": other,
        "sequence": 1,
        "acknowledgement": 1,
        "header words": read.dataofs,
        "reserved": read.reserved,
        "flags": int(read.flags),
        "window": read.window,
        "checksum": read.chksum,
        "urgent": read.urgptr,
    }


@pytest.mark.live("scapy")
@settings(max_examples=30)
@given(st.integers(0, 3000), st.integers(28, 1500), st.integers(28, 1500))
def test_scapy_puts_fragments_together(size: int, mtu: int, narrower: int) -> None:
    s = scapy()
    data = icmp(8, 1, 1, bytes(n % 251 for n in range(size)))
    whole = bytes(s.IP(src="10.0.0.1", dst="10.0.0.2", id=7, proto=1) / data)
    pieces = [
        smaller
        for piece in tunnels.fragments(whole, mtu)
        for smaller in tunnels.fragments(piece, narrower)
    ]
    assert all(len(piece) <= min(mtu, narrower) for piece in pieces)
    assert all((len(piece) - 20) % 8 == 0 for piece in pieces[:-1])
    assert all(checksum(piece[:20]) == 0 for piece in pieces)
    [together] = s.defragment([s.IP(piece) for piece in pieces])
    assert together.build() == whole


def test_what_fits_stays_as_it_is() -> None:
    assert tunnels.fragments(packet(), len(packet())) == [packet()]


@pytest.mark.parametrize(
    "mtu, said",
    [
        (27, "27 bytes hold no header of 20 and eight of data"),
        (28, 'The packet of 53 bytes says "do not fragment", and the next network takes 28:'),
    ],
)
def test_what_may_not_be_cut(mtu: int, said: str) -> None:
    assert said in refused(tunnels.fragments, packet(), mtu)


# -- sizes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind, least, most",
    [
        ("none", 0, 0),
        ("ipip", 20, 20),  # headers alone: RFC 2003, 2784, 7348
        ("gre", 24, 24),
        ("vxlan", 50, 50),
        ("esp", 54, 57),  # with padding to 4
        ("openvpn", 52, 52),
        ("wireguard", 60, 75),  # with padding to 16
    ],
)
def test_overhead_is_what_the_standard_says(kind: str, least: int, most: int) -> None:
    found = {tunnels.overhead(kind, size) for size in range(100, 132)}
    assert (min(found), max(found)) == (least, most)


@settings(max_examples=15)
@pytest.mark.parametrize("kind", TUNNEL_KINDS)
@given(mtu=st.integers(100, 9000))
def test_the_largest_that_fits(kind: str, mtu: int) -> None:
    size = tunnels.largest(kind, mtu)
    inside, more = (each + tunnels.overhead(kind, each, each) for each in (size, size + 1))
    assert inside <= mtu < more


@pytest.mark.parametrize(
    "inside, outside", [(1432, 1492), (1428, 1492), (1423, 1484), (1424, 1484)]
)
def test_wireguard_pads_no_further_than_the_mtu_of_its_interface(inside: int, outside: int) -> None:
    """As wireguard-go does with `ip link set wg0 mtu 1432`, seen by tcpdump outside."""
    assert inside + tunnels.overhead("wireguard", inside, 1432) == outside
    assert tunnels.largest("wireguard", 1492) == 1432
