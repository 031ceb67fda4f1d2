"""The model of a network: what is plugged where, which VLANs a port takes, where a packet goes."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples.errors import refused

from labkit.net.statements import changed, parse
from labkit.net.topology import Hop, Plug, Port, ranges

TEXT = """\
switch s1 s2
host ana 10.0.10.1/24 s1.1 via 10.0.10.254
host ben 10.0.10.2/24 s2.1  # a word on ben
router r s1.23 10:10.0.10.254/24 20:10.0.20.254/24 30:10.0.20.253/26
link s1.24 s2.24
access 10 s1.1 s2.1
trunk 10,20-22 native 1 s1.24 s2.24
trunk 10,20 s1.23
name 10 the  office
"""


def test_a_topology_says_what_is_plugged_where() -> None:
    made = parse(TEXT)
    assert (made.switches, [*made.hosts], [*made.routers]) == (["s1", "s2"], ["ana", "ben"], ["r"])
    ana = made.host("ana")
    assert str(ana) == "host ana 10.0.10.1/24 s1.1 via 10.0.10.254"
    assert (ana.plug, ana.via) == (Plug("s1", 1), IPv4Address("10.0.10.254"))
    assert list(made.links()) == [(Plug("s1", 24), Plug("s2", 24))]
    assert all(made.cables[other] == one for one, other in made.cables.items())
    assert [str(plug) for plug, _ in made.plugged()["s1"]] == ["s1.1", "s1.23", "s1.24"]
    assert made.vlan_names == {10: "the office"}


def test_what_ports_do() -> None:
    made = parse(TEXT)
    assert made.port(Plug("s1", 1)) == Port(10)
    assert made.port(Plug("s2", 9)) == Port(1), "VLAN 1 out of the box"
    assert made.port(Plug("s1", 24)) == Port(1, frozenset({1, 10, 20, 21, 22}))
    assert str(made.port(Plug("s1", 24))) == "trunk 1,10,20-22 native 1"
    assert made.used() == [1, 10, 20, 30]


def test_every_device_has_a_mac_address_of_its_own() -> None:
    made = parse(TEXT)
    macs = {device.mac for device in [*made.hosts.values(), *made.routers.values()]}
    assert len(macs) == 3
    assert all(mac[0] & 3 == 2 for mac in macs), "given by ourselves, and of one device"


def test_names_stand_for_addresses() -> None:
    made = parse(TEXT)
    assert made.names() == {
        made.host("ana").mac.hex(":"): "ana",
        "10.0.10.1": "ana",
        made.host("ben").mac.hex(":"): "ben",
        "10.0.10.2": "ben",
        made.routers["r"].mac.hex(":"): "r",
        "10.0.10.254": "r",
        "10.0.20.254": "r",
        "10.0.20.253": "r",
    }


def test_no_such_host() -> None:
    said = refused(parse(TEXT).host, "dan")
    assert said == "There is no host 'dan'; there are: ana, ben."


@pytest.mark.parametrize(
    "device, target, hop",
    [
        ("ana", "10.0.10.9", Hop(0, IPv4Address("10.0.10.9"))),
        ("ana", "10.0.20.9", Hop(0, IPv4Address("10.0.10.254"))),
        ("ben", "10.0.20.9", None),
        ("r", "10.0.10.9", Hop(10, IPv4Address("10.0.10.9"))),
        ("r", "10.0.20.9", Hop(20, IPv4Address("10.0.20.9"))),
        ("r", "10.0.20.200", Hop(30, IPv4Address("10.0.20.200"))),  # the more exact network
        ("r", "10.0.30.9", None),
    ],
)
def test_the_next_hop(device: str, target: str, hop: Hop | None) -> None:
    made = parse(TEXT)
    assert (made.hosts | made.routers)[device].next_hop(IPv4Address(target)) == hop


@given(st.sets(st.integers(1, 4094), min_size=1))
def test_ranges(vlans: set[int]) -> None:
    text = ranges(frozenset(vlans))
    assert parse(f"switch s\ntrunk {text} s.1").port(Plug("s", 1)).allowed == vlans
    assert len(text.split(",")) == sum(vlan - 1 not in vlans for vlan in vlans)


@pytest.mark.parametrize(
    "port, tag, inside",
    [
        ("access 10", 0, 10),
        ("access 10", 10, None),
        ("access 10", 20, None),
        ("trunk 10", 0, None),
        ("trunk 10", 10, 10),
        ("trunk 10", 20, None),
        ("trunk 10 native 1", 0, 1),
        ("trunk 10 native 1", 1, 1),
        ("trunk all", 4094, 4094),
    ],
)
def test_what_comes_in(port: str, tag: int, inside: int | None) -> None:
    assert parse(f"switch s\n{port} s.1").port(Plug("s", 1)).inside(tag) == inside


@given(st.sampled_from(["access 10", "trunk 10", "trunk 10,20 native 10"]), st.integers(1, 30))
def test_what_goes_out_comes_in_at_a_port_alike(port: str, vlan: int) -> None:
    does = parse(f"switch s\n{port} s.1").port(Plug("s", 1))
    tag = does.outside(vlan)
    assert (tag is None) == (vlan not in does.allowed | {does.vlan})
    assert tag is None or does.inside(tag) == vlan


# -- a VLAN that runs in a ring is refused, whatever ports it runs over ---------------------------

RING = "switch s1 s2 s3\nlink s1.1 s2.1\nlink s2.2 s3.2\nlink s3.1 s1.2\n"
TRUNKS = "trunk 10,20 s1.1 s1.2 s2.1 s2.2 s3.1"


@pytest.mark.parametrize(
    "ports, ring",
    [
        ("", 1),  # out of the box all is VLAN 1
        (f"{TRUNKS} s3.2\naccess 10 s1.9", 10),
        (f"{TRUNKS}\ntrunk 20 s3.2\naccess 10 s1.9", 0),  # cut: VLAN 10 ends at s3.2
        (f"{TRUNKS}\ntrunk 20 s3.2\naccess 20 s1.9", 20),
        ("access 10 s1.1 s2.1\naccess 20 s2.2 s3.2", 0),  # three VLANs, a link each
        ("access 10 s1.1 s2.2 s3.1", 0),  # natives that differ join 10 and 1, in no ring
    ],
)
def test_a_ring_in_one_vlan_is_refused(ports: str, ring: int) -> None:
    if ring:
        said = refused(parse, RING + ports)
        assert said.startswith(f"VLAN {ring} runs in a ring that ")
        assert " closes: without spanning tree" in said
    else:
        assert len(list(parse(RING + ports).links())) == 3


def test_a_change_closes_no_ring() -> None:
    made = parse(RING + "access 10 s1.1 s2.1")
    assert "runs in a ring" in refused(changed, made, "access 1 s1.1 s2.1")


@pytest.mark.parametrize("line", ["link s1.5 s1.6", "link s1.5 s2.5\naccess 10 s1.5 s2.5"])
def test_two_cables_between_the_same_are_a_ring(line: str) -> None:
    text = "switch s1 s2\nlink s1.1 s2.1\ntrunk 1,10 native 1 s1.1 s2.1\n"
    assert "runs in a ring" in refused(parse, text + line)
