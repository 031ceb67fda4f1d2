"""Switches, hosts and a router at work: every frame on every cable is compared with bytes built here."""

from __future__ import annotations

import socket
import sys
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from samples.networks import scapy, topologies

from labkit.errors import LabError
from labkit.net import packets
from labkit.net.layouts import ARP, IPV4
from labkit.net.packets import BROADCAST, ethernet
from labkit.net.switching import PING, Network, Step, address_of, on, table
from labkit.net.topology import Plug, parse

TWO = """\
switch s1 s2
host ana 10.0.10.1/24 s1.1
host ben 10.0.10.2/24 s2.1
host cy 10.0.10.3/24 s1.2
host dan 10.0.20.4/24 s2.2
link s1.9 s2.9
access 10 s1.1 s1.2 s2.1
access 20 s2.2
trunk 10,20 s1.9 s2.9
"""
STICK = """\
switch s
host ana 10.0.10.1/24 s.1 via 10.0.10.254
host ben 10.0.20.1/24 s.2 via 10.0.20.254
router r s.9 10:10.0.10.254/24 20:10.0.20.254/24
access 10 s.1
access 20 s.2
trunk 10,20 s.9
"""
ANA, BEN, CY, DAN = (b"\2\0\0\0\0" + bytes([n]) for n in range(1, 5))
NOBODY = b"\2\0\0\0\0\x99"
HELLO = 0x88B5  # "local experimental EtherType": IEEE 802-2014, 9.2.4


def frame(
    to: bytes = BROADCAST, source: bytes = ANA, tags: tuple[int, ...] = (), data: bytes = b"hello"
) -> bytes:
    return ethernet(to, source, HELLO, data, tags)


def cables(steps: list[Step]) -> list[str]:
    return [f"{step.start}>{step.end}" for step in steps]


def heard(steps: list[Step]) -> list[str]:
    return [step.end.device for step in steps if step.taken]


# -- switches -----------------------------------------------------------------------------------


def test_a_switch_learns_floods_and_then_knows() -> None:
    net = Network(parse(TWO))
    first = net.send("ana", frame(BEN))
    assert cables(first) == ["ana>s1.1", "s1.2>cy", "s1.9>s2.9", "s2.1>ben"], (
        "not dan: he is in VLAN 20"
    )
    assert heard(first) == ["ben"] and first[1].does == "cy ignores it: not its MAC"
    assert first[0].does == (
        "s1, VLAN 10: learns 02:00:00:00:00:01 on port 1; floods, for it does not know where that "
        "is; out of port 2, 9 tagged"
    )
    assert table(net, "s1") == [(10, "02:00:00:00:00:01", 1, 0.0)]
    assert table(net, "s2") == [(10, "02:00:00:00:00:01", 9, 0.0)]
    back = net.send("ben", frame(ANA, BEN))
    assert cables(back) == ["ben>s2.1", "s2.9>s1.9", "s1.1>ana"], (
        "nobody else: the switches have learned"
    )
    assert "knows 02:00:00:00:00:01 on port 9; out of port 9 tagged" in back[0].does
    assert cables(net.send("ana", frame(BROADCAST))) == cables(first), (
        "what is for all is always flooded"
    )
    net.forget()
    assert table(net, "s1") == table(net, "s2") == []


def test_bytes_on_each_cable() -> None:
    steps = Network(parse(TWO)).send("ana", frame(BEN))
    assert {str(step.start): step.frame for step in steps} == {
        "ana": frame(BEN),
        "s1.2": frame(BEN),
        "s1.9": frame(BEN, tags=(10,)),
        "s2.1": frame(BEN),
    }
    assert [step.vlans for step in on(steps, Plug("s1", 9))] == [(10,)]


@pytest.mark.parametrize("seconds, known", [(299.9, True), (300, False)])
@pytest.mark.parametrize("as_one", [True, False])
def test_what_is_unheard_for_300_seconds_is_forgotten(
    seconds: float, known: bool, as_one: bool
) -> None:
    net = Network(parse(TWO))
    net.send("ben", frame(BROADCAST, BEN))
    for part in [seconds] if as_one else [seconds - 100, 100]:
        net.wait(part)
    assert bool(table(net, "s1")) == known
    assert cables(net.send("ana", frame(BEN))) == [
        "ana>s1.1",
        *["s1.2>cy"] * (not known),
        "s1.9>s2.9",
        "s2.1>ben",
    ]


