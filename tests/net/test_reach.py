"""Reach against the network at work: what is worked out from the topology is what frames really do."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from samples.networks import parsed, topologies

from labkit.errors import LabError
from labkit.net.reach import MOST, Reach
from labkit.net.switching import Network
from labkit.net.topology import Topology, parse

# ana and ben are alike to each other, but the network of cy ends before ben's address.
NARROW = """\
switch s
host ana 10.0.1.2/16 s.1
host ben 10.0.2.2/16 s.2
host cy 10.0.1.3/24 s.3
"""
# The network of a is wide, so it asks for b's MAC itself. Only b's packets to the router get back, not its answer.
HALF = """\
switch s1 s2
link s1.9 s2.9
trunk 20 native 1 s1.9
trunk 1,10,20 native 20 s2.9
router r s1.8 20:10.0.2.201/16 1:10.0.2.202/16
trunk 1,20 s1.8
host a 10.0.1.3/16 s1.3
access 20 s1.3
host b 10.0.2.4/24 s2.4 via 10.0.2.202
access 20 s2.4
"""


@settings(max_examples=150)
@given(topologies(), st.randoms(use_true_random=False))
@example(NARROW, Random(1))
@example(HALF, Random(1))
def test_who_reaches_whom_is_what_frames_do(text: str, order: Random) -> None:
    """Both with switches that know nothing and after all that others have sent; and groups are alike to all others."""
    made = parsed(text)
    reach, used = Reach(made), Network(made)
    pairs = [(a, b) for a in made.hosts for b in made.hosts]
    why = {pair: reach.why_not(*pair) for pair in pairs}
    assert {pair: not no for pair, no in why.items()} == {
        pair: Network(made).ping(*pair)[0] for pair in pairs
    }
    order.shuffle(pairs)
    assert all(used.ping(*pair)[0] == (not why[pair]) for pair in pairs)

    assert sorted(host for group in reach.groups for host in group) == sorted(made.hosts)
    answers = {(a, b): no for a, b, no in reach.pairs}
    for a, one in enumerate(reach.groups):
        for b, other in enumerate(reach.groups):
            found = {not why[start, end] for start in one for end in other if start != end}
            assert found == ({not answers[a, b]} if (a, b) in answers else set())


@given(topologies())
def test_text_and_data_say_the_same(text: str) -> None:
    reach = Reach(parsed(text))
    data = reach.to_json()
    assert data["groups"] == reach.groups
    rows = str(reach).splitlines()[1:]
    for a, (group, row) in enumerate(zip(reach.groups, rows, strict=False)):
        said = {
            pair["to"]: "yes" if pair["reaches"] else "no"
            for pair in data["reach"]
            if pair["from"] == a
        }
        assert row.startswith(group[0])
        assert row.split()[-len(reach.groups) :] == [
            said.get(b, "·") for b in range(len(reach.groups))
        ]
    reasons = [pair["why"] for pair in data["reach"] if pair["why"]]
    assert [row.split(": ", 1)[1] for row in rows[len(reach.groups) :]] == reasons


# -- why not ------------------------------------------------------------------------------------

BASE = """\
switch s1 s2
link s1.24 s2.24
host ana 10.0.10.1/24 s1.1 {ana}
host ben 10.0.{net}.2/24 {plug} {ben}
{rest}
"""
TRUNK = "trunk 10,20 s1.24 s2.24\n"
STICK = (
    "access 10 s1.1\naccess 20 s2.1\nrouter r s1.23 10:10.0.10.254/24 20:10.0.20.254/24\n"
    "name 10 office\n"
)


@pytest.mark.parametrize(
    "net, plug, ana, ben, rest, why",
    [
        ("10", "s2.1", "", "", "", ""),
        ("10", "s2.1", "", "", "access 10 s1.1 s2.1\n" + TRUNK, ""),
        (
            "10",
            "s1.2",
            "",
            "",
            "access 10 s1.1\nname 10 the office",
            "port s1.1 is in VLAN 10 (the office), port s1.2 in VLAN 1, and switches pass nothing from one VLAN to another: "
            "that takes a router",
        ),
        (
            "10",
            "s2.1",
            "",
            "",
            "access 10 s1.1 s2.1\ntrunk 20 s1.24\ntrunk 10,20 s2.24",
            "VLAN 10 stops at s1.24, which is trunk 20",
        ),
        (
            "10",
            "s2.1",
            "",
            "",
            "access 10 s1.1 s2.1\ntrunk 10,20 s1.24\ntrunk 20 s2.24",
            "VLAN 10 stops at s2.24, which is trunk 20",
        ),
        (
            "10",
            "s2.1",
            "",
            "",
            "access 10 s1.1 s2.1\ntrunk 10 native 10 s1.24\ntrunk 10 s2.24",
            "VLAN 10 does not get from s1 to s2",
        ),
        (
            "10",
            "s2.1",
            "",
            "",
            "access 10 s1.1 s2.1\ntrunk 10 s1.24\ntrunk 10 native 10 s2.24",
            "the way back is missing: VLAN 10 does not get from s2 to s1",
        ),
        (
            "10",
            "s2.1",
            "",
            "",
            "trunk 10 s1.1",
            "port s1.1 (trunk 10) lets no frame without a tag in",
        ),
        (
            "10",
            "s2.1",
            "",
            "",
            "trunk 10 s2.1",
            "port s2.1 (trunk 10) gives nothing without a tag out",
        ),
        (
            "20",
            "s1.2",
            "",
            "",
            "",
            "10.0.20.2 is outside 10.0.10.0/24, the network of ana, which knows no gateway",
        ),
        (
            "20",
            "s1.2",
            "via 10.0.20.9",
            "",
            "",
            "the gateway 10.0.20.9 of ana is not in its own network 10.0.10.0/24",
        ),
        (
            "20",
            "s1.2",
            "via 10.0.10.9",
            "",
            "",
            "nobody has the address 10.0.10.9, the gateway of ana",
        ),
        (
            "20",
            "s2.1",
            "via 10.0.10.254",
            "via 10.0.20.254",
            STICK + TRUNK + "trunk 10,20 s1.23",
            "",
        ),
        (
            "20",
            "s2.1",
            "via 10.0.10.254",
            "",
            STICK + TRUNK + "trunk 10,20 s1.23",
            "the way back is missing: 10.0.10.1 is outside 10.0.20.0/24, the network of ben, which knows no gateway",
        ),
        (
            "20",
            "s2.1",
            "via 10.0.10.254",
            "via 10.0.20.254",
            STICK + TRUNK + "trunk 20 s1.23",
            "ana does not get to its gateway r: port s1.23 (trunk 20) gives no tag 10 out",
        ),
        (
            "20",
            "s2.1",
            "via 10.0.10.254",
            "via 10.0.20.254",
            STICK + TRUNK + "trunk 10 s1.23",
            "r does not get to ben: port s1.23 (trunk 10) lets no tag 20 in",
        ),
        (
            "20",
            "s2.1",
            "via 10.0.10.254",
            "via 10.0.20.254",
            STICK + "trunk 10 s1.24 s2.24\ntrunk 10,20 s1.23",
            "r does not get to ben: VLAN 20 stops at s1.24, which is trunk 10",
        ),
        (
            "20",
            "s2.1",
            "via 10.0.10.254",
            "via 10.0.20.254",
            STICK + TRUNK + "trunk 10,20 s1.23\ndeny r 10 20",
            "r passes nothing on from VLAN 10 (office) to VLAN 20",
        ),
        (
            "20",
            "s2.1",
            "via 10.0.10.254",
            "via 10.0.20.254",
            STICK + TRUNK + "trunk 10,20 s1.23\ndeny r 20 10",
            "the way back is missing: r passes nothing on from VLAN 20 to VLAN 10 (office)",
        ),
        (
            "30",
            "s2.1",
            "via 10.0.10.254",
            "via 10.0.30.254",
            STICK + TRUNK + "trunk 10,20 s1.23",
            "r has no address in a network of 10.0.30.2",
        ),
    ],
)
def test_the_reason(net: str, plug: str, ana: str, ben: str, rest: str, why: str) -> None:
    made = parse(BASE.format(net=net, plug=plug, ana=ana, ben=ben, rest=rest))
    assert Reach(made).why_not("ana", "ben") == why
    assert Network(made).ping("ana", "ben")[0] == (not why)


def test_no_cable() -> None:
    made = parse("switch s1 s2\nhost a 10.0.0.1/24 s1.1\nhost b 10.0.0.2/24 s2.1")
    assert Reach(made).why_not("a", "b") == "no cable leads from s1 to s2"


def test_half_a_way() -> None:
    reach = Reach(parse(HALF))
    assert reach.why_not("a", "b") == "the way back is missing: VLAN 20 does not get from s2 to s1"
    assert reach.why_not("b", "a") == "the way back is missing: VLAN 20 does not get from s2 to s1"


def test_no_such_host() -> None:
    with pytest.raises(LabError, match="There is no host 'dan'; there are: ana, ben, cy"):
        Reach(parse(NARROW)).why_not("ana", "dan")


def test_matrix() -> None:
    assert (
        str(Reach(parse(NARROW)))
        == """\
     ana  ben  cy
