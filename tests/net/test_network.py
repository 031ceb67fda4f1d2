"""A network at work: every frame on every cable is as built here; nothing leaves the process."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples.errors import refused
from samples.networks import STICK, TWO, parsed, scapy, topologies

from labkit.net.headers import ARP, IPV4, vlans
from labkit.net.network import EXPERIMENT, NOTHING, PING, Network, Step, crafted, steps_at
from labkit.net.packets import BROADCAST, arp, ethernet, icmp, ipv4, with_checksum
from labkit.net.statements import changed, parse
from labkit.net.topology import Plug

ANA, BEN = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2"
A, B = 0x0A00_0A01, 0x0A00_0A02  # 10.0.10.1 and .2
HELLO = 0x88B5  # "local experimental EtherType": IEEE 802-2014, 9.2.4


def frame(to: bytes = BROADCAST, source: bytes = ANA, tags: tuple[int, ...] = ()) -> bytes:
    return ethernet(to, source, HELLO, b"hello", tags)


def cables(steps: list[Step]) -> list[str]:
    return [f"{step.start}>{step.end}" for step in steps]


def heard(steps: list[Step]) -> list[str]:
    return [step.end.device for step in steps if step.taken]


# -- switches -----------------------------------------------------------------------------------


def test_a_switch_learns_floods_and_then_knows() -> None:
    net = Network(parse(TWO))
    first = net.send("ana", frame(BEN))
    not_dan = ["ana>s1.1", "s1.2>cy", "s1.9>s2.9", "s2.1>ben"]  # he is in VLAN 20
    assert cables(first) == not_dan
    assert heard(first) == ["ben"] and first[1].does == "cy ignores it: not its MAC"
    assert first[0].does == (
        "s1, VLAN 10: learns 02:00:00:00:00:01 on port 1; floods, for it does not know where that "
        "is; out of port 2, 9 tagged"
    )
    assert net.mac_table("s1") == [(10, "02:00:00:00:00:01", 1, 0.0)]
    assert net.mac_table("s2") == [(10, "02:00:00:00:00:01", 9, 0.0)]
    back = net.send("ben", frame(ANA, BEN))
    assert cables(back) == ["ben>s2.1", "s2.9>s1.9", "s1.1>ana"], "they have learned"
    assert "knows 02:00:00:00:00:01 on port 9; out of port 9 tagged" in back[0].does
    assert cables(net.send("ana", frame(BROADCAST))) == not_dan, "what is for all is flooded"
    net.forget()
    assert net.mac_table("s1") == net.mac_table("s2") == []


def test_bytes_on_each_cable() -> None:
    steps = Network(parse(TWO)).send("ana", frame(BEN))
    assert {str(step.start): step.frame for step in steps} == {
        "ana": frame(BEN),
        "s1.2": frame(BEN),
        "s1.9": frame(BEN, tags=(10,)),
        "s2.1": frame(BEN),
    }
    assert [vlans(step.frame) for step in steps_at(steps, Plug("s1", 9))] == [(10,)]


@pytest.mark.parametrize("seconds, known", [(299.9, True), (300, False)])
@pytest.mark.parametrize("parts", [1, 3])
def test_what_is_unheard_for_300_seconds_is_forgotten(
    seconds: float, known: bool, parts: int
) -> None:
    net = Network(parse(TWO))
    net.send("ben", frame(BROADCAST, BEN))
    for _ in range(parts):
        net.wait(seconds / parts)
    assert bool(net.mac_table("s1")) == known
    assert ("s1.2>cy" in cables(net.send("ana", frame(BEN)))) != known


def test_what_is_heard_again_is_kept_and_what_moves_is_learned_anew() -> None:
    net = Network(parse(TWO))
    for _ in range(3):
        net.send("ben", frame(BROADCAST, BEN))
        net.wait(200)
    assert net.mac_table("s2") == [(10, "02:00:00:00:00:02", 1, 200.0)]
    net.send("cy", frame(BROADCAST, BEN))  # takes ben's address; the last who says so is believed
    assert [row[2] for row in net.mac_table("s1") + net.mac_table("s2")] == [2, 9]


def test_a_group_address_is_never_learned() -> None:
    net = Network(parse(TWO))
    net.send("ana", frame(BEN, b"\3\0\0\0\0\1"))
    assert net.mac_table("s1") == []


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
BOTH, NATIVE = "trunk 10,20", "trunk 10,20 native 10"


@pytest.mark.parametrize(
    "port, trunk, tags, way",
    [
        ("access 10", BOTH, (), "(),(10),()>ben"),  # tagged on the trunk, untagged at the end
        ("access 20", BOTH, (), "(),(20),()>dan"),
        ("access 10", NATIVE, (), "(),(),()>ben"),  # the native VLAN crosses without a tag
        ("access 10", BOTH, (0,), "(0),(10),()>ben"),  # VID 0 says a priority and no VLAN
        ("access 10", BOTH, (10,), "(10)"),  # an access port takes no tag, its own VLAN's neither
        ("access 10", BOTH, (20,), "(20)"),
        ("access 10", "trunk 20", (), "()"),  # not allowed on the way
        (BOTH, BOTH, (), "()"),  # no native VLAN
        (BOTH, BOTH, (20,), "(20),(20),()>dan"),
        ("trunk 10", BOTH, (20,), "(20)"),
        ("trunk 10,20 native 20", NATIVE, (), "(),(20),()>dan"),
        ("trunk 10,20 native 20", "trunk 10,20 native 20", (0,), "(0),(),()>dan"),
        # Double tagging: the first switch takes the outer tag off, the second believes the inner.
        (BOTH, NATIVE, (10, 20), "(10 20),(20),()>dan"),
        ("access 10", NATIVE, (0, 20), "(0 20),(20),()>dan"),
        # Another native VLAN: ben gets the tag, and ignores it.
        (BOTH, "trunk 10,20 native 1", (10, 20), "(10 20),(10 20),(20)>ben"),
        ("access 10", NATIVE, (10, 20), "(10 20)"),  # an access port stops it
    ],
)
def test_tags_come_and_go(port: str, trunk: str, tags: tuple[int, ...], way: str) -> None:
    net = Network(parse(TRUNKS.format(port=port, trunk=trunk)))
    steps = net.send("eve", frame(tags=tags))
    ends = [step.end.device for step in steps if step.end.device in net.topology.hosts]
    tagged = ",".join(f"({' '.join(map(str, vlans(step.frame)))})" for step in steps)
    assert tagged + "".join(f">{end}" for end in ends) == way
    assert heard(steps) == (ends if not vlans(steps[-1].frame) else [])
    assert all(step.frame == frame(tags=vlans(step.frame)) for step in steps), (
        "nothing else changes"
    )


@given(st.integers(0, 7), st.integers(0, 1), st.sampled_from([0, 10]))
def test_the_priority_stays(priority: int, drop: int, vlan: int) -> None:
    net = Network(parse(TRUNKS.format(port="trunk 10 native 10", trunk="trunk 10")))
    control = priority << 13 | drop << 12
    _, tagged, bare = net.send("eve", frame(tags=(control | vlan,)))
    assert tagged.frame == frame(tags=(control | 10,)) and bare.frame == frame()


@given(topologies(mismatch=False), st.data())
def test_no_frame_is_delivered_in_another_vlan(text: str, data: st.DataObject) -> None:
    """Where the ends of each link agree, a broadcast is for all in its VLAN, each once."""
    made = parsed(text)
    for host in made.hosts.values():
        tags = data.draw(st.sampled_from([[], [0], [1], [10], [20], [30]]))
        sent = ethernet(BROADCAST, host.mac, HELLO, b"x", tags)
        steps = Network(made).send(host.name, sent)
        vlan = made.port(host.plug).inside(tags[0] if tags else 0)
        joined = {host.plug.device} if vlan else set()
        for _ in made.switches:  # over links that carry it
            for link in made.links():
                for near, far in (link, link[::-1]):
                    if vlan and near.device in joined and made.port(near).outside(vlan) is not None:
                        joined.add(far.device)
        wanted = [
            other.name
            for other in made.hosts.values()
            if vlan and other is not host and other.plug.device in joined
            if made.port(other.plug).outside(vlan) is not None
        ]
        at_hosts = [step.end.device for step in steps if step.end.device in made.hosts]
        assert sorted(at_hosts) == sorted(wanted)


hosts = st.sampled_from(["ana", "ben", "cy", "dan"])


@given(st.lists(st.tuples(hosts, st.binary(max_size=80)), max_size=5))
def test_any_bytes_on_a_cable(sent: list[tuple[str, bytes]]) -> None:
    net = Network(parse(TWO))
    for host, data in sent:
        assert all(step.does for step in net.send(host, data))


# -- the router ---------------------------------------------------------------------------------


def cross(ttl: int = 64) -> list[Step]:
    """A packet from ana to ben through the router, who knows both already."""
    net = Network(parse(STICK))
    assert net.ping("ana", "ben")[0]
    router = net.topology.routers["r"].mac
    packet = ipv4(0x0A00_0A01, 0x0A00_1401, 1, icmp(8, 7, 7, b"x"), 99)
    packet = with_checksum(packet[:8] + bytes([ttl]) + packet[9:20]) + packet[20:]
    return steps_at(net.send("ana", ethernet(router, ANA, IPV4, packet)), Plug("r"))


@pytest.mark.live("scapy")
def test_a_router_on_a_stick_as_scapy_sees_it() -> None:
    s = scapy()
    there, out, *_ = [s.Ether(step.frame) for step in cross()]
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


@pytest.mark.parametrize("ttl", range(4))
def test_time_to_live(ttl: int) -> None:
    over, on = "r drops it: its time to live is over", "r routes it on"
    assert cross(ttl)[0].does == (on if ttl > 1 else over)


def test_what_a_router_denies() -> None:
    net = Network(parse(STICK + "deny r 10 20"))
    ok, steps = net.ping("ana", "ben")
    assert not ok and steps[-1].does == "r drops it: 10 to 20 is denied"
    assert net.ping("ana", "10.0.20.254")[0], "the router itself still answers"


def test_a_router_knows_only_its_vlans() -> None:
    access = STICK.replace("trunk 10,20 s.9", "access 10 s.9")
    steps = Network(parse(access)).ping("ana", "ben")[1]
    at_router = steps_at(steps, Plug("r"))[0]
    assert at_router.does == "r ignores it: it knows no VLAN without a tag"
    assert vlans(at_router.frame) == ()


# -- frames made by hand ------------------------------------------------------------------------


@pytest.mark.live("scapy")
@pytest.mark.parametrize("tags", [[], ["0"], ["20"], ["1", "20"], ["4095", "0", "7"]])
def test_a_frame_made_by_hand_is_what_scapy_makes(tags: list[str]) -> None:
    layers, made = scapy(), parse(TWO)
    for target, to in (("ben", "02:00:00:00:00:02"), (None, "ff:ff:ff:ff:ff:ff")):
        wanted = layers.Ether(dst=to, src="02:00:00:00:00:01")
        for tag in tags:
            wanted /= layers.Dot1Q(vlan=int(tag))
        wanted.lastlayer().type = EXPERIMENT
        assert crafted(made, "ana", target, tags) == bytes(wanted / NOTHING)


def test_who_is_no_host_sends_and_gets_nothing() -> None:
    for ends in ("x", "ana"), ("ana", "x"), ("x", None):
        line = refused(crafted, parse(TWO), *ends)
        assert "There is no host 'x'; there are: ana, ben" in line


@pytest.mark.parametrize("tag", ["4096", "-1", "²", "x", ""])
def test_what_is_no_tag(tag: str) -> None:
    said = refused(crafted, parse(TWO), "ana", "ben", [tag])
    assert said.startswith("A tag is a number from 0 to 4095, the outer one first")


# -- echo requests ------------------------------------------------------------------------------


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
    caches = {name: station.cache for name, station in net.stations.items()}
    assert caches == {"ana": {B: BEN}, "ben": {A: ANA}, "cy": {}, "dan": {}}
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
