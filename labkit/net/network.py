"""A topology at work: what becomes of a frame, in real bytes and in this process.

A network is quiet until somebody sends; then each frame on each cable is one step, in the order of
arrival, until it is quiet again. The clock stands still meanwhile; it moves when told to.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address
from typing import NamedTuple

from labkit.errors import LabError
from labkit.messages import N_, _
from labkit.net import packets
from labkit.net.headers import ARP, ICMP, IPV4, TAG, vlans
from labkit.net.packets import BROADCAST
from labkit.net.topology import Hop, Host, Plug, Port, Router, Topology, listed
from labkit.words import number

AGEING = 300  # seconds that an address unheard is remembered: IEEE 802.1Q-2022, table 8-6
RESERVED = b"\1\x80\xc2\0\0"  # and a byte to 15: for the switch itself; 802.1Q-2022, table 8-1
_ECHO_REQUEST = b"\x08"  # the type of an ICMP message: RFC 792
_ECHO_REPLY = b"\0"
MOST_STEPS = 200_000
PING = b"virtualisation, frame by frame"  # what an echo request carries here
EXPERIMENT = 0x88B5  # an EtherType for experiments: IEEE 802-2014, 9.2.4
NOTHING = b"nothing but a frame to see where it goes"
_TAGS = N_("A tag is a number from 0 to 4095, the outer one first: `%net send mallory eva 1 20`.")
_NO_SWITCH = N_("There is no switch {switch!r:.40}; there are: {known}.")
_NO_TARGET = N_("{target!r:.40} is no host here and no IPv4 address.")
_RING = N_("More than {most:,} frames from one: stopped. Is there a ring?")


class Reaction(NamedTuple):
    """What a device makes of a frame: in words; whether a host took it; frames it sends itself."""

    does: str
    taken: bool = False
    sends: Sequence[tuple[Plug, bytes]] = ()


class MacEntry(NamedTuple):
    """What a switch has learned: behind which port an address is, and when it was last heard."""

    port: int
    heard: float


class Switch:
    """One switch, with the ports that hold a cable, in order.

    ``table``: what it has learned, by VLAN and MAC address.
    """

    def __init__(self, name: str, ports: dict[Plug, Port]) -> None:
        self.name = name
        self.ports = ports
        self.table: dict[tuple[int, bytes], MacEntry] = {}

    def hear(self, plug: Plug, frame: bytes, clock: float) -> Reaction:
        """Classify, learn, look up, pass on: IEEE 802.1Q-2022, 8.6."""
        if len(frame) < 14 or (frame[:5] == RESERVED and frame[5] < 16):
            does = _("{switch} drops it: too short, or for the switch itself", switch=self.name)
            return Reaction(does)
        control = 0  # of the tag: priority and drop eligible, which stay, and the VLAN
        bare = frame
        if frame[12:14] == TAG and len(frame) >= 18:
            control = int.from_bytes(frame[14:16], "big")
            bare = frame[:12] + frame[16:]
        vlan = self.ports[plug].inside(control & 0xFFF)
        if vlan is None:
            return Reaction(self._drops(plug, control & 0xFFF))
        events = self._learn(vlan, frame[6:12], plug.port, clock)
        exits, why = self._look_up(vlan, frame[:6], plug)
        tagged = bare[:12] + TAG + (control & 0xF000 | vlan).to_bytes(2, "big") + bare[12:]
        sends = list[tuple[Plug, bytes]]()
        ports = list[str]()
        for way in exits:
            tag = self.ports[way].outside(vlan)
            sends.append((way, tagged if tag else bare))
            ports.append(_("{port} tagged", port=way.port) if tag else str(way.port))
        out = _("out of port {ports}", ports=", ".join(ports)) if ports else ""
        events += [why, out or _("no other port for it")]
        journal = "; ".join(events)
        does = _("{switch}, VLAN {vlan}: {events}", switch=self.name, vlan=vlan, events=journal)
        return Reaction(does, sends=sends)

    def _drops(self, plug: Plug, tag: int) -> str:
        message = N_(
            "{switch} drops it: a frame without a tag has no VLAN here on port {port} ({does})"
        )
        if tag:
            message = N_("{switch} drops it: tag {tag} is not allowed on port {port} ({does})")
        return _(message, switch=self.name, port=plug.port, does=self.ports[plug], tag=tag)

    def _learn(self, vlan: int, source: bytes, port: int, clock: float) -> list[str]:
        """Note where an address is, but for that of a group; say so if it is news."""
        if source[0] & 1:
            return []
        known = self.table.get((vlan, source))
        self.table[vlan, source] = MacEntry(port, clock)
        if known and known.port == port:
            return []
        return [_("learns {mac} on port {port}", mac=source.hex(":"), port=port)]

    def _look_up(self, vlan: int, target: bytes, plug: Plug) -> tuple[list[Plug], str]:
        """Where a frame that came in at a plug leaves for an address, and why there."""
        carrying = [way for way, port in self.ports.items() if port.outside(vlan) is not None]
        exits = [way for way in carrying if way != plug]
        known = self.table.get((vlan, target))
        if known:
            only = [way for way in exits if way.port == known.port]
            return only, _("knows {mac} on port {port}", mac=target.hex(":"), port=known.port)
        if target[0] & 1:
            return exits, _("floods, for it is for all")
        return exits, _("floods, for it does not know where that is")


class Station:
    """A host or router. ``cache``: MAC addresses by IP address, as ARP tells them (RFC 826)."""

    def __init__(self, device: Host | Router) -> None:
        self.device = device
        self.name = device.name
        self.cache: dict[int, bytes] = {}
        self.waiting: list[tuple[Hop, bytes]] = []  # packets whose next hop's MAC is not known yet
        self.replies = set[tuple[int, int]]()  # to echo requests: from whom, and its number
        self._addresses = {vlan: int(address.ip) for vlan, address in device.addresses.items()}

    def _reacts(
        self, message: str, *sends: tuple[Plug, bytes], taken: bool = False, **values: object
    ) -> Reaction:
        """A reaction in words with a place for its ``{name}``."""
        return Reaction(_(message, name=self.name, **values), taken, sends)

    def send(self, hop: Hop, packet: bytes) -> tuple[Plug, bytes]:
        """The frame that takes a packet to its next hop, or that asks for the hop's MAC first."""
        address = int(hop.address)
        if mac := self.cache.get(address):
            return self._frame(mac, IPV4, packet, hop.vlan)
        self.waiting.append((hop, packet))
        own = self.device.mac, self._addresses[hop.vlan]
        question = packets.arp(1, own, (bytes(6), address))
        return self._frame(BROADCAST, ARP, question, hop.vlan)

    def _frame(self, target: bytes, kind: int, payload: bytes, vlan: int) -> tuple[Plug, bytes]:
        """A frame on its cable; VLAN 0 is none."""
        tags = [vlan] if vlan else []
        return Plug(self.name), packets.ethernet(target, self.device.mac, kind, payload, tags)

    def hear(self, frame: bytes) -> Reaction:
        """What it makes of a frame on its cable."""
        if frame[:6] not in (self.device.mac, BROADCAST):
            return self._reacts(N_("{name} ignores it: not its MAC"))
        tags = vlans(frame)
        vlan = tags[0] if tags else 0
        if len(tags) > 1 or vlan not in self._addresses:
            if not tags:
                return self._reacts(N_("{name} ignores it: it knows no VLAN without a tag"))
            message = N_("{name} ignores it: it knows no VLAN {tags}")
            return self._reacts(message, tags=", ".join(map(str, tags)))
        start = 14 + 4 * len(tags)
        kind, packet = int.from_bytes(frame[start - 2 : start], "big"), frame[start:]
        if kind == ARP and len(packet) >= 28:
            return self._arp(vlan, packet)
        if kind == IPV4 and len(packet) >= 20 and packet[0] == 0x45:
            return self._ipv4(vlan, packet)
        return self._reacts(N_("{name} hears it"), taken=True)

    def _arp(self, vlan: int, packet: bytes) -> Reaction:
        """RFC 826: note who asks or answers, and answer for oneself."""
        operation, mac, sender, target = struct.unpack_from("!7xB6sI6xI", packet)
        own = self._addresses[vlan]
        if target != own:
            return self._reacts(N_("{name} ignores it: not its address"))
        self.cache[sender] = mac
        if operation == 1:
            answer = packets.arp(2, (self.device.mac, own), (mac, sender))
            reply = self._frame(mac, ARP, answer, vlan)
            return self._reacts(N_("{name} answers: that is me"), reply, taken=True)
        ready = [held for held in self.waiting if int(held[0].address) == sender]
        self.waiting = [held for held in self.waiting if held not in ready]
        sends = [self.send(*held) for held in ready]
        return self._reacts(N_("{name} notes who that is"), *sends, taken=True)

    def _ipv4(self, vlan: int, packet: bytes) -> Reaction:
        """An echo request for this station itself is answered (RFC 792)."""
        size, protocol, source, target = struct.unpack_from("!2xH5xB2xII", packet)
        identifier = int.from_bytes(packet[24:26], "big")
        sequence = int.from_bytes(packet[26:28], "big")
        if target not in self._addresses.values():
            if isinstance(self.device, Router):
                return self._route(self.device, vlan, packet, IPv4Address(target))
            return self._reacts(N_("{name} drops it: not its address"))
        if protocol != ICMP or packet[20:21] != _ECHO_REQUEST:
            if protocol == ICMP and packet[20:21] == _ECHO_REPLY:
                self.replies.add((source, sequence))
            return self._reacts(N_("{name} takes it"), taken=True)
        reply = packets.icmp(0, identifier, sequence, packet[28:size])
        if hop := self.device.next_hop(IPv4Address(source)):
            frame = self.send(hop, packets.ipv4(target, source, ICMP, reply))
            return self._reacts(N_("{name} answers"), frame, taken=True)
        if isinstance(self.device, Router):
            return self._reacts(N_("{name} answers"))
        return self._reacts(N_("{name} cannot answer: no way back to that network"), taken=True)

    def _route(self, router: Router, vlan: int, packet: bytes, target: IPv4Address) -> Reaction:
        """A packet for somebody else: a router passes it on, with less time to live."""
        time_to_live = packet[8]
        if time_to_live <= 1:
            return self._reacts(N_("{name} drops it: its time to live is over"))
        hop = router.next_hop(target)
        if not hop:
            return self._reacts(N_("{name} drops it: no route to that network"))
        if (vlan, hop.vlan) in router.denied:
            message = N_("{name} drops it: {start} to {target} is denied")
            return self._reacts(message, start=vlan, target=hop.vlan)
        header = packet[:8] + bytes([time_to_live - 1]) + packet[9:20]
        frame = self.send(hop, packets.with_checksum(header) + packet[20:])
        return self._reacts(N_("{name} routes it on"), frame, taken=True)