def test_what_is_heard_again_is_kept_and_what_moves_is_learned_anew() -> None:
    net = Network(parse(TWO))
    for _ in range(3):
        net.send("ben", frame(BROADCAST, BEN))
        net.wait(200)
    assert table(net, "s2") == [(10, "02:00:00:00:00:02", 1, 200.0)]
    net.send(
        "cy", frame(BROADCAST, BEN)
    )  # cy takes ben's address: a switch believes the last who said so
    assert [row[2] for row in table(net, "s1")] == [2] and [row[2] for row in table(net, "s2")] == [
        9
    ]


def test_a_group_address_is_never_learned() -> None:
    net = Network(parse(TWO))
    net.send("ana", frame(BEN, b"\3\0\0\0\0\1"))
    assert table(net, "s1") == []


def test_a_frame_for_where_it_came_from_goes_no_further() -> None:
    net = Network(parse(TWO))
    net.send("ana", frame())
    [only] = net.send("ana", frame(ANA))
    assert only.does.endswith("no other port for it")


@pytest.mark.parametrize("last", range(17))
def test_reserved_addresses_are_for_the_switch_itself(last: int) -> None:
    steps = Network(parse(TWO)).send("ana", frame(b"\1\x80\xc2\0\0" + bytes([last])))
    assert (len(steps) == 1) == (last < 16)


@pytest.mark.parametrize(
    "data", [b"", b"\xff", BROADCAST + ANA + b"\x88", BROADCAST + ANA + b"\x81\0", bytes(17)]
)
def test_short_frames_do_no_harm(data: bytes) -> None:
    net = Network(parse(TWO))
    assert len(net.send("ana", data)) == 1 or len(data) >= 14


# -- tags ---------------------------------------------------------------------------------------

TRUNKS = """\
switch s1 s2
host eve 10.0.0.1/24 s1.1
host ben 10.0.0.2/24 s2.1
host dan 10.0.0.4/24 s2.2
link s1.9 s2.9
access 10 s2.1
access 20 s2.2
{port} s1.1
{trunk} s1.9 s2.9
"""


@pytest.mark.parametrize(
    "port, trunk, tags, way",
    [
        (
            "access 10",
            "trunk 10,20",
            (),
            "(),(10),()>ben",
        ),  # tagged on the trunk, untagged at the end
        ("access 20", "trunk 10,20", (), "(),(20),()>dan"),
        (
            "access 10",
            "trunk 10,20 native 10",
            (),
            "(),(),()>ben",
        ),  # the native VLAN crosses without a tag
        ("access 10", "trunk 10,20", (0,), "(0),(10),()>ben"),  # VID 0 says a priority and no VLAN
        (
            "access 10",
            "trunk 10,20",
            (10,),
            "(10)",
        ),  # an access port takes no tag, its own VLAN's neither
        ("access 10", "trunk 10,20", (20,), "(20)"),
        ("access 10", "trunk 20", (), "()"),  # not allowed on the way
        ("trunk 10,20", "trunk 10,20", (), "()"),  # no native VLAN
        ("trunk 10,20", "trunk 10,20", (20,), "(20),(20),()>dan"),
        ("trunk 10", "trunk 10,20", (20,), "(20)"),
        ("trunk 10,20 native 20", "trunk 10,20 native 10", (), "(),(20),()>dan"),
        ("trunk 10,20 native 20", "trunk 10,20 native 20", (0,), "(0),(),()>dan"),
        # Double tagging: the first switch takes the outer tag off, the second believes the inner one.
        ("trunk 10,20", "trunk 10,20 native 10", (10, 20), "(10 20),(20),()>dan"),
        ("access 10", "trunk 10,20 native 10", (0, 20), "(0 20),(20),()>dan"),
        (
            "trunk 10,20",
            "trunk 10,20 native 1",
            (10, 20),
            "(10 20),(10 20),(20)>ben",
        ),  # another native: ben ignores it
        ("access 10", "trunk 10,20 native 10", (10, 20), "(10 20)"),  # an access port stops it
    ],
)
def test_tags_come_and_go(port: str, trunk: str, tags: tuple[int, ...], way: str) -> None:
    net = Network(parse(TRUNKS.format(port=port, trunk=trunk)))
    steps = net.send("eve", frame(tags=tags))
    ends = [step.end.device for step in steps if step.end.device in net.topology.hosts]
    said = ",".join(f"({' '.join(map(str, step.vlans))})" for step in steps) + "".join(
        f">{end}" for end in ends
    )
    assert said == way
    assert heard(steps) == (ends if steps[-1].vlans == () and ends else [])
    assert all(step.frame == frame(tags=step.vlans) for step in steps), (
        "nothing but tags changes on the way"
    )


