"""Devices at work: what a learning switch, a host or a router makes of a frame, and sends on."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import NamedTuple

from labkit.messages import _
from labkit.net import packets
from labkit.net.headers import TAG, vlans
from labkit.net.layouts import ARP, ICMP, IPV4
from labkit.net.packets import BROADCAST
from labkit.net.topology import Hop, Host, Plug, Router, Topology

AGEING = 300.0  # seconds that an address unheard is remembered: IEEE 802.1Q-2022, table 8-6
RESERVED = b"\1\x80\xc2\0\0"  # and a byte to 15: for the switch itself; 802.1Q-2022, table 8-1
_ECHO_REQUEST = b"\x08"


class Reaction(NamedTuple):
    """What a device makes of a frame: in words; whether a host took it; frames it sends itself."""

    does: str
    taken: bool = False
    sends: Iterable[tuple[Plug, bytes]] = ()


class MacEntry(NamedTuple):
    """What a switch has learned: behind which port an address is, and when it was last heard."""

    port: int
    heard: float


class _Exit(NamedTuple):
    """A port that a VLAN leaves by, with or without a tag."""

    plug: Plug
    tagged: bool


class Switch:
    """One switch of a topology. ``table``: what it has learned, by VLAN and MAC address."""

    def __init__(self, name: str, topology: Topology, plugs: list[Plug]) -> None:
        self.name = name
        self.table: dict[tuple[int, bytes], MacEntry] = {}
        self._topology = topology
        self._plugs = plugs  # its ports that hold a cable, in order
        self._exits: dict[int, list[_Exit]] = {}  # by VLAN, as they are asked for

    def age(self, clock: float) -> None:
        """Forget addresses unheard for AGEING seconds."""
        for key, entry in list(self.table.items()):
            if clock - entry.heard >= AGEING:
                del self.table[key]

    def hear(self, plug: Plug, frame: bytes, clock: float) -> Reaction:
        """Classify, learn, look up, pass on: IEEE 802.1Q-2022, 8.6."""
        control, bare = _untagged(frame)
        vlan = self._topology.port(plug).inside(control & 0xFFF)
        if vlan is None or _not_to_pass(frame):
            return Reaction(self._drops(plug, frame, control & 0xFFF))
        learns = self._learn(vlan, frame[6:12], plug.port, clock)
        exits, decides = self._look_up(vlan, frame[:6], clock)
        exits = [way for way in exits if way.plug != plug]
        tagged = bare[:12] + TAG + (control & 0xF000 | vlan).to_bytes(2, "big") + bare[12:]
        events = "; ".join([*learns, decides, _out(exits)])
        does = _("{switch}, VLAN {vlan}: {events}", switch=self.name, vlan=vlan, events=events)
        sends = [(way.plug, tagged if way.tagged else bare) for way in exits]
        return Reaction(does, sends=sends)

    def _drops(self, plug: Plug, frame: bytes, tag: int) -> str:
        """Why a frame goes no further."""
        if _not_to_pass(frame):
            return _("{switch} drops it: too short, or for the switch itself", switch=self.name)
        port = self._topology.port(plug)
        told = {"switch": self.name, "port": plug.port, "does": port, "tag": tag}
        if tag:
            return _("{switch} drops it: tag {tag} is not allowed on port {port} ({does})", **told)
        return _(
            "{switch} drops it: a frame without a tag has no VLAN here on port {port} ({does})",
            **told,
        )

    def _learn(self, vlan: int, source: bytes, port: int, clock: float) -> list[str]:
        """Note where an address is, but for that of a group; say so if it is news."""
        if source[0] & 1:
            return []
        known = self.table.get((vlan, source))
        self.table[vlan, source] = MacEntry(port, clock)
        if known and known.port == port:
            return []
        return [_("learns {mac} on port {port}", mac=source.hex(":"), port=port)]

    def _look_up(self, vlan: int, target: bytes, clock: float) -> tuple[list[_Exit], str]:
        """Where a frame for an address leaves, and why there."""
        exits = self._exits_of(vlan)
        known = self.table.get((vlan, target))
        if known and clock - known.heard < AGEING:
            only = [way for way in exits if way.plug.port == known.port]
            return only, _("knows {mac} on port {port}", mac=target.hex(":"), port=known.port)
        if target[0] & 1:
            return exits, _("floods, for it is for all")
        return exits, _("floods, for it does not know where that is")

    def _exits_of(self, vlan: int) -> list[_Exit]:
        if vlan not in self._exits:
            ports = [(plug, self._topology.port(plug)) for plug in self._plugs]
            exits = [_Exit(plug, port.tags(vlan)) for plug, port in ports if port.carries(vlan)]
            self._exits[vlan] = exits
        return self._exits[vlan]


def _not_to_pass(frame: bytes) -> bool:
    """Whether a frame is too short to be one, or for the switch itself."""
    return len(frame) < 14 or (frame[:5] == RESERVED and frame[5] < 16)


def _untagged(frame: bytes) -> tuple[int, bytes]:
    """The control bits of a frame's tag (0 without one), and the frame without it.

    The upper four are priority and drop eligible, which stay; the lower twelve are the VLAN.
    """
    if frame[12:14] != TAG or len(frame) < 18:
        return 0, frame
    return int.from_bytes(frame[14:16], "big"), frame[:12] + frame[16:]


def _out(exits: list[_Exit]) -> str:
    ports = list[str]()
    for plug, tagged in exits:
        ports.append(_("{port} tagged", port=plug.port) if tagged else str(plug.port))
    return _("out of port {ports}", ports=", ".join(ports)) if ports else _("no other port for it")


class _Held(NamedTuple):
    """A packet that waits until the MAC address of its next hop is known."""

    hop: Hop
    packet: bytes


class Station:
    """A host or router. ``cache``: MAC addresses by IP address, as ARP tells them (RFC 826)."""

    def __init__(self, device: Host | Router) -> None:
        self.device = device
        self.name = device.name
        self.cache: dict[int, bytes] = {}
        interfaces = {0: device.address} if isinstance(device, Host) else device.addresses
        self._addresses = {vlan: int(interface.ip) for vlan, interface in interfaces.items()}
        self._held: list[_Held] = []

    def send(self, hop: Hop, packet: bytes) -> tuple[Plug, bytes]:
        """The frame that takes a packet to its next hop, or that asks for the hop's MAC first."""
        address = int(hop.address)
        mac = self.cache.get(address)
        if mac:
            return self._frame(mac, IPV4, packet, hop.vlan)
        self._held.append(_Held(hop, packet))
        own = self.device.mac, self._addresses[hop.vlan]
        question = packets.arp(1, own, (bytes(6), address))
        return self._frame(BROADCAST, ARP, question, hop.vlan)

    def give_up(self) -> None:
        """Whoever has not answered by now will not: drop the packets that wait."""
        self._held.clear()

    def _frame(self, target: bytes, kind: int, payload: bytes, vlan: int) -> tuple[Plug, bytes]:
        """A frame on its cable; VLAN 0 is none."""
        tags = [vlan] if vlan else []
        return Plug(self.name), packets.ethernet(target, self.device.mac, kind, payload, tags)

    def hear(self, frame: bytes) -> Reaction:
        """What it makes of a frame on its cable."""
        if frame[:6] not in (self.device.mac, BROADCAST):
            return Reaction(_("{name} ignores it: not its MAC", name=self.name))
        tags = vlans(frame)
        vlan = tags[0] if tags else 0
        if len(tags) > 1 or vlan not in self._addresses:
            return Reaction(self._knows_no(tags))
        start = 14 + 4 * len(tags)
        kind, packet = int.from_bytes(frame[start - 2 : start], "big"), frame[start:]
        if kind == ARP and len(packet) >= 28:
            return self._arp(vlan, packet)
        if kind == IPV4 and len(packet) >= 20 and packet[0] == 0x45:
            return self._ipv4(vlan, packet)
        return Reaction(_("{name} hears it", name=self.name), True)

    def _knows_no(self, tags: tuple[int, ...]) -> str:
        if not tags:
            return _("{name} ignores it: it knows no VLAN without a tag", name=self.name)
        told = ", ".join(map(str, tags))
        return _("{name} ignores it: it knows no VLAN {tags}", name=self.name, tags=told)

    def _arp(self, vlan: int, packet: bytes) -> Reaction:
        """RFC 826: note who asks or answers, and answer for oneself."""
        operation, mac, sender, target = struct.unpack_from("!7xB6sI6xI", packet)
        own = self._addresses[vlan]
        if target != own:
            return Reaction(_("{name} ignores it: not its address", name=self.name))
        self.cache[sender] = mac
        if operation == 1:
            answer = packets.arp(2, (self.device.mac, own), (mac, sender))
            reply = self._frame(mac, ARP, answer, vlan)
            return Reaction(_("{name} answers: that is me", name=self.name), True, [reply])
        ready = [held for held in self._held if int(held.hop.address) == sender]
        self._held = [held for held in self._held if int(held.hop.address) != sender]
        sends = [self.send(*held) for held in ready]
        return Reaction(_("{name} notes who that is", name=self.name), True, sends)

    def _ipv4(self, vlan: int, packet: bytes) -> Reaction:
        (target,) = struct.unpack_from("!16xI", packet)
        if target in self._addresses.values():
            return self._own(packet)
        if isinstance(self.device, Host):
            return Reaction(_("{name} drops it: not its address", name=self.name))
        return self._route(self.device, vlan, packet, IPv4Address(target))

    def _own(self, packet: bytes) -> Reaction:
        """A packet for this station itself: an echo request is answered (RFC 792)."""
        size, protocol, source, target = struct.unpack_from("!2xH5xB2xII", packet)
        if protocol != ICMP or packet[20:21] != _ECHO_REQUEST:
            return Reaction(_("{name} takes it", name=self.name), True)
        identifier = int.from_bytes(packet[24:26], "big")
        sequence = int.from_bytes(packet[26:28], "big")
        reply = packets.icmp(0, identifier, sequence, packet[28:size])
        hop = self.device.next_hop(IPv4Address(source))
        if hop:
            frame = self.send(hop, packets.ipv4(target, source, ICMP, reply))
            return Reaction(_("{name} answers", name=self.name), True, [frame])
        if isinstance(self.device, Router):
            return Reaction(_("{name} answers", name=self.name))
        does = _("{name} cannot answer: no way back to that network", name=self.name)
        return Reaction(does, True)

    def _route(self, router: Router, vlan: int, packet: bytes, target: IPv4Address) -> Reaction:
        """A packet for somebody else: a router passes it on, with less time to live."""
        time_to_live = packet[8]
        if time_to_live <= 1:
            return Reaction(_("{name} drops it: its time to live is over", name=self.name))
        hop = router.next_hop(target)
        if not hop:
            return Reaction(_("{name} drops it: no route to that network", name=self.name))
        if (vlan, hop.vlan) in router.denied:
            told = {"name": self.name, "start": vlan, "target": hop.vlan}
            return Reaction(_("{name} drops it: {start} to {target} is denied", **told))
        header = packet[:8] + bytes([time_to_live - 1]) + packet[9:20]
        frame = self.send(hop, packets.with_checksum(header) + packet[20:])
        return Reaction(_("{name} routes it on", name=self.name), True, [frame])
