"""What becomes of a frame: learning switches, hosts that answer, a router on a stick; real bytes, in this process.

A network is quiet until somebody sends; then each frame on each cable is one step, in the order of arrival, until it is
quiet again. The clock stands still meanwhile; it moves when told to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address
from typing import NamedTuple

from labkit.errors import LabError
from labkit.net import headers, packets
from labkit.net.layouts import ARP, IPV4
from labkit.net.packets import BROADCAST
from labkit.net.topology import Host, Plug, Router, Topology

AGEING = 300.0  # seconds that a switch remembers an address unheard: IEEE 802.1Q-2022, table 8-6
RESERVED = b"\1\x80\xc2\0\0"  # to the switch itself, never passed on: IEEE 802.1Q-2022, table 8-1
MOST_STEPS = 200_000
PING = b"virtualisation, frame by frame"  # what an echo request carries here


class Step(NamedTuple):
    """One frame crossing one cable, and what the device at its end makes of it. ``taken``: a host heard it."""

    start: Plug
    end: Plug
    frame: bytes
    does: str
    taken: bool = False

    @property
    def vlans(self) -> tuple[int, ...]:
        """Its tags, the outer one first."""
        return headers.vlans(self.frame)


class Entry(NamedTuple):
    """What a switch has learned: behind which port an address is, and when it was last heard."""

    port: int
    heard: float


class Network:
    """A topology at work. ``tables``: (VLAN, MAC) → :class:`Entry` for each switch. ``caches``: IP → MAC for each host.

    ``clock`` is in seconds.
    """

    def __init__(self, topology: Topology) -> None:
        self.topology, self.clock = topology, 0.0
        self.tables: dict[str, dict[tuple[int, bytes], Entry]] = {
            name: {} for name in topology.switches
        }
        self.caches: dict[str, dict[int, bytes]] = {
            name: {} for name in [*topology.hosts, *topology.routers]
        }
        self.sent = 0
        self._waiting: dict[
            str, list[tuple[int, int, bytes]]
        ] = {}  # packets until a router knows the next MAC
        self._queue: deque[tuple[Plug, bytes]] = deque()
        self._steps: list[Step] = []
        self._lookup()

    def _lookup(self) -> None:
        """Who is where, as plain values: floods are many frames."""
        made = self.topology
        self._ports: dict[str, list[tuple[int, Plug, Plug]]] = {name: [] for name in made.switches}
        for plug, other in sorted(made.cables.items()):
            if plug.port:
                self._ports[plug.device].append((plug.port, plug, other))
        self._devices: dict[str, Host | Router] = {**made.hosts, **made.routers}
        self._ips = {name: int(host.address.ip) for name, host in made.hosts.items()}
        self._out: dict[
            tuple[str, int], list[tuple[int, Plug, bool]]
        ] = {}  # (switch, VLAN) → (port, plug, tagged)

    def change(self, topology: Topology) -> None:
        """Go on with other VLANs on the ports; what was learned in them is forgotten, as real switches do."""
        self.topology = topology
        self.forget()
        self._lookup()

    def forget(self) -> None:
        """Nothing learned, as after switching all on."""
        for table in self.tables.values():
            table.clear()
        for cache in self.caches.values():
            cache.clear()
        self._waiting.clear()

    def wait(self, seconds: float) -> None:
        """Let time pass; addresses unheard for AGEING seconds are forgotten."""
        self.clock += seconds
        for table in self.tables.values():
            for key in [key for key, entry in table.items() if self.clock - entry.heard >= AGEING]:
                del table[key]

    # -- sending --------------------------------------------------------------------------------

    def send(self, host: str, frame: bytes) -> list[Step]:
        """Put a frame on a host's cable, and follow all that comes of it. Raises :class:`LabError`."""
        self._steps = []
        self._put(Plug(self.topology.host(host).name), frame)
        self._run()
        return self._steps

    def ping(self, start: str, target: str) -> tuple[bool, list[Step]]:
        """One echo request from a host to a host or an address; whether its reply came back, and all the steps.

        Raises :class:`LabError`.
        """
        one, names = (
            self.topology.host(start),
            {name: host.address.ip for name, host in self.topology.hosts.items()},
        )
        address = int(address_of(target) if target not in names else names[target])
        self._steps, self.sent = [], self.sent + 1
        packet = packets.ipv4(
            int(one.address.ip), address, 1, packets.icmp(8, 1, self.sent & 0xFFFF, PING)
        )
        if address == int(one.address.ip) or (hop := _hop(one, address)) is None:
            return address == int(
                one.address.ip
            ), []  # to itself without a cable; or there is no way
        self._emit(one.name, None, hop, packet)
        self._run()
        return any(
            step.taken
            and step.end == Plug(start)
            and _echo(step.frame) == (0, address, self.sent & 0xFFFF)
            for step in self._steps
        ), self._steps

    def _put(self, plug: Plug, frame: bytes) -> None:
        if plug in self.topology.cables:
            self._queue.append((plug, frame))

    def _emit(self, device: str, vlan: int | None, hop: int, packet: bytes) -> None:
        """Send an IP packet to the next hop; ask for its MAC first if need be (RFC 826)."""
        mac = self.caches[device].get(hop)
        tags = [vlan] if vlan else []
        if mac:
            self._put(
                Plug(device), packets.ethernet(mac, self._devices[device].mac, IPV4, packet, tags)
            )
            return
        self._waiting.setdefault(device, []).append((vlan or 0, hop, packet))
        one = self._devices[device]
        own = one.address.ip if isinstance(one, Host) else one.addresses[vlan or 0].ip
        question = packets.arp(1, (one.mac, int(own)), (bytes(6), hop))
        self._put(Plug(device), packets.ethernet(BROADCAST, one.mac, ARP, question, tags))

    def _run(self) -> None:
        count, switches = 0, self.tables
        while self._queue:
            start, frame = self._queue.popleft()
            end = self.topology.cables[start]
            count += 1
            if count > MOST_STEPS:
                self._queue.clear()
                raise LabError(
                    f"More than {MOST_STEPS:,} frames from one: stopped. Is there a ring?"
                )
            does, taken = (
                self._switch(end, frame) if end.device in switches else self._end(end.device, frame)
            )
            self._steps.append(Step(start, end, frame, does, taken))
        self._waiting.clear()  # whoever has not answered by now will not

    # -- devices --------------------------------------------------------------------------------

    def _switch(self, at: Plug, frame: bytes) -> tuple[str, bool]:
        """Classify, learn, look up, pass on: IEEE 802.1Q-2022, 8.6."""
        port = self.topology.port(at)
        tagged = frame[12:14] == b"\x81\0" and len(frame) >= 18
        tag = int.from_bytes(frame[14:16], "big") & 0xFFF if tagged else None
        vlan = port.inside(tag)
        if len(frame) < 14 or (frame[:5] == RESERVED and frame[5] < 16):
            return f"{at.device} drops it: too short, or for the switch itself", False
        if vlan is None:
            said = f"tag {tag} is not allowed" if tag else "a frame without a tag has no VLAN here"
            return f"{at.device} drops it: {said} on port {at.port} ({port})", False
        bare = frame[:12] + frame[16:] if tagged else frame
        table, source, target = self.tables[at.device], (vlan, frame[6:12]), (vlan, frame[:6])
        notes = []
        if not frame[6] & 1:
            known = table.get(source)
            if not known or known.port != at.port:
                notes.append(f"learns {frame[6:12].hex(':')} on port {at.port}")
            table[source] = Entry(at.port, self.clock)
        ways = self._ways(at.device, vlan)
        known = table.get(target)
        if known and self.clock - known.heard < AGEING:
            ways = [way for way in ways if way[0] == known.port]
            notes.append(f"knows {frame[:6].hex(':')} on port {known.port}")
        else:
            notes.append(
                "floods, for it is for all"
                if frame[0] & 1
                else "floods, for it does not know where that is"
            )
        with_tag = b""
        for number, plug, tag_it in ways:
            if number != at.port:
                if tag_it and not with_tag:
                    control = (frame[14] & 0xF0) << 8 if tagged else 0  # the priority stays
                    with_tag = (
                        bare[:12] + b"\x81\0" + (control | vlan).to_bytes(2, "big") + bare[12:]
                    )
                self._queue.append((plug, with_tag if tag_it else bare))
        gone = [f"{number}{' tagged' * tag_it}" for number, _, tag_it in ways if number != at.port]
        out = f"out of port {', '.join(gone)}" if gone else "no other port for it"
        return f"{at.device}, VLAN {vlan}: {'; '.join([*notes, out])}", False

    def _ways(self, switch: str, vlan: int) -> list[tuple[int, Plug, bool]]:
        found = self._out.get((switch, vlan))
        if found is None:
            made = self.topology
            found = self._out[switch, vlan] = [
                (number, plug, made.port(plug).tags(vlan))
                for number, plug, _ in self._ports[switch]
                if made.port(plug).carries(vlan)
            ]
        return found

    def _end(self, name: str, frame: bytes) -> tuple[str, bool]:
        """A host or a router hears a frame."""
        one = self._devices[name]
        tags = headers.vlans(frame)
        vlan = tags[0] if tags else None
        if frame[:6] not in (one.mac, BROADCAST):
            return f"{name} ignores it: not its MAC", False
        known = (0 if vlan is None else vlan) in (
            one.addresses if isinstance(one, Router) else (0,)
        )
        if len(tags) > 1 or not known:
            return (
                f"{name} ignores it: it knows no VLAN {', '.join(map(str, tags)) or 'without a tag'}",
                False,
            )
        at = 14 + 4 * len(tags)
        kind, packet = int.from_bytes(frame[at - 2 : at], "big"), frame[at:]
        own = self._ips[name] if isinstance(one, Host) else int(one.addresses[vlan or 0].ip)
        if kind == ARP and len(packet) >= 28:
            return self._arp(name, vlan, own, packet)
        if kind == IPV4 and len(packet) >= 20 and packet[0] == 0x45:
            return self._ip(name, vlan, own, packet)
        return f"{name} hears it", True

    def _arp(self, name: str, vlan: int | None, own: int, packet: bytes) -> tuple[str, bool]:
        mac, sender, target = (
            packet[8:14],
            int.from_bytes(packet[14:18], "big"),
            int.from_bytes(packet[24:28], "big"),
        )
        if target != own:
            return f"{name} ignores it: not its address", False
        self.caches[name][sender] = mac
        if packet[7] == 1:
            answer = packets.arp(2, (self._devices[name].mac, own), (mac, sender))
            self._put(
                Plug(name),
                packets.ethernet(mac, self._devices[name].mac, ARP, answer, [vlan] if vlan else []),
            )
            return f"{name} answers: that is me", True
        waiting = self._waiting.pop(name, [])
        self._waiting[name] = [entry for entry in waiting if entry[1] != sender]
        for via, hop, held in waiting:
            if hop == sender:
                self._emit(name, via or None, hop, held)
        return f"{name} notes who that is", True

    def _ip(self, name: str, vlan: int | None, own: int, packet: bytes) -> tuple[str, bool]:
        one, target = self._devices[name], int.from_bytes(packet[16:20], "big")
        source = int.from_bytes(packet[12:16], "big")
        mine = (
            {own}
            if isinstance(one, Host)
            else {int(address.ip) for address in one.addresses.values()}
        )
        if target in mine:
            if packet[9] == 1 and packet[20:21] == b"\x08":
                size = int.from_bytes(packet[2:4], "big")
                reply = packets.icmp(0, *_ids(packet), packet[28:size])
                back = packets.ipv4(target, source, 1, reply)
                if isinstance(one, Router):
                    return f"{name} answers", self._route(one, back, source)
                if (hop := _hop(one, source)) is None:
                    return f"{name} cannot answer: no way back to that network", True
                self._emit(name, None, hop, back)
                return f"{name} answers", True
            return f"{name} takes it", True
        if isinstance(one, Host):
            return f"{name} drops it: not its address", False
        if packet[8] <= 1:
            return f"{name} drops it: its time to live is over", False
        aged = packet[:8] + bytes([packet[8] - 1]) + packet[9:10] + b"\0\0" + packet[12:20]
        aged = aged[:10] + packets.checksum(aged).to_bytes(2, "big") + aged[12:] + packet[20:]
        if (vlan, route(one, target)) in one.denied:
            return f"{name} drops it: {vlan} to {route(one, target)} is denied", False
        if not self._route(one, aged, target):
            return f"{name} drops it: no route to that network", False
        return f"{name} routes it on", True

    def _route(self, router: Router, packet: bytes, target: int) -> bool:
        found = route(router, target)
        if found is not None:
            self._emit(router.name, found, target, packet)
        return found is not None


