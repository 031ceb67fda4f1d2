"""Tunnels: a packet inside a packet, encrypted for real where the tunnel encrypts.

Each kind wraps an IPv4 packet into the packet that crosses the network outside, and unwraps it at
the other end, which refuses what was altered on the way or comes twice. Only what carries data is
here; handshakes are for the live tunnels. What is too long for a tunnel is cut into fragments.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from labkit.errors import LabError
from labkit.messages import _
from labkit.net import headers
from labkit.net.headers import IPV4, LAYOUTS
from labkit.net.packets import checksum, ethernet, ipv4, with_checksum

_SPI = 0x1001  # of ESP: which of the receiver's tunnels it is
_RECEIVER = 0x2A  # of WireGuard: the same
_VNI = 42  # of VXLAN: the same
_SALT = bytes(4)  # of ESP's nonces: agreed on together with the key (RFC 4106, 4)
_WG_HEADER = LAYOUTS["WireGuard"].build(4, 0, _RECEIVER, 0)[:8]
_GRE_HEADER = LAYOUTS["GRE"].build(0, IPV4)


class Altered(LabError):
    """A packet's tag does not fit: the packet or the key is another one."""


@dataclass
class Tunnel:
    """One direction of a tunnel of some ``kind`` (of TUNNEL_KINDS) between two addresses outside.

    The key is made from ``secret``, so that a lesson shows the same bytes each time; real tunnels
    agree on new ones. ``mtu``: in bytes, of the interface inside, as wg-quick(8) sets it.
    """

    kind: str
    start: int = 0xC0000201  # 192.0.2.1 and .2: addresses for documentation, RFC 5737
    end: int = 0xC0000202
    secret: str = "for a lesson only"
    counter: int = 0
    mtu: int = 1420
    seen: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.kind not in TUNNEL_KINDS:
            told = _(
                "{kind!r:.30} is no tunnel here; there are: {kinds}.",
                kind=self.kind,
                kinds=", ".join(TUNNEL_KINDS),
            )
            raise LabError(told)

    @property
    def key(self) -> bytes:
        """32 bytes."""
        return hashlib.blake2s(self.secret.encode(), person=self.kind.encode()[:8]).digest()

    def wrap(self, packet: bytes) -> bytes:
        """The IPv4 packet outside that carries an IPv4 packet. Raises :class:`LabError`."""
        self.counter += 1
        return TUNNEL_KINDS[self.kind].wrap(self, packet)

    def unwrap(self, packet: bytes) -> bytes:
        """The packet that was inside.

        Raises :class:`LabError` if it was altered, comes twice, or is no packet of this tunnel.
        """
        return TUNNEL_KINDS[self.kind].unwrap(self, packet)

    def outside(self, protocol: int, content: bytes) -> bytes:
        """The packet outside with this content."""
        return ipv4(self.start, self.end, protocol, content)

    def over_udp(self, port: int, content: bytes) -> bytes:
        """The packet outside with this content in a UDP datagram."""
        return self.outside(headers.UDP, udp((self.start, port), (self.end, port), content))

    def decrypt(self, nonce: bytes, data: bytes, bound: bytes | None, number: int) -> bytes:
        """What was encrypted in a packet of that number; ``data`` ends in a tag.

        The tag covers what is ``bound`` to it, too. Raises :class:`Altered` if it does not fit, and
        :class:`LabError` for a number seen before.
        """
        cipher = ChaCha20Poly1305 if self.kind == "wireguard" else AESGCM
        try:
            clear = cipher(self.key).decrypt(nonce, data, bound)
        except InvalidTag:
            told = _(
                "The tag does not fit what arrived: it was altered on the way, or made with "
                "another key. The receiver drops it and answers nothing."
            )
            raise Altered(told) from None
        if number in self.seen:
            told = _(
                "Number {number} has arrived before: somebody plays back a packet he has "
                "recorded. The receiver drops it.",
                number=number,
            )
            raise LabError(told)
        self.seen.add(number)
        return clear


class TunnelKind(NamedTuple):
    """How a kind of tunnel wraps and unwraps packets. ``source``: of its format."""

    source: str
    wrap: Callable[[Tunnel, bytes], bytes]
    unwrap: Callable[[Tunnel, bytes], bytes]
    encrypts: bool = False


# -- what packets carry -------------------------------------------------------------------------


