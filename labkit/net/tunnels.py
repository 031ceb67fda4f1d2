"""Tunnels: a packet inside a packet, encrypted for real where the tunnel encrypts.

Each kind wraps an IPv4 packet into the packet that crosses the network outside, and unwraps it at the other end, which
refuses what was altered on the way or comes twice. Only what carries data is here; handshakes are for the live tunnels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from labkit.errors import LabError
from labkit.net.layouts import IPV4, LAYOUTS, PORTS
from labkit.net.packets import checksum, ethernet, ipv4, udp

_SALT = bytes(4)
_NOT_OURS = "That is no packet of this tunnel, or only a part of one: it is dropped."
_RECEIVER = 0x2A  # of WireGuard


def _cipher(name: str, key: bytes) -> Any:
    """AESGCM or ChaCha20Poly1305 with a key."""
    from cryptography.hazmat.primitives.ciphers import aead  # late: most lessons encrypt nothing

    return getattr(aead, name)(key)


@dataclass
class Tunnel:
    """One direction of a tunnel of some ``kind`` (one of KINDS) between two addresses outside.

    The key is made from ``secret``, so that a lesson shows the same bytes each time; real tunnels agree on new ones.
    """

    kind: str
    start: int = 0xC0000201  # 192.0.2.1 and .2: addresses for documentation, RFC 5737
    end: int = 0xC0000202
    secret: str = "for a lesson only"
    counter: int = 0
    mtu: int = (
        1420  # of the interface inside, as wg-quick(8) sets it: WireGuard pads no packet beyond it
    )
    seen: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise LabError(f"{self.kind!r:.30} is no tunnel here; there are: {', '.join(KINDS)}.")

    @property
    def key(self) -> bytes:
        """32 bytes."""
        return hashlib.blake2s(self.secret.encode(), person=self.kind.encode()[:8]).digest()

    def wrap(self, packet: bytes) -> bytes:
        """The IPv4 packet outside that carries an IPv4 packet. Raises :class:`LabError`."""
        self.counter += 1
        protocol, content = KINDS[self.kind].wrap(self, packet)
        return packet if protocol < 0 else ipv4(self.start, self.end, protocol, content)

    def unwrap(self, packet: bytes) -> bytes:
        """The packet that was inside. Raises :class:`LabError` if it was altered, comes twice, or is none of these."""
        return KINDS[self.kind].unwrap(self, packet)

    def open(
        self, cipher: Any, nonce: bytes, data: bytes, bound: bytes | None, counter: int
    ) -> bytes:
        """Decrypt; refuse a wrong tag or a counter seen before."""
        from cryptography.exceptions import InvalidTag

        try:
            clear: bytes = cipher.decrypt(nonce, data, bound)
        except InvalidTag:
            raise LabError(
                "The tag does not fit what arrived: it was altered on the way, or made with another key. "
                "The receiver drops it and answers nothing."
            ) from None
        if counter in self.seen:
            raise LabError(
                f"Number {counter} has arrived before: somebody plays back a packet he has recorded. The "
                "receiver drops it."
            )
        self.seen.add(counter)
        return clear


@dataclass(frozen=True)
class Kind:
    """How a tunnel wraps (protocol and content of the packet outside; -1: nothing outside) and unwraps."""

    source: str
    wrap: Callable[[Tunnel, bytes], tuple[int, bytes]]
    unwrap: Callable[[Tunnel, bytes], bytes]
    encrypts: bool = False


def _udp(tunnel: Tunnel, data: bytes) -> tuple[int, bytes]:
    port = next(port for port, name in PORTS.items() if name.lower() == tunnel.kind)
    return 17, udp((tunnel.start, port), (tunnel.end, port), data)


def _content(packet: bytes, protocol: int, least: int) -> bytes:
    """What an IPv4 packet of that protocol carries. Raises :class:`LabError`."""
    size = max(20, (packet[0] & 15) * 4) if packet else 20
    if len(packet) < size + least or packet[0] >> 4 != 4 or packet[9] != protocol:
        raise LabError(_NOT_OURS)
    return packet[size:]


def _esp(tunnel: Tunnel, packet: bytes) -> tuple[int, bytes]:
    """AES-GCM with a 16-byte tag, in tunnel mode (RFC 4303, RFC 4106): the trailer pads to four bytes and says IPv4."""
    padding = -(len(packet) + 2) % 4
    head = LAYOUTS["ESP"].build(0x1001, tunnel.counter, tunnel.counter)
    clear = packet + bytes(range(1, padding + 1)) + bytes([padding, 4])
    return 50, head + _cipher("AESGCM", tunnel.key).encrypt(_SALT + head[8:], clear, head[:8])


def _esp_open(tunnel: Tunnel, packet: bytes) -> bytes:
    data = _content(packet, 50, 34)
    cipher = _cipher("AESGCM", tunnel.key)
    clear = tunnel.open(
        cipher, _SALT + data[8:16], data[16:], data[:8], int.from_bytes(data[4:8], "big")
    )
    return clear[: -2 - clear[-2]]


def _wireguard(tunnel: Tunnel, packet: bytes) -> tuple[int, bytes]:
    """ChaCha20-Poly1305, padded to 16 bytes, the counter little-endian (Donenfeld, WireGuard, 5.4.6).

    Padding ends at the interface's MTU: wireguard-go, calculatePaddingSize; Linux, calculate_skb_padding.
    """
    counter = (tunnel.counter - 1).to_bytes(8, "little")
    head = LAYOUTS["WireGuard"].build(4, 0, _RECEIVER, int.from_bytes(counter, "big"))
    clear = packet + bytes(max(0, min(-len(packet) % 16, tunnel.mtu - len(packet))))
    return _udp(
        tunnel,
        head + _cipher("ChaCha20Poly1305", tunnel.key).encrypt(bytes(4) + counter, clear, None),
    )


def _wireguard_open(tunnel: Tunnel, packet: bytes) -> bytes:
    data = _content(packet, 17, 40)[8:]
    if (
        data[:8] != LAYOUTS["WireGuard"].build(4, 0, _RECEIVER, 0)[:8]
    ):  # no tag covers them; they say whose it is
        raise LabError(_NOT_OURS)
    cipher, counter = _cipher("ChaCha20Poly1305", tunnel.key), data[8:16]
    clear = tunnel.open(
        cipher, bytes(4) + counter, data[16:], None, int.from_bytes(counter, "little")
    )
    return clear[
        : int.from_bytes(clear[2:4], "big")
    ]  # the length inside says where the padding begins


def _openvpn(tunnel: Tunnel, packet: bytes) -> tuple[int, bytes]:
    """P_DATA_V2 with AES-GCM: opcode and peer, packet number, tag, data (OpenVPN 2.6, ssl_pkt.h and crypto.c)."""
    head = b"\x48\0\0\0" + tunnel.counter.to_bytes(4, "big")
    sealed = _cipher("AESGCM", tunnel.key).encrypt(head[4:] + bytes(8), packet, head)
    return _udp(tunnel, head + sealed[-16:] + sealed[:-16])


def _openvpn_open(tunnel: Tunnel, packet: bytes) -> bytes:
    data = _content(packet, 17, 32)[8:]
    cipher, sealed = _cipher("AESGCM", tunnel.key), data[24:] + data[8:24]
    return tunnel.open(
        cipher, data[4:8] + bytes(8), sealed, data[:8], int.from_bytes(data[4:8], "big")
    )


def _gre_open(tunnel: Tunnel, packet: bytes) -> bytes:
    data = _content(packet, 47, 24)
    if data[:4] != LAYOUTS["GRE"].build(0, IPV4):  # a key, say, that this tunnel has not agreed on
        raise LabError(_NOT_OURS)
    return data[4:]


def _vxlan(tunnel: Tunnel, packet: bytes) -> tuple[int, bytes]:
    frame = ethernet(b"\2\0\0\0\0\2", b"\2\0\0\0\0\1", IPV4, packet)
    return _udp(tunnel, LAYOUTS["VXLAN"].build(8, 0, 42, 0) + frame)


KINDS: dict[str, Kind] = {
    "none": Kind("", lambda tunnel, packet: (-1, packet), lambda tunnel, packet: packet),
    "ipip": Kind(
        "RFC 2003",
        lambda tunnel, packet: (4, packet),
        lambda tunnel, packet: _content(packet, 4, 20),
    ),
    "gre": Kind(
        "RFC 2784", lambda tunnel, packet: (47, LAYOUTS["GRE"].build(0, IPV4) + packet), _gre_open
    ),
    "vxlan": Kind("RFC 7348", _vxlan, lambda tunnel, packet: _content(packet, 17, 30)[30:]),
    "esp": Kind("RFC 4303, RFC 4106", _esp, _esp_open, True),
    "openvpn": Kind("OpenVPN 2.6", _openvpn, _openvpn_open, True),
    "wireguard": Kind("Donenfeld, WireGuard (2017)", _wireguard, _wireguard_open, True),
}


def overhead(kind: str, size: int = 1000, mtu: int = Tunnel.mtu) -> int:
    """Bytes that a tunnel adds to a packet of that size: measured by wrapping one. Raises :class:`LabError`."""
    if size < 20:
        raise LabError(
            f"{size} bytes are no packet: an IPv4 packet has at least its header of 20 bytes."
        )
    packet = ipv4(1, 2, 17, bytes(size - 20))
    return len(Tunnel(kind, mtu=mtu).wrap(packet)) - size


def largest(kind: str, mtu: int = 1500) -> int:
    """The largest packet that fits through a tunnel when the network outside takes ``mtu`` bytes; tried, not computed.

    It is the MTU to give the tunnel's interface.
    Raises :class:`LabError` if nothing fits.
    """
    for size in range(mtu, 27, -1):
        if size + overhead(kind, size, size) <= mtu:
            return size
    raise LabError(f"Nothing fits through {kind} when the network outside takes only {mtu} bytes.")


def fragments(packet: bytes, mtu: int) -> list[bytes]:
    """An IPv4 packet in pieces of at most ``mtu`` bytes, as a router makes them (RFC 791, 3.2).

    Raises :class:`LabError` if it may not be: the sender has said so, or there is room for no data at all.
    """
    if len(packet) <= mtu:
        return [packet]
    if packet[0] != 0x45:
        raise LabError("Only IPv4 packets without options are cut here.")
    if mtu < 28:
        raise LabError(
            f"{mtu} bytes hold no header of 20 and eight of data: an IPv4 network takes at least 68."
        )
    if packet[6] & 0x40:
        raise LabError(
            f'The packet of {len(packet)} bytes says "do not fragment", and the next network takes {mtu}: '
            f"the router drops it and tells the sender so (ICMP, RFC 1191). If a firewall stops that word, "
            "the connection just hangs."
        )
    step, found = (mtu - 20) // 8 * 8, list[bytes]()
    said = int.from_bytes(packet[6:8], "big")  # the packet may be a piece of one itself
    for at in range(0, len(packet) - 20, step):
        piece = packet[20 + at : 20 + at + step]
        more = 0x2000 if 20 + at + step < len(packet) else said & 0x2000
        where = (more | (said & 0x1FFF) + at // 8).to_bytes(2, "big")
        head = packet[:2] + (20 + len(piece)).to_bytes(2, "big") + packet[4:6] + where
        head += packet[8:10] + b"\0\0" + packet[12:20]
        found.append(head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + piece)
    return found