ana  ·    yes  yes
ben  yes  ·    no
cy   yes  no   ·
ben → cy: the way back is missing: 10.0.2.2 is outside 10.0.1.0/24, the network of cy, which knows no gateway
cy → ben: 10.0.2.2 is outside 10.0.1.0/24, the network of cy, which knows no gateway"""
    )
    assert str(Reach(parse(""))) == "(no hosts)"


# -- growth -------------------------------------------------------------------------------------


def office(count: int, vlans: int = 20, switches: int = 5) -> Topology:
    """Hosts spread over VLANs, a network each, on switches in a row without a router."""
    lines = ["switch " + " ".join(f"s{n}" for n in range(switches))]
    lines += [f"link s{n}.9998 s{n + 1}.9999" for n in range(switches - 1)]
    lines += [f"trunk 101-{100 + vlans} s{n}.9998 s{n + 1}.9999" for n in range(switches - 1)]
    for n in range(count):
        plug, vlan = f"s{n % switches}.{n // switches + 1}", n // switches % vlans
        lines += [
            f"host h{n} 10.{vlan}.{n + 1 >> 8}.{n + 1 & 255}/16 {plug}",
            f"access {101 + vlan} {plug}",
        ]
    return parse("\n".join(lines))


@pytest.mark.parametrize("count", [500, 2000])
def test_answers_grow_with_groups_not_with_hosts(count: int) -> None:
    reach = Reach(office(count))
    assert len(reach.groups) == 20 and len(reach.pairs) == 20 * 20
    assert sum(not why for _, _, why in reach.pairs) == 20
    text = str(reach)
    assert text.count("\n") == MOST and text.endswith(f"… and {380 - MOST} more"), (
        "no matrix that wide"
    )
