"""Reach against the network at work: what the topology says is what frames really do, and why."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from samples.errors import refused
from samples.networks import parsed, topologies

from labkit.net.network import Network
from labkit.net.reach import MOST_REASONS, Reach, Reasons
from labkit.net.statements import parse
from labkit.net.topology import Topology

# ana and ben are alike to each other, but the network of cy ends before ben's address.
NARROW = """\
switch s
host ana 10.0.1.2/16 s.1
host ben 10.0.2.2/16 s.2
host cy 10.0.1.3/24 s.3
"""
# The network of a is wide, so it asks for b's MAC itself. Only b's packets to the router get back,
# not its answer.
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
    """Both with switches that know nothing and after all that others have sent.

    And the hosts of a group are alike to all others.
    """
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
    for a, one in enumerate(reach.groups):
        for b, other in enumerate(reach.groups):
            found = {not why[start, end] for start in one for end in other if start != end}
            assert found == ({not reach.pairs[a, b]} if (a, b) in reach.pairs else set())


@given(topologies())
def test_text_and_data_say_the_same(text: str) -> None:
    reach = Reach(parsed(text))
    data = reach.to_json()
    assert data["groups"] == reach.groups
    rows = str(reach).splitlines()[1:]
    count = len(reach.groups)
    for a, group in enumerate(reach.groups):
        answers = ["·"] * count
        for pair in data["reach"]:
            if pair["from"] == a:
                answers[pair["to"]] = "yes" if pair["reaches"] else "no"
        assert rows[a].startswith(group[0]) and rows[a].split()[-count:] == answers
    reasons = [pair["why"] for pair in data["reach"] if pair["why"]]
    assert [row.split(": ", 1)[1] for row in rows[count:]] == reasons


def test_half_a_way() -> None:
    reach = Reach(parse(HALF))
    why = "the way back is missing: VLAN 20 does not get from s2 to s1"
    assert reach.why_not("a", "b") == reach.why_not("b", "a") == why


def test_no_such_host() -> None:
    said = refused(Reach(parse(NARROW)).why_not, "ana", "dan")
    assert said == "There is no host 'dan'; there are: ana, ben, cy."


MATRIX = """\
     ana  ben  cy