@given(st.integers(0, 7), st.integers(0, 1), st.sampled_from([0, 10]))
def test_the_priority_stays(priority: int, drop: int, vlan: int) -> None:
    net = Network(parse(TRUNKS.format(port="trunk 10 native 10", trunk="trunk 10")))
    sent = frame(tags=(priority << 13 | drop << 12 | vlan,))
    steps = net.send("eve", sent)
    assert (
        steps[1].frame == frame(tags=(priority << 13 | drop << 12 | 10,))
        and steps[2].frame == frame()
    )


@given(topologies(mismatch=False), st.data())
def test_no_frame_is_delivered_in_another_vlan(text: str, data: st.DataObject) -> None:
    """Where the two ends of each link agree: all that hear a broadcast are in its VLAN; none is left out."""
    try:
        made = parse(text)
    except LabError:
        assume(False)
    for host in made.hosts.values():
        tag = data.draw(st.sampled_from([None, 0, 1, 10, 20, 30]))
        vlan = made.port(host.plug).inside(tag)
        net = Network(made)
        steps = net.send(
            host.name, ethernet(BROADCAST, host.mac, HELLO, b"x", [] if tag is None else [tag])
        )
        joined, grown = {host.plug.device} if vlan else set(), True
        while grown:  # over links that carry it
            more = {
                b.device
                for link in made.links()
                for a, b in (link, link[::-1])
                if a.device in joined and vlan and made.port(a).carries(vlan)
            }
            joined, grown = joined | more, not more <= joined
        assert sorted(step.end.device for step in steps if step.end.device in made.hosts) == sorted(
            other.name
            for other in made.hosts.values()
            if vlan is not None
            and other is not host
            and other.plug.device in joined
            and made.port(other.plug).carries(vlan)
        ), "each once"


@given(
    st.lists(
        st.tuples(st.sampled_from(["ana", "ben", "cy", "dan"]), st.binary(max_size=80)), max_size=5
    )
)
def test_any_bytes_on_a_cable(sent: list[tuple[str, bytes]]) -> None:
    net = Network(parse(TWO))
    for host, data in sent:
        assert all(step.does for step in net.send(host, data))


def test_a_change_makes_switches_forget() -> None:
    net = Network(parse(TWO))
    assert net.ping("ana", "ben")[0]
    net.change(net.topology.changed("access 20 s2.1"))
    assert table(net, "s1") == [] and not net.ping("ana", "ben")[0]
    net.change(net.topology.changed("access 10 s2.1"))
    assert net.ping("ana", "ben")[0]


def test_a_frame_that_circles_is_stopped() -> None:
    """Parsing refuses rings in VLANs in use; one that a host's tag brings to life ends all the same."""
    net = Network(
        parse(
            "switch a b\nhost eve 10.0.0.1/24 a.1\nlink a.8 b.8\nlink a.9 b.9\n"
            "trunk 99 a.1 a.8 a.9 b.8 b.9"
        )
    )
    net.record = False
    with pytest.raises(
        LabError, match=r"More than 200,000 frames from one: stopped. Is there a ring\?"
    ):
        net.send("eve", frame(tags=(99,)))


# -- hosts --------------------------------------------------------------------------------------


def test_a_ping_is_arp_and_icmp() -> None:
    net = Network(parse(TWO))
    ok, steps = net.ping("ana", "ben")
    assert ok
    a, b = address_of("10.0.10.1"), address_of("10.0.10.2")
    assert [step.frame for step in on(steps, Plug("ben"))] == [
        ethernet(BROADCAST, ANA, ARP, packets.arp(1, (ANA, a), (bytes(6), b))),
        ethernet(ANA, BEN, ARP, packets.arp(2, (BEN, b), (ANA, a))),
        ethernet(BEN, ANA, IPV4, packets.ipv4(a, b, 1, packets.icmp(8, 1, 1, PING))),
        ethernet(ANA, BEN, IPV4, packets.ipv4(b, a, 1, packets.icmp(0, 1, 1, PING))),
    ]
    assert [step.does for step in steps if step.taken] == [
        "ben answers: that is me",
        "ana notes who that is",
        "ben answers",
        "ana takes it",
    ]
    assert (
        net.caches["ana"] == {b: BEN} and net.caches["ben"] == {a: ANA} and net.caches["cy"] == {}
    )
    ok, steps = net.ping("ana", "10.0.10.2")
    assert ok and len(on(steps, Plug("ben"))) == 2, "it knows the MAC now"


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


