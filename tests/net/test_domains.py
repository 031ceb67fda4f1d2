"""Broadcast domains: a VLAN that runs in a ring is refused, whatever ports it runs over."""

from __future__ import annotations

import pytest
from samples.errors import refused

from labkit.net.domains import Domains
from labkit.net.statements import changed, parse

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


def test_a_broadcast_may_change_its_vlan_where_natives_differ() -> None:
    made = parse("switch s1 s2\nlink s1.1 s2.1\naccess 10 s1.1\ntrunk 20 native 20 s2.1")
    domains = Domains(made)
    assert domains.heard(("s1", 10)) == {("s1", 10), ("s2", 20)}
    assert domains.heard(("s2", 20)) == {("s1", 10), ("s2", 20)}
    assert domains.heard(("s1", 20)) == {("s1", 20)}
