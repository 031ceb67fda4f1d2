"""The words that lay a network's cables, made from its topology."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from samples.networks import STICK, TWO, parsed, topologies

from labkit.net.cabling import Cables, Job, addresses, bridges, cables
from labkit.net.statements import parse
from labkit.net.topology import Topology


def laid(topology: Topology) -> Cables:
    pids = {name: f"<{name}>" for name in (*topology.hosts, *topology.routers)}
    return cables(topology, pids)


def commands(words: list[str]) -> list[str]:
    """Words for ovs-vsctl, a line a command."""
    return " ".join(words).removeprefix("-- ").split(" -- ")


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
    assert sorted(commands(found.ports)) == [
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
    assert commands(found.ports)[-5:-2] == [
        "add-port r-r r-in trunks=10-12,20",
        "add-port r-r r-10 tag=10",
        "add-port r-r r-11 tag=11",
    ]
    assert [words.split()[1] for words in commands(bridges(parse(text)))[::2]] == ["s", "r-r"]


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
    assert commands(laid(made).ports) == [f"add-port s s.1 {settings}"]


def jobs(text: str) -> dict[str, list[Job]]:
    found: dict[str, list[Job]] = {}
    for job in addresses(parse(text)):
        found.setdefault(job.device, []).append(job)
    return found


def lines(job: Job) -> list[str]:
    assert job.argv == ["ip", "-batch", "-"] and job.stdin
    return job.stdin.splitlines()


@pytest.mark.parametrize(
    "via, route",
    [
        ("", []),
        (" via 10.0.10.254", ["route add default via 10.0.10.254"]),
        (" via 10.0.9.254", []),  # Linux takes no gateway that is out of its reach
    ],
)
def test_a_host_has_its_address_and_a_gateway_it_can_reach(via: str, route: list[str]) -> None:
    batch, offload = jobs(f"switch s\nhost ana 10.0.10.1/24 s.1{via}")["ana"]
    assert lines(batch) == [
        "addr add 10.0.10.1/24 dev eth0",
        "link set lo up",
        "link set eth0 up",
        "ntable change name arp_cache dev eth0 retrans 20000",
        *route,
    ]
    assert offload == Job("ana", ["ethtool", "-K", "eth0", "tx", "off"])


def test_a_router_drops_what_is_denied_or_leads_nowhere() -> None:
    (batch,) = jobs(f"{STICK}\ndeny r 20 10")["r"]
    assert lines(batch)[:3] == [
        "addr add 10.0.10.254/24 dev eth10",
        "link set eth10 up",
        "ntable change name arp_cache dev eth10 retrans 20000",
    ]
    assert lines(batch)[6:] == [
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
    assert Counter(line.split()[2] for line in commands(found.ports)) >= plugs
    interfaces = [name for name in names if not name.startswith("eth")]
    assert Counter(f"link set {name} up" for name in interfaces) == Counter(
        line for line in found.ip if line.startswith("link set")
    )
    assert all(len(name) < 16 for name in interfaces)  # IFNAMSIZ