def _segment(protocol: int, source: int, destination: int, header: bytes, rest: bytes) -> bytes:
    """With a checksum in between, which covers a pseudo header too (RFC 768; RFC 9293, 3.1)."""
    size = len(header) + 2 + len(rest)
    pseudo = struct.pack("!IIxBH", source, destination, protocol, size)
    total = checksum(pseudo + header + bytes(2) + rest)
    if protocol == headers.UDP:
        total = total or 0xFFFF  # 0 would say that there is none
    return header + total.to_bytes(2, "big") + rest


def udp(source: tuple[int, int], destination: tuple[int, int], data: bytes) -> bytes:
    """A UDP datagram between two (IP, port)."""
    header = struct.pack("!HHH", source[1], destination[1], 8 + len(data))
    return _segment(headers.UDP, source[0], destination[0], header, data)


def tcp(source: tuple[int, int], destination: tuple[int, int], data: bytes) -> bytes:
    """A TCP segment between two (IP, port) that pushes data."""
    header = struct.pack("!HHIIBBH", source[1], destination[1], 1, 1, 0x50, 0x18, 64240)
    return _segment(headers.TCP, source[0], destination[0], header, bytes(2) + data)


def _not_ours() -> LabError:
    return LabError("That is no packet of this tunnel, or only a part of one: it is dropped.")


def _content(packet: bytes, protocol: int, least: int) -> bytes:
    """What an IPv4 packet of that protocol carries, of some ``least`` size.

    Raises :class:`LabError` for any other.
    """
    size = max(20, (packet[0] & 15) * 4) if packet else 20
    if len(packet) < size + least or packet[0] >> 4 != 4 or packet[9] != protocol:
        raise _not_ours()
    return packet[size:]


# -- one packet in front of another -------------------------------------------------------------


def _gre_open(tunnel: Tunnel, packet: bytes) -> bytes:
    content = _content(packet, headers.GRE, 24)
    if content[:4] != _GRE_HEADER:  # a key, say, that this tunnel has not agreed on
        raise _not_ours()
    return content[4:]


def _vxlan(tunnel: Tunnel, packet: bytes) -> bytes:
    header = LAYOUTS["VXLAN"].build(8, 0, _VNI, 0)
    frame = ethernet(b"\2\0\0\0\0\2", b"\2\0\0\0\0\1", IPV4, packet)
    return tunnel.over_udp(headers.VXLAN_PORT, header + frame)


# -- encrypted ----------------------------------------------------------------------------------


def _esp(tunnel: Tunnel, packet: bytes) -> bytes:
    """AES-GCM with a 16-byte tag, in tunnel mode (RFC 4303, RFC 4106).

    The trailer pads to four bytes, and says how many those are and that IPv4 is inside.
    """
    padding = -(len(packet) + 2) % 4
    clear = packet + bytes(range(1, padding + 1)) + bytes([padding, 4])
    header = LAYOUTS["ESP"].build(_SPI, tunnel.counter, tunnel.counter)
    sealed = AESGCM(tunnel.key).encrypt(_SALT + header[8:], clear, header[:8])
    return tunnel.outside(headers.ESP, header + sealed)


def _esp_open(tunnel: Tunnel, packet: bytes) -> bytes:
    content = _content(packet, headers.ESP, 34)
    bound, vector, data = content[:8], content[8:16], content[16:]
    clear = tunnel.decrypt(_SALT + vector, data, bound, int.from_bytes(content[4:8], "big"))
    padding = clear[-2]
    return clear[: -2 - padding]


def _openvpn(tunnel: Tunnel, packet: bytes) -> bytes:
    """P_DATA_V2 with AES-GCM (OpenVPN 2.6, ssl_pkt.h and crypto.c).

    Opcode and peer, packet number, tag, data.
    """
    header = b"\x48\0\0\0" + tunnel.counter.to_bytes(4, "big")
    sealed = AESGCM(tunnel.key).encrypt(header[4:] + bytes(8), packet, header)
    data, tag = sealed[:-16], sealed[-16:]
    return tunnel.over_udp(headers.OPENVPN_PORT, header + tag + data)


def _openvpn_open(tunnel: Tunnel, packet: bytes) -> bytes:
    content = _content(packet, headers.UDP, 32)[8:]
    header, tag, data = content[:8], content[8:24], content[24:]
    number = int.from_bytes(header[4:], "big")
    return tunnel.decrypt(header[4:] + bytes(8), data + tag, header, number)


