"""A network at work: echo requests, changes, and that nothing leaves the process."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable

import pytest
from samples.errors import refused
from samples.networks import STICK, TWO

from labkit.net.layouts import ARP, IPV4
from labkit.net.network import PING, Network, steps_at
from labkit.net.packets import BROADCAST, arp, ethernet, icmp, ipv4
from labkit.net.statements import changed, parse
from labkit.net.topology import Plug

ANA, BEN = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2"
A, B = 0x0A00_0A01, 0x0A00_0A02  # 10.0.10.1 and .2


def test_a_ping_is_arp_and_icmp() -> None:
    net = Network(parse(TWO))
    ok, steps = net.ping("ana", "ben")
    assert ok
    assert [step.frame for step in steps_at(steps, Plug("ben"))] == [
        ethernet(BROADCAST, ANA, ARP, arp(1, (ANA, A), (bytes(6), B))),
        ethernet(ANA, BEN, ARP, arp(2, (BEN, B), (ANA, A))),
        ethernet(BEN, ANA, IPV4, ipv4(A, B, 1, icmp(8, 1, 1, PING))),
        ethernet(ANA, BEN, IPV4, ipv4(B, A, 1, icmp(0, 1, 1, PING))),
    ]
    assert [step.does for step in steps if step.taken] == [
        "ben answers: that is me",
        "ana notes who that is",
        "ben answers",
        "ana takes it",
    ]
    assert net.caches == {"ana": {B: BEN}, "ben": {A: ANA}, "cy": {}, "dan": {}}
    ok, steps = net.ping("ana", "10.0.10.2")
    assert ok and len(steps_at(steps, Plug("ben"))) == 2, "it knows the MAC now"


@pytest.mark.parametrize(
    "start, target, ok, count",
    [
        ("ana", "ana", True, 0),
        ("ana", "dan", False, 0),
        ("ana", "10.0.10.99", False, 4),
        ("ana", "8.8.8.8", False, 0),
    ],
)
def test_pings_that_get_no_answer(start: str, target: str, ok: bool, count: int) -> None:
    found, steps = Network(parse(TWO)).ping(start, target)
    assert (found, len(steps)) == (ok, count)


@pytest.mark.parametrize(
    "start, target, ok",
    [
        ("ana", "ben", True),
        ("ben", "ana", True),
        ("ana", "10.0.10.254", True),
        ("ana", "10.0.20.254", True),
        ("ana", "10.0.20.99", False),
        ("ana", "10.0.30.1", False),
    ],
)
def test_pings_through_a_router(start: str, target: str, ok: bool) -> None:
    assert Network(parse(STICK)).ping(start, target)[0] == ok


@pytest.mark.parametrize(
    "ask, said",
    [
        (
            lambda net: net.ping("eve", "ana"),
            "There is no host 'eve'; there are: ana, ben, cy, dan",
        ),
        (lambda net: net.ping("ana", "10.0.10"), "'10.0.10' is no host here and no IPv4 address"),
        (lambda net: net.send("s1", b""), "There is no host 's1'"),
        (lambda net: net.mac_table("ana"), "There is no switch 'ana'; there are: s1, s2"),
    ],
)
def test_no_such_thing(ask: Callable[[Network], object], said: str) -> None:
    assert said in refused(ask, Network(parse(TWO)))


def test_a_change_makes_switches_forget() -> None:
    net = Network(parse(TWO))
    assert net.ping("ana", "ben")[0]
    net.change(changed(net.topology, "access 20 s2.1"))
    assert net.mac_table("s1") == [] and not net.ping("ana", "ben")[0]
    net.change(changed(net.topology, "access 10 s2.1"))
    assert net.ping("ana", "ben")[0]


def test_a_frame_that_circles_is_stopped() -> None:
    """Parsing refuses rings in VLANs in use; one that a host's tag brings to life ends as well."""
    ring = (
        "switch a b\nhost eve 10.0.0.1/24 a.1\nlink a.8 b.8\nlink a.9 b.9\n"
        "trunk 99 a.1 a.8 a.9 b.8 b.9"
    )
    circling = ethernet(BROADCAST, ANA, 0x88B5, b"hello", [99])
    said = refused(Network(parse(ring)).send, "eve", circling)
    assert said == "More than 200,000 frames from one: stopped. Is there a ring?"


def test_no_frame_leaves_the_process() -> None:
    """Audit events (PEP 578) see every socket, file and program that Python opens."""
    made = parse(STICK)
    events = list[str]()
    listening = True

    def hear(event: str, _: object) -> None:
        if listening and event.startswith(("socket.", "subprocess.", "os.", "open")):
            events.append(event)

    sys.addaudithook(hear)  # for ever
    try:
        net = Network(made)
        assert net.ping("ana", "ben")[0]
        net.send("ana", ethernet(BROADCAST, made.host("ana").mac, 0x88B5, b"to all"))
        assert not events
        socket.socket().close()
        assert events, "else this could not fail"
    finally:
        listening = False