ana  ·    yes  yes
ben  yes  ·    no
cy   yes  no   ·
ben → cy: the way back is missing: WHY
cy → ben: WHY"""


def test_matrix() -> None:
    why = "10.0.2.2 is outside 10.0.1.0/24, the network of cy, which knows no gateway"
    assert str(Reach(parse(NARROW))) == MATRIX.replace("WHY", why)
    assert str(Reach(parse(""))) == "(no hosts)"


# -- reasons ----------------------------------------------------------------------------------

GATEWAYS = "via 10.0.10.254", "via 10.0.20.254"
TEN = "access 10 s1.1 s2.1"
TRUNK = "trunk 10,20 s1.24 s2.24"
STICK = """\
access 10 s1.1
access 20 s2.1
router r s1.23 10:10.0.10.254/24 20:10.0.20.254/24
name 10 office"""
ROUTED = f"{STICK}\n{TRUNK}\ntrunk 10,20 s1.23"


def why_not(rest: str, ben: str = "10.0.10.2/24 s2.1", vias: tuple[str, str] = ("", "")) -> str:
    """Why ana, at s1.1, gets no reply from ben; frames say the same."""
    made = parse(
        f"switch s1 s2\nlink s1.24 s2.24\nhost ana 10.0.10.1/24 s1.1 {vias[0]}\n"
        f"host ben {ben} {vias[1]}\n{rest}"
    )
    why = Reach(made).why_not("ana", "ben")
    assert Network(made).ping("ana", "ben")[0] == (not why)
    return why


@pytest.mark.parametrize(
    "rest, why",
    [
        ("", ""),
        (f"{TEN}\n{TRUNK}", ""),
        (f"{TEN}\ntrunk 20 s1.24\ntrunk 10,20 s2.24", "VLAN 10 stops at s1.24, which is trunk 20"),
        (f"{TEN}\ntrunk 10,20 s1.24\ntrunk 20 s2.24", "VLAN 10 stops at s2.24, which is trunk 20"),
        (
            f"{TEN}\ntrunk 10 native 10 s1.24\ntrunk 10 s2.24",
            "VLAN 10 does not get from s1 to s2",
        ),
        (
            f"{TEN}\ntrunk 10 s1.24\ntrunk 10 native 10 s2.24",
            "the way back is missing: VLAN 10 does not get from s2 to s1",
        ),
        ("trunk 10 s1.1", "port s1.1 (trunk 10) lets no frame without a tag in"),
        ("trunk 10 s2.1", "port s2.1 (trunk 10) gives nothing without a tag out"),
        (
            "access 10 s1.1\nname 10 the office",
            "port s1.1 is in VLAN 10 (the office), port s2.1 in VLAN 1, and switches pass nothing "
            "from one VLAN to another: that takes a router",
        ),
    ],
)
def test_in_one_network(rest: str, why: str) -> None:
    assert why_not(rest) == why


@pytest.mark.parametrize(
    "via, why",
    [
        ("", "10.0.20.2 is outside 10.0.10.0/24, the network of ana, which knows no gateway"),
        (
            "via 10.0.20.9",
            "the gateway 10.0.20.9 of ana is not in its own network 10.0.10.0/24",
        ),
        ("via 10.0.10.9", "nobody has the address 10.0.10.9, the gateway of ana"),
    ],
)
def test_without_a_router(via: str, why: str) -> None:
    assert why_not("", "10.0.20.2/24 s1.2", (via, "")) == why


@pytest.mark.parametrize(
    "rest, why",
    [
        (ROUTED, ""),
        (
            f"{STICK}\n{TRUNK}\ntrunk 20 s1.23",
            "ana does not get to its gateway r: port s1.23 (trunk 20) gives no tag 10 out",
        ),
        (
            f"{STICK}\n{TRUNK}\ntrunk 10 s1.23",
            "r does not get to ben: port s1.23 (trunk 10) lets no tag 20 in",
        ),
        (
            f"{STICK}\ntrunk 10 s1.24 s2.24\ntrunk 10,20 s1.23",
            "r does not get to ben: VLAN 20 stops at s1.24, which is trunk 10",
        ),
        (
            f"{ROUTED}\ndeny r 10 20",
            "r passes nothing on from VLAN 10 (office) to VLAN 20",
        ),
        (
            f"{ROUTED}\ndeny r 20 10",
            "the way back is missing: r passes nothing on from VLAN 20 to VLAN 10 (office)",
        ),
    ],
)
def test_through_a_router(rest: str, why: str) -> None:
    assert why_not(rest, "10.0.20.2/24 s2.1", GATEWAYS) == why


def test_the_router_knows_no_way() -> None:
    why = why_not(ROUTED, "10.0.30.2/24 s2.1", ("via 10.0.10.254", "via 10.0.30.254"))
    assert why == "r has no address in a network of 10.0.30.2"


def test_only_one_knows_its_gateway() -> None:
    assert why_not(ROUTED, "10.0.20.2/24 s2.1", (GATEWAYS[0], "")) == (
        "the way back is missing: 10.0.10.1 is outside 10.0.20.0/24, the network of ben, which "
        "knows no gateway"
    )


def test_no_cable() -> None:
    made = parse("switch s1 s2\nhost a 10.0.0.1/24 s1.1\nhost b 10.0.0.2/24 s2.1")
    assert Reach(made).why_not("a", "b") == "no cable leads from s1 to s2"


def test_a_broadcast_may_change_its_vlan_where_natives_differ() -> None:
    made = parse("switch s1 s2\nlink s1.1 s2.1\naccess 10 s1.1\ntrunk 20 native 20 s2.1")
    heard = Reasons(made).heard
    assert heard(("s1", 10)) == {("s1", 10), ("s2", 20)}
    assert heard(("s2", 20)) == {("s1", 10), ("s2", 20)}
    assert heard(("s1", 20)) == {("s1", 20)}


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
    assert sum(not why for why in reach.pairs.values()) == 20
    text = str(reach)
    assert text.count("\n") == MOST_REASONS and text.endswith(f"… and {380 - MOST_REASONS} more"), (
        "no matrix that wide"
    )
