"""Frames made by hand, to see where they go."""

from __future__ import annotations

from collections.abc import Sequence

from labkit.messages import _
from labkit.net import packets
from labkit.net.topology import Topology
from labkit.words import number

EXPERIMENT = 0x88B5  # an EtherType for experiments: IEEE 802-2014, 9.2.4
NOTHING = b"nothing but a frame to see where it goes"


def crafted(topology: Topology, start: str, target: str, tags: Sequence[str]) -> bytes:
    """A frame from one host to another's MAC, with tags as typed, the outer one first.

    Raises :class:`LabError`.
    """
    usage = _(
        "A tag is a number from 0 to 4095, the outer one first: `%net send mallory eva 1 20`."
    )
    vlans = [number(tag, 0, 4095, usage) for tag in tags]
    source, destination = topology.host(start).mac, topology.host(target).mac
    return packets.ethernet(destination, source, EXPERIMENT, NOTHING, vlans)


def broadcast(topology: Topology, start: str) -> bytes:
    """A frame from a host to all. Raises :class:`LabError`."""
    source = topology.host(start).mac
    return packets.ethernet(packets.BROADCAST, source, EXPERIMENT, NOTHING)
