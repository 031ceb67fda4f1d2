"""What headers look like: their fields in order, as the standards draw them, and how values read.

Why no packet library: students look at where in a frame a field lies, and neither dpkt (BSD, last
release of 2022) nor scapy (GPL-2, a second to import) says so; the tables that do are also all it
takes to read. scapy is the oracle of the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import IPv4Address
from typing import NamedTuple

from labkit.messages import N_, _

# EtherTypes: IEEE Registration Authority.
TAGGED = 0x8100
ARP = 0x0806
IPV4 = 0x0800
ETHERTYPES = {
    TAGGED: "802.1Q",
    ARP: "ARP",
    IPV4: "IPv4",
    0x86DD: "IPv6",
    0x6558: "Ethernet",
    0x88A8: "802.1ad",
}
LONGEST = 1500  # bytes: up to this an EtherType is the length of what follows (IEEE 802.3, 3.2.6)
# What an IPv4 packet carries: IANA, "Protocol Numbers".
ICMP = 1
IP_IN_IP = 4
TCP = 6
UDP = 17
GRE = 47
ESP = 50
PROTOCOLS = {ICMP: "ICMP", IP_IN_IP: "IPv4", TCP: "TCP", UDP: "UDP", GRE: "GRE", ESP: "ESP"}
# What a UDP datagram carries.
VXLAN_PORT = 4789  # RFC 7348, section 5
OPENVPN_PORT = 1194  # IANA
WIREGUARD_PORT = 51820  # wg(8)
PORTS = {VXLAN_PORT: "VXLAN", OPENVPN_PORT: "OpenVPN", WIREGUARD_PORT: "WireGuard"}
ARP_OPERATIONS = {1: N_("request"), 2: N_("reply")}  # RFC 826
ICMP_TYPES = {0: N_("echo reply"), 3: N_("unreachable"), 8: N_("echo request")}  # RFC 792
TCP_FLAGS = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR")  # from the lowest bit

Reading = Callable[[int], str]  # a value as text


class HeaderField(NamedTuple):
    """One field of a header, ``bits`` wide; ``reads``: its value as text."""

    name: str
    bits: int
    reads: Reading = str


class Layout:
    """A header as ``source`` draws it."""

    def __init__(self, source: str, *fields: HeaderField) -> None:
        self.source = source
        self.fields = fields
        self.size = sum(field.bits for field in fields) // 8  # in bytes

    def build(self, *values: int) -> bytes:
        """The header with these values, in order."""
        whole = 0
        for field, value in zip(self.fields, values, strict=True):
            whole = whole << field.bits | value
        return whole.to_bytes(self.size, "big")


# -- how a value reads --------------------------------------------------------------------------


def _mac(value: int) -> str:
    return value.to_bytes(6, "big").hex(":")


def _address(value: int) -> str:
    return str(IPv4Address(value))


def _ethertype(value: int) -> str:
    kind = ETHERTYPES.get(value, _("length") if value <= LONGEST else "")
    return f"0x{value:04x} {kind}".rstrip()


def _named(names: Mapping[int, str]) -> Reading:
    """A number, and what it stands for if that is known."""
    return lambda value: f"{value} {_(names.get(value, ''))}".rstrip()


def _flags(value: int) -> str:
    return "+".join(name for bit, name in enumerate(TCP_FLAGS) if value >> bit & 1) or _("none")


def _little_endian(value: int) -> str:
    return str(int.from_bytes(value.to_bytes(8, "big"), "little"))


# -- the headers --------------------------------------------------------------------------------


LAYOUTS = {
    "Ethernet": Layout(
        "IEEE 802.3-2022, 3.1.1",
        HeaderField(N_("destination"), 48, _mac),
        HeaderField(N_("source"), 48, _mac),
    ),
    "802.1Q": Layout(
        "IEEE 802.1Q-2022, 9.3 to 9.6",
        HeaderField(N_("tag protocol"), 16, hex),
        HeaderField(N_("priority"), 3),
        HeaderField(N_("drop eligible"), 1),
        HeaderField("VLAN", 12),
    ),
    "type": Layout("IEEE 802.3-2022, 3.2.6", HeaderField("EtherType", 16, _ethertype)),
    "ARP": Layout(
        "RFC 826",
        HeaderField(N_("hardware"), 16),
        HeaderField(N_("protocol"), 16, hex),
        HeaderField(N_("hardware size"), 8),
        HeaderField(N_("protocol size"), 8),
        HeaderField(N_("operation"), 16, _named(ARP_OPERATIONS)),
        HeaderField(N_("sender MAC"), 48, _mac),
        HeaderField(N_("sender IP"), 32, _address),
        HeaderField(N_("target MAC"), 48, _mac),
        HeaderField(N_("target IP"), 32, _address),
    ),
    "IPv4": Layout(
        "RFC 791, 3.1",
        HeaderField(N_("version"), 4),
        HeaderField(N_("header words"), 4),
        HeaderField("DSCP", 6),
        HeaderField("ECN", 2),
        HeaderField(N_("total length"), 16),
        HeaderField(N_("identification"), 16, hex),
        HeaderField(N_("flags"), 3),
        HeaderField(N_("fragment offset"), 13),
        HeaderField(N_("time to live"), 8),
        HeaderField(N_("protocol"), 8, _named(PROTOCOLS)),
        HeaderField(N_("checksum"), 16, hex),
        HeaderField(N_("source"), 32, _address),
        HeaderField(N_("destination"), 32, _address),
    ),
    "ICMP": Layout(
        "RFC 792",
        HeaderField(N_("type"), 8, _named(ICMP_TYPES)),
        HeaderField(N_("code"), 8),
        HeaderField(N_("checksum"), 16, hex),
        HeaderField(N_("identifier"), 16, hex),
        HeaderField(N_("sequence"), 16),
    ),
    "UDP": Layout(
        "RFC 768",
        HeaderField(N_("source port"), 16),
        HeaderField(N_("destination port"), 16),
        HeaderField(N_("length"), 16),
        HeaderField(N_("checksum"), 16, hex),
    ),
    "TCP": Layout(
        "RFC 9293, 3.1",
        HeaderField(N_("source port"), 16),
        HeaderField(N_("destination port"), 16),
        HeaderField(N_("sequence"), 32),
        HeaderField(N_("acknowledgement"), 32),
        HeaderField(N_("header words"), 4),
        HeaderField(N_("reserved"), 4),
        HeaderField(N_("flags"), 8, _flags),
        HeaderField(N_("window"), 16),
        HeaderField(N_("checksum"), 16, hex),
        HeaderField(N_("urgent"), 16),
    ),
    "GRE": Layout(
        "RFC 2784, 2",
        HeaderField(N_("flags and version"), 16, hex),
        HeaderField(N_("protocol"), 16, _ethertype),
    ),
    "VXLAN": Layout(
        "RFC 7348, 5",
        HeaderField(N_("flags"), 8, hex),
        HeaderField(N_("reserved"), 24),
        HeaderField("VNI", 24),
        HeaderField(N_("reserved"), 8),
    ),
    "ESP": Layout(
        "RFC 4303, 2; RFC 4106, 3",
        HeaderField("SPI", 32, hex),
        HeaderField(N_("sequence"), 32),
        HeaderField(N_("initialisation vector"), 64, hex),
    ),
    "OpenVPN": Layout(
        "OpenVPN 2.6, ssl_pkt.h: P_DATA_V2",
        HeaderField(N_("opcode"), 5),
        HeaderField(N_("key"), 3),
        HeaderField(N_("peer"), 24),
        HeaderField(N_("packet number"), 32),
        HeaderField(N_("tag"), 128, hex),
    ),
    "WireGuard": Layout(
        "Donenfeld, WireGuard (2017), 5.4.6",
        HeaderField(N_("type"), 8),
        HeaderField(N_("reserved"), 24),
        HeaderField(N_("receiver"), 32, hex),
        HeaderField(N_("counter"), 64, _little_endian),
    ),
}
# Fields of GRE that are there if their flag is set: RFC 2784, 2.1; RFC 2890, 2.
GRE_OPTIONS = {
    0x8000: (HeaderField(N_("checksum"), 16, hex), HeaderField(N_("reserved"), 16)),
    0x2000: (HeaderField(N_("key"), 32, hex),),
    0x1000: (HeaderField(N_("sequence"), 32),),
}
GRE_UNKNOWN = 0x4C07  # flags that mean other fields, and versions: RFC 2784, 2.2 and 2.3