class Step(NamedTuple):
    """One frame on one cable, what the device at its end makes of it, and if a host took it."""

    start: Plug
    end: Plug
    frame: bytes
    does: str
    taken: bool = False


class Network:
    """A topology at work: ``switches`` and ``stations`` by name. ``clock``: in seconds."""

    def __init__(self, topology: Topology) -> None:
        self.clock = 0.0
        self._pings = 0
        self.change(topology)

    def change(self, topology: Topology) -> None:
        """Go on with ports that do something else; all is forgotten, as real switches do."""
        self.topology = topology
        self.switches = {
            name: Switch(name, {plug: topology.port(plug) for plug, _other in cables})
            for name, cables in topology.plugged().items()
        }
        self.stations = {device.name: Station(device) for device in topology.stations}

    def forget(self) -> None:
        """Nothing learned, as after switching all on."""
        self.change(self.topology)

    def wait(self, seconds: float) -> None:
        """Let time pass; switches forget addresses that are long unheard."""
        self.clock += seconds
        for switch in self.switches.values():
            for key, entry in list(switch.table.items()):
                if self.clock - entry.heard >= AGEING:
                    del switch.table[key]

    def mac_table(self, switch: str) -> list[tuple[int, str, int, float]]:
        """What a switch has learned, in order: VLAN, MAC, port, seconds since it was heard.

        Raises :class:`LabError` if there is no such switch.
        """
        if switch not in self.switches:
            raise LabError(_NO_SWITCH, switch=switch, known=listed(self.switches))
        return sorted(
            (vlan, mac.hex(":"), entry.port, self.clock - entry.heard)
            for (vlan, mac), entry in self.switches[switch].table.items()
        )

    def send(self, host: str, frame: bytes) -> list[Step]:
        """Put a frame on a host's cable, and follow all that comes of it.

        Raises :class:`LabError` if there is no such host, or if a frame circles.
        """
        return self._run(Plug(self.topology.host(host).name), frame)

    def ping(self, start: str, target: str) -> tuple[bool, list[Step]]:
        """One echo request from a host to a host or an address.

        Whether its reply came back, and all the steps. Raises :class:`LabError`.
        """
        host, other = self.topology.host(start), self.topology.hosts.get(target)
        try:
            address = other.address.ip if other else IPv4Address(target)
        except ValueError:
            raise LabError(_NO_TARGET, target=target) from None
        self._pings += 1
        if address == host.address.ip:
            return True, []  # without a cable
        hop = host.next_hop(address)
        if not hop:
            return False, []
        sequence = self._pings & 0xFFFF
        echo = packets.icmp(8, 1, sequence, PING)
        packet = packets.ipv4(int(host.address.ip), int(address), ICMP, echo)
        station = self.stations[start]
        station.replies.clear()
        steps = self._run(*station.send(hop, packet))
        return (int(address), sequence) in station.replies, steps

    def _run(self, plug: Plug, frame: bytes) -> list[Step]:
        """Frame by frame until it is quiet."""
        steps = list[Step]()
        queue = deque([(plug, frame)])
        while queue:
            if len(steps) == MOST_STEPS:
                raise LabError(_RING, most=MOST_STEPS)
            start, frame = queue.popleft()
            end = self.topology.cables[start]
            if end.port:
                reaction = self.switches[end.device].hear(end, frame, self.clock)
            else:
                reaction = self.stations[end.device].hear(frame)
            queue.extend(reaction.sends)
            steps.append(Step(start, end, frame, reaction.does, reaction.taken))
        for station in self.stations.values():
            station.waiting.clear()  # whoever has not answered by now will not
        return steps


def crafted(
    topology: Topology, start: str, target: str | None = None, tags: Sequence[str] = ()
) -> bytes:
    """A frame from a host to another's MAC, or to all; ``tags`` as typed, the outer one first.

    Raises :class:`LabError`.
    """
    identifiers = [number(tag, 0, 4095, _(_TAGS)) for tag in tags]
    source = topology.host(start).mac
    destination = BROADCAST if target is None else topology.host(target).mac
    return packets.ethernet(destination, source, EXPERIMENT, NOTHING, identifiers)


def steps_at(steps: Iterable[Step], plug: Plug) -> list[Step]:
    """The steps on the cable of one plug, in both directions."""
    return [step for step in steps if plug in (step.start, step.end)]
