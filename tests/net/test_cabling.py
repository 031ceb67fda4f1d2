"""The words that lay a network's cables, made from its topology."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from samples.networks import STICK, TWO, parsed, topologies

from labkit.net.cabling import Cables, addresses, cables
from labkit.net.statements import parse
from labkit.net.topology import Topology


def laid(topology: Topology) -> Cables:
    pids = {name: f"<{name}>" for name in (*topology.hosts, *topology.routers)}
    return cables(topology, pids)


def ports(found: Cables) -> list[str]:
    """The commands for ovs-vsctl that add ports."""
    lines = " ".join(found.ovs).removeprefix("-- ").split(" -- ")
    return [line for line in lines if line.startswith("add-port ")]


def test_a_cable_between_switches_is_laid_once_and_one_to_a_host_ends_in_it() -> None:
    found = laid(parse(TWO))
    assert sorted(found.ip) == [
        "link add s1.1 type veth peer name eth0 address 02:00:00:00:00:01 netns <ana>",
        "link add s1.2 type veth peer name eth0 address 02:00:00:00:00:03 netns <cy>",
        "link add s1.9 type veth peer name s2.9",
        "link add s2.1 type veth peer name eth0 address 02:00:00:00:00:02 netns <ben>",
        "link add s2.2 type veth peer name eth0 address 02:00:00:00:00:04 netns <dan>",
        *(f"link set {port} up" for port in ("s1.1", "s1.2", "s1.9", "s2.1", "s2.2", "s2.9")),
    ]
    assert sorted(ports(found)) == [
        "add-port s1 s1.1 tag=10 vlan_mode=access",
        "add-port s1 s1.2 tag=10 vlan_mode=access",
        "add-port s1 s1.9 vlan_mode=trunk trunks=10,20",
        "add-port s2 s2.1 tag=10 vlan_mode=access",
        "add-port s2 s2.2 tag=20 vlan_mode=access",
        "add-port s2 s2.9 vlan_mode=trunk trunks=10,20",
    ]


def test_a_routers_stick_ends_in_a_bridge_of_its_own() -> None:
    text = STICK.replace(" 20:", " 11:10.0.11.254/24 12:10.0.12.254/24 20:")
    found = laid(parse(text))
    ends = [line for line in found.ip if " r-" in line or line.startswith("link add s.9")]
    assert ends[:4] == [
        "link add s.9 type veth peer name r-in",
        "link set r-in up",
        "link add r-10 type veth peer name eth10 address 02:00:00:00:00:03 netns <r>",
        "link set r-10 up",
    ]
    assert [name for word, name in pairwise(found.ovs) if word == "add-br"] == ["s", "r-r"]
    assert ports(found)[:3] == [
        "add-port r-r r-in trunks=10-12,20",
        "add-port r-r r-10 tag=10",
        "add-port r-r r-11 tag=11",
    ]


@pytest.mark.parametrize(
    "port, settings",
    [
        ("access 20", "tag=20 vlan_mode=access"),
        ("trunk 10,20", "vlan_mode=trunk trunks=10,20"),
        ("trunk 10-12 native 20", "tag=20 vlan_mode=native-untagged trunks=10,11,12,20"),
    ],
)
def test_a_port_as_open_vswitch_knows_it(port: str, settings: str) -> None:
    made = parse(f"switch s\nhost a 10.0.0.1/24 s.1\n{port} s.1")
    assert ports(laid(made)) == [f"add-port s s.1 {settings}"]


@pytest.mark.parametrize(
    "via, route",
    [
        ("", []),
        (" via 10.0.10.254", ["route add default via 10.0.10.254"]),
        (" via 10.0.9.254", []),  # Linux takes no gateway that is out of its reach
    ],
)
def test_a_host_has_its_address_and_a_gateway_it_can_reach(via: str, route: list[str]) -> None:
    made = parse(f"switch s\nhost ana 10.0.10.1/24 s.1{via}")
    assert addresses(made.host("ana")) == [
        "link set lo up",
        "addr add 10.0.10.1/24 dev eth0",
        "link set eth0 up",
        "ntable change name arp_cache dev eth0 retrans 20000",
        *route,
    ]


def test_a_router_drops_what_is_denied_or_leads_nowhere() -> None:
    lines = addresses(parse(f"{STICK}\ndeny r 20 10").routers["r"])
    assert lines[1:4] == [
        "addr add 10.0.10.254/24 dev eth10",
        "link set eth10 up",
        "ntable change name arp_cache dev eth10 retrans 20000",
    ]
    assert lines[7:] == [
        "route add blackhole default",
        "rule add iif eth20 to 10.0.10.0/24 blackhole",
    ]


@given(topologies())
def test_each_end_of_each_cable_is_laid_once_and_no_port_is_forgotten(text: str) -> None:
    made = parsed(text)
    found = laid(made)
    plugs = Counter(str(plug) for plug in made.cables if plug.port)
    ends = re.findall(r"^link add (\S+) type veth peer name (\S+)", "\n".join(found.ip), re.M)
    names = Counter(name for pair in ends for name in pair)
    assert {name: names[name] for name in plugs} == plugs
    assert names["eth0"] == len(made.hosts)
    assert Counter(line.split()[2] for line in ports(found)) >= plugs
    interfaces = [name for name in names if not name.startswith("eth")]
    assert Counter(f"link set {name} up" for name in interfaces) == Counter(
        line for line in found.ip if line.startswith("link set")
    )
    assert all(len(name) < 16 for name in interfaces)  # IFNAMSIZ
