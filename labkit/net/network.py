"""A topology at work: what becomes of a frame, in real bytes and in this process.

A network is quiet until somebody sends; then each frame on each cable is one step, in the order of
arrival, until it is quiet again. The clock stands still meanwhile; it moves when told to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import NamedTuple

from labkit.errors import LabError
from labkit.messages import _
from labkit.net import headers, packets
from labkit.net.devices import MacEntry, Station, Switch
from labkit.net.layouts import ICMP
from labkit.net.topology import Plug, Topology

MOST_STEPS = 200_000
PING = b"virtualisation, frame by frame"  # what an echo request carries here


class Step(NamedTuple):
    """One frame crossing one cable, and what the device at its end makes of it.

    ``taken``: a host heard it.
    """

    start: Plug
    end: Plug
    frame: bytes
    does: str
    taken: bool = False

    @property
    def vlans(self) -> tuple[int, ...]:
        """Its tags, the outer one first."""
        return headers.vlans(self.frame)


class Network:
    """A topology at work. ``clock``: in seconds."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.clock = 0.0
        self._pings = 0
        self._queue: deque[tuple[Plug, bytes]] = deque()
        self.forget()

    def forget(self) -> None:
        """Nothing learned, as after switching all on."""
        made = self.topology
        self._switches = {
            name: Switch(name, made, [plug for plug, _other in cables])
            for name, cables in made.plugged().items()
        }
        self._stations = {name: Station(host) for name, host in made.hosts.items()}
        for name, router in made.routers.items():
            self._stations[name] = Station(router)

    def change(self, topology: Topology) -> None:
        """Go on with ports that do something else; all is forgotten, as real switches do."""
        self.topology = topology
        self.forget()

    def wait(self, seconds: float) -> None:
        """Let time pass; switches forget addresses that are long unheard."""
        self.clock += seconds
        for switch in self._switches.values():
            switch.age(self.clock)

    @property
    def tables(self) -> dict[str, dict[tuple[int, bytes], MacEntry]]:
        """What each switch has learned, by VLAN and MAC address."""
        return {name: switch.table for name, switch in self._switches.items()}

    @property
    def caches(self) -> dict[str, dict[int, bytes]]:
        """MAC addresses by IP address that each host and router knows."""
        return {name: station.cache for name, station in self._stations.items()}

    def mac_table(self, switch: str) -> list[tuple[int, str, int, float]]:
        """What a switch has learned, in order: VLAN, MAC, port, seconds since it was heard.

        Raises :class:`LabError` if there is no such switch.
        """
        if switch not in self._switches:
            why = _(
                "There is no switch {switch!r:.40}; there are: {switches}.",
                switch=switch,
                switches=", ".join(self._switches)[:200],
            )
            raise LabError(why)
        return sorted(
            (vlan, mac.hex(":"), entry.port, self.clock - entry.heard)
            for (vlan, mac), entry in self._switches[switch].table.items()
        )

    # -- sending --------------------------------------------------------------------------------

    def send(self, host: str, frame: bytes) -> list[Step]:
        """Put a frame on a host's cable, and follow all that comes of it.

        Raises :class:`LabError` if there is no such host, or if a frame circles.
        """
        self._queue.append((Plug(self.topology.host(host).name), frame))
        return self._run()

    def ping(self, start: str, target: str) -> tuple[bool, list[Step]]:
        """One echo request from a host to a host or an address.

        Whether its reply came back, and all the steps. Raises :class:`LabError`.
        """
        own = int(self.topology.host(start).address.ip)
        address = self._address(target)
        self._pings += 1
        sequence = self._pings & 0xFFFF
        if address == own:
            return True, []  # without a cable
        station = self._stations[start]
        hop = station.device.next_hop(IPv4Address(address))
        if not hop:
            return False, []
        packet = packets.ipv4(own, address, ICMP, packets.icmp(8, 1, sequence, PING))
        self._queue.append(station.send(hop, packet))
        steps = self._run()
        return any(_is_reply(step, start, address, sequence) for step in steps), steps

    def _address(self, target: str) -> int:
        """The IP address of a host, or an address as typed. Raises :class:`LabError`."""
        if target in self.topology.hosts:
            return int(self.topology.hosts[target].address.ip)
        try:
            return int(IPv4Address(target))
        except ValueError:
            why = _("{target!r:.40} is no host here and no IPv4 address.", target=target)
            raise LabError(why) from None

    def _run(self) -> list[Step]:
        """Frame by frame until it is quiet."""
        steps = list[Step]()
        while self._queue:
            if len(steps) == MOST_STEPS:
                self._queue.clear()
                told = _(
                    "More than {most:,} frames from one: stopped. Is there a ring?", most=MOST_STEPS
                )
                raise LabError(told)
            start, frame = self._queue.popleft()
            steps.append(self._step(start, self.topology.cables[start], frame))
        for station in self._stations.values():
            station.give_up()
        return steps

    def _step(self, start: Plug, end: Plug, frame: bytes) -> Step:
        if end.port:
            reaction = self._switches[end.device].hear(end, frame, self.clock)
        else:
            reaction = self._stations[end.device].hear(frame)
        self._queue.extend(reaction.sends)
        return Step(start, end, frame, reaction.does, reaction.taken)


def _is_reply(step: Step, host: str, source: int, sequence: int) -> bool:
    """Whether a host took the answer to its echo request; frames at a host carry no tag."""
    packet = step.frame[14:]
    return (
        step.taken
        and step.end == Plug(host)
        and step.frame[12:14] == b"\x08\0"
        and len(packet) >= 28
        and (packet[9], packet[20]) == (ICMP, 0)
        and int.from_bytes(packet[12:16], "big") == source
        and int.from_bytes(packet[26:28], "big") == sequence
    )


def steps_at(steps: Iterable[Step], plug: Plug) -> list[Step]:
    """The steps on the cable of one plug, in both directions."""
    return [step for step in steps if plug in (step.start, step.end)]