def test_no_such_thing() -> None:
    net = Network(parse(TWO))
    for ask, words in [
        (lambda: net.ping("eve", "ana"), "There is no host 'eve'; there are: ana, ben, cy, dan"),
        (lambda: net.ping("ana", "10.0.10"), "'10.0.10' is no host here and no IPv4 address"),
        (lambda: net.send("s1", b""), "There is no host 's1'"),
        (lambda: table(net, "ana"), "There is no switch 'ana'; there are: s1, s2"),
    ]:
        with pytest.raises(LabError) as error:
            ask()
        assert words in str(error.value)


# -- the router ---------------------------------------------------------------------------------


def cross(ttl: int = 64) -> tuple[Network, list[Step]]:
    """A packet from ana to ben through the router, who knows both already."""
    net = Network(parse(STICK))
    assert net.ping("ana", "ben")[0]
    router = net.topology.routers["r"].mac
    packet = packets.ipv4(
        address_of("10.0.10.1"), address_of("10.0.20.1"), 1, packets.icmp(8, 7, 7, b"x"), ttl, 99
    )
    return net, net.send("ana", ethernet(router, ANA, IPV4, packet))


@pytest.mark.scapy
def test_a_router_on_a_stick_as_scapy_sees_it() -> None:
    s: Any = scapy()
    _, steps = cross()
    there, out, *_ = [s.Ether(step.frame) for step in on(steps, Plug("r"))]
    assert (there[s.Dot1Q].vlan, out[s.Dot1Q].vlan) == (10, 20)
    assert (there[s.IP].ttl, out[s.IP].ttl) == (64, 63)
    assert out.src == there.dst and out.dst == BEN.hex(":")
    for packet in (there, out):
        fresh = packet[s.IP].copy()
        del fresh.chksum
        assert s.IP(bytes(fresh)).chksum == packet[s.IP].chksum
    fresh = there[s.IP].copy()
    fresh.ttl, fresh.chksum = 63, out[s.IP].chksum
    assert bytes(fresh) == bytes(out[s.IP]), "nothing else changes"


@pytest.mark.parametrize(
    "ttl, does",
    [
        (2, "r routes it on"),
        (1, "r drops it: its time to live is over"),
        (0, "r drops it: its time to live is over"),
    ],
)
def test_time_to_live(ttl: int, does: str) -> None:
    _, steps = cross(ttl)
    assert on(steps, Plug("r"))[0].does == does


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


def test_what_a_router_denies() -> None:
    net = Network(parse(STICK + "deny r 10 20"))
    ok, steps = net.ping("ana", "ben")
    assert not ok and steps[-1].does == "r drops it: 10 to 20 is denied"
    assert net.ping("ana", "10.0.20.254")[0], "the router itself still answers"


def test_a_router_knows_only_its_vlans() -> None:
    steps = Network(parse(STICK.replace("trunk 10,20 s.9", "access 10 s.9"))).ping("ana", "ben")[1]
    assert on(steps, Plug("r"))[0].does == "r ignores it: it knows no VLAN without a tag"


def test_no_frame_leaves_the_process() -> None:
    """Audit events (PEP 578) see every socket, file and program that Python opens, whatever module asks for it."""
    made, seen = parse(STICK), list[str]()
    hook = [
        lambda event: (
            seen.append(event)
            if event.startswith(("socket.", "subprocess.", "os.", "open"))
            else None
        )
    ]
    sys.addaudithook(lambda event, _: hook[0](event))
    try:
        net = Network(made)
        assert net.ping("ana", "ben")[0]
        net.send("ana", ethernet(BROADCAST, made.host("ana").mac, 0x88B5, b"to all"))
        assert not seen
        socket.socket().close()
        assert seen, "else this could not fail"
    finally:
        hook[0] = lambda event: None