def _wireguard(tunnel: Tunnel, packet: bytes) -> bytes:
    """ChaCha20-Poly1305, padded to 16 bytes, the counter little-endian.

    Sources: Donenfeld, WireGuard (2017), 5.4.6; that padding ends at the interface's MTU:
    wireguard-go, calculatePaddingSize; Linux, calculate_skb_padding.
    """
    counter = (tunnel.counter - 1).to_bytes(8, "little")
    padding = max(0, min(-len(packet) % 16, tunnel.mtu - len(packet)))
    cipher = ChaCha20Poly1305(tunnel.key)
    sealed = cipher.encrypt(bytes(4) + counter, packet + bytes(padding), None)
    return tunnel.over_udp(headers.WIREGUARD_PORT, _WG_HEADER + counter + sealed)


def _wireguard_open(tunnel: Tunnel, packet: bytes) -> bytes:
    content = _content(packet, headers.UDP, 40)[8:]
    header, counter, data = content[:8], content[8:16], content[16:]
    if header != _WG_HEADER:  # no tag covers it; it says whose the packet is
        raise _not_ours()
    clear = tunnel.decrypt(bytes(4) + counter, data, None, int.from_bytes(counter, "little"))
    length = int.from_bytes(clear[2:4], "big")  # of the packet inside; what follows is padding
    return clear[:length]


TUNNEL_KINDS: dict[str, TunnelKind] = {
    "none": TunnelKind("", lambda tunnel, packet: packet, lambda tunnel, packet: packet),
    "ipip": TunnelKind(
        "RFC 2003",
        lambda tunnel, packet: tunnel.outside(headers.IP_IN_IP, packet),
        lambda tunnel, packet: _content(packet, headers.IP_IN_IP, 20),
    ),
    "gre": TunnelKind(
        "RFC 2784",
        lambda tunnel, packet: tunnel.outside(headers.GRE, _GRE_HEADER + packet),
        _gre_open,
    ),
    "vxlan": TunnelKind(
        "RFC 7348", _vxlan, lambda tunnel, packet: _content(packet, headers.UDP, 30)[30:]
    ),
    "esp": TunnelKind("RFC 4303, RFC 4106", _esp, _esp_open, True),
    "openvpn": TunnelKind("OpenVPN 2.6", _openvpn, _openvpn_open, True),
    "wireguard": TunnelKind("Donenfeld, WireGuard (2017)", _wireguard, _wireguard_open, True),
}


# -- sizes --------------------------------------------------------------------------------------


def overhead(kind: str, size: int = 1000, mtu: int = Tunnel.mtu) -> int:
    """Bytes that a tunnel adds to a packet of that size (20 at least): measured by wrapping one.

    Raises :class:`LabError` for a packet that is too long.
    """
    packet = ipv4(1, 2, headers.UDP, bytes(size - 20))
    return len(Tunnel(kind, mtu=mtu).wrap(packet)) - size


def largest(kind: str, mtu: int = 1500) -> int:
    """The largest packet that fits through a tunnel when the network outside takes ``mtu`` bytes.

    It is tried, not computed, and is the MTU to give the tunnel's interface; ``mtu`` is at least
    100, so that every kind has one.
    """
    return next(size for size in range(mtu, 0, -1) if size + overhead(kind, size, size) <= mtu)


def fragments(packet: bytes, mtu: int) -> list[bytes]:
    """An IPv4 packet in pieces of at most ``mtu`` bytes; it may be a piece itself (RFC 791, 3.2).

    As a router cuts it whose next network takes less. Raises :class:`LabError` if it may not be
    cut: the sender has said so, or there is room for no data at all.
    """
    if len(packet) <= mtu:
        return [packet]
    if mtu < 28:
        told = _(
            "{mtu} bytes hold no header of 20 and eight of data: an IPv4 network takes at "
            "least 68.",
            mtu=mtu,
        )
        raise LabError(told)
    control = int.from_bytes(packet[6:8], "big")
    if control & 0x4000:
        told = _(
            'The packet of {size} bytes says "do not fragment", and the next network takes '
            "{mtu}: the router drops it and tells the sender so (ICMP, RFC 1191). If a "
            "firewall stops that word, the connection just hangs.",
            size=len(packet),
            mtu=mtu,
        )
        raise LabError(told)
    step = (mtu - 20) // 8 * 8  # offsets count in eight bytes
    data = packet[20:]
    pieces = list[bytes]()
    for start in range(0, len(data), step):
        piece = data[start : start + step]
        more = 0x2000 if start + step < len(data) else control & 0x2000  # pieces follow
        offset = (control & 0x1FFF) + start // 8
        size = (20 + len(piece)).to_bytes(2, "big")
        header = packet[:2] + size + packet[4:6] + (more | offset).to_bytes(2, "big") + packet[8:20]
        pieces.append(with_checksum(header) + piece)
    return pieces