def route(router: Router, target: int) -> int | None:
    """The VLAN in which a router would send on: that of its most exact network with the address."""
    fitting = [
        (address.network.prefixlen, vlan)
        for vlan, address in router.addresses.items()
        if target >> 32 - address.network.prefixlen << 32 - address.network.prefixlen
        == int(address.network.network_address)
    ]
    return max(fitting)[1] if fitting else None


def _hop(host: Host, target: int) -> int | None:
    """To whom a host gives a packet: the target itself in its own network, else its gateway; None without a way."""
    network = host.address.network
    if target & int(network.netmask) == int(network.network_address):
        return target
    via = int(host.via) if host.via else None
    return (
        via
        if via is not None and via & int(network.netmask) == int(network.network_address)
        else None
    )


def address_of(text: str) -> int:
    """An IPv4 address typed by a student. Raises :class:`LabError`."""
    try:
        return int(IPv4Address(text))
    except ValueError:
        raise LabError(f"{text!r:.40} is no host here and no IPv4 address.") from None


def _ids(packet: bytes) -> tuple[int, int]:
    return int.from_bytes(packet[24:26], "big"), int.from_bytes(packet[26:28], "big")


def _echo(frame: bytes) -> tuple[int, int, int] | None:
    """Type, source and sequence of an echo in an untagged frame."""
    packet = frame[14:]
    if frame[12:14] != b"\x08\0" or len(packet) < 28 or packet[9] != 1:
        return None
    return packet[20], int.from_bytes(packet[12:16], "big"), _ids(packet)[1]


def on(steps: Iterable[Step], cable: Plug) -> list[Step]:
    """The steps on one cable, in both directions."""
    return [step for step in steps if cable in (step.start, step.end)]


def table(network: Network, switch: str) -> Sequence[tuple[int, str, int, float]]:
    """What a switch has learned, sorted: VLAN, MAC, port, seconds since it was heard. Raises :class:`LabError`."""
    if switch not in network.tables:
        raise LabError(
            f"There is no switch {switch!r:.40}; there are: {', '.join(network.tables)[:200]}."
        )
    return sorted(
        (vlan, mac.hex(":"), entry.port, network.clock - entry.heard)
        for (vlan, mac), entry in network.tables[switch].items()
    )
