"""Why not: the reason is worked out from the topology, and frames agree that there is one."""

from __future__ import annotations

import pytest

from labkit.net.network import Network
from labkit.net.reach import Reach
from labkit.net.statements import parse

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
