"""Reach against the network at work: what the topology says is what frames really do."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from samples.errors import refused
from samples.networks import parsed, topologies

from labkit.net.network import Network
from labkit.net.reach import MOST_REASONS, Reach
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
    assert text.count("\n") == MOST_REASONS and text.endswith(f"… and {380 - MOST_REASONS} more"), (
        "no matrix that wide"
    )
