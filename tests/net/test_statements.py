"""Topologies as text: read, written and changed; and all that a line may not say."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples.errors import refused
from samples.networks import parsed, ports, topologies

from labkit.errors import LabError
from labkit.net.statements import changed, parse
from labkit.net.topology import Topology

TEXT = """\
switch s1 s2
host ana 10.0.10.1/24 s1.1 via 10.0.10.254
host ben 10.0.10.2/24 s2.1  # a word on ben
router r s1.23 10:10.0.10.254/24 20:10.0.20.254/24
link s1.24 s2.24
access 10 s1.1 s2.1
trunk 10,20-22 native 1 s1.24 s2.24
trunk 10,20 s1.23
name 10 the  office
"""


def test_lines_may_come_in_any_order() -> None:
    assert parse("\n".join(reversed(TEXT.splitlines()))).cables == parse(TEXT).cables


@pytest.mark.parametrize("text", [TEXT, "", "switch s", f"name 10 {'x' * 39} y"])
def test_written_and_read_again(text: str) -> None:
    assert parse(str(parse(text))) == parse(text)


@settings(max_examples=25)
@given(topologies())
def test_any_topology_written_and_read_again(text: str) -> None:
    made = parsed(text)
    assert parse(str(made)) == made


@given(
    st.text(max_size=200)
    | st.lists(st.sampled_from([*TEXT.split(" "), "\n", "deny", "s1.5", "-"])).map(" ".join)
)
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        made = parse(text)
    except LabError as error:
        assert str(error).isprintable()
    else:
        assert parse(str(made)) == made


# -- changes ------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(topologies(), ports(), st.data())
def test_a_change_is_the_text_changed(text: str, port: str, data: st.DataObject) -> None:
    made = parsed(text)
    plug = data.draw(st.sampled_from([str(plug) for plug in made.cables if plug.port]))
    lines = [
        line
        for line in text.splitlines()
        if not line.startswith(("access", "trunk")) or not line.endswith(f" {plug}")
    ]

    def outcome(topology: Topology | None) -> Topology | str:
        try:
            if topology:
                return changed(topology, f"{port} {plug}")
            return parse("\n".join([*lines, f"{port} {plug}"]))
        except LabError as error:
            return str(error)

    assert outcome(made) == outcome(None)
    assert parse(text) == made, "the old one stays as it was"


def test_a_router_may_deny() -> None:
    made = parse(TEXT)
    both = parse(TEXT + "deny r 20 10\ndeny r 10 20")
    assert changed(changed(made, "deny r 10 20"), "deny r 20 10") == both
    assert not made.routers["r"].denied, "the old one stays as it was"


@pytest.mark.parametrize("statement", ["", "switch s3", "link s1.9 s2.9", "# access 10 s1.1"])
def test_only_ports_and_routers_change(statement: str) -> None:
    said = refused(changed, parse(TEXT), statement)
    assert said.startswith("Only what a port or a router does can be changed")


# -- what is refused ----------------------------------------------------------------------------

HOST = "no address for a host"
NAME = "is no name: up to ten of a-z, 0-9 and -, beginning with a letter"
PORTS = "write `access VLAN SWITCH.PORT …` or `trunk VLANS"
TOGETHER = "the VLANs of a trunk stand together"
VLAN = "is no VLAN: it is a number from 1 to 4094 (0 means none, 4095 is reserved)"
WRONG = f"""
swich s3 | 'swich' is no statement; a line begins with switch, host
\0 | is no statement
access 10 s9.1 | there is no switch s9; there are: s1, s2
access 10 s1 | 's1' is no port: write the switch, a point and a number from 1
access 10 s1.0 | 's1.0' is no port
access 10 s1.99999 | is no port
access 10 s1.² | is no port
access 10 s1.٣ | is no port
link s1.1 s2.5 | s1.1 holds a cable already, to ana: take another port
link s1.24 s2.5 | s1.24 holds a cable already, to s2.24
host cy 10.0.10.3/24 s1.1 | s1.1 holds a cable already, to ana
link s1.5 s1.5 | a cable from s1.5 to itself: name two ports
link s1.5 | write `link SWITCH.PORT SWITCH.PORT`
access 20 s1.1 | s1.1 is said twice, in line 6 too: a port is access in one VLAN, or a trunk for
access 20 s1.7 s1.7 | s1.7 is said twice, in line 10 too
access 0 s1.5 | {VLAN}
access 4095 s1.5 | {VLAN}
access -1 s1.5 | {VLAN}
access 1.5 s1.5 | {VLAN}
access ten s1.5 | {VLAN}
access ² s1.5 | {VLAN}
access 1² s1.5 | {VLAN}
access ٣ s1.5 | {VLAN}
access {"9" * 5000} s1.5 | {VLAN}
access 000000001{"9" * 20} s1.5 | {VLAN}
access 000000001{"9" * 5000} s1.5 | {VLAN}
trunk 0 s1.5 | {VLAN}
trunk 10- s1.5 | {VLAN}
trunk - s1.5 | {VLAN}
trunk 1-4095 s1.5 | {VLAN}
trunk 1--3 s1.5 | {VLAN}
trunk 10 native 0 s1.5 | {VLAN}
trunk 10, s1.5 | {TOGETHER}
trunk , s1.5 | {TOGETHER}
trunk 10, 20 s1.5 | {TOGETHER}
trunk 10,,20 s1.5 | {TOGETHER}
trunk 20-10 s1.5 | '20-10' is no VLAN range: the lower number comes first, as in 10-20
access | {PORTS}
access 10 | {PORTS}
trunk | {PORTS}
trunk 10 | {PORTS}
trunk 10 native 1 | {PORTS}
host cy 10.0.10.3 s1.5 | 10.0.10.3 lacks its prefix: write 10.0.10.3/24 if
host cy 10.0.10.0/24 s1.5 | {HOST}
host cy 10.0.10.255/24 s1.5 | {HOST}
host cy 224.0.0.1/24 s1.5 | {HOST}
host cy 127.0.0.1/8 s1.5 | {HOST}
host cy 0.0.0.0/32 s1.5 | {HOST}
host cy 10.0.10.300/24 s1.5 | '10.0.10.300/24' is no IPv4 address with its prefix
host cy 10.0.10.3/33 s1.5 | is no IPv4 address
host cy 10.0.10.3/{"9" * 5000} s1.5 | is no IPv4 address
host cy 10.0.10.3/24 s1.5 via here | is no IPv4 address
host cy 10.0.10.3/24 s1.5 via 10.0.10.3 | 10.0.10.3 would be its own gateway
host cy 10.0.10.3/24 s1.5 over 10.0.10.254 | write `host NAME ADDRESS/PREFIX SWITCH.PORT`
host cy 10.0.10.1/16 s1.5 | the address 10.0.10.1 is taken: give each host its own
host ana 10.0.10.3/24 s1.5 | there is a ana already: give each device a name of its own
router q s1.5 10:10.0.10.254/24 | the address 10.0.10.254 is taken
router q s1.5 10:10.0.11.1/24 10:10.0.12.1/24 | the router has two addresses in VLAN 10: give
router q s1.5 10.0.11.1/24 | is no VLAN
router q s1.5 | write `router NAME SWITCH.PORT VLAN:ADDRESS/PREFIX …`
deny r 10 | write `deny ROUTER VLAN VLAN`
deny q 10 20 | there is no router 'q'; there are: r
deny r 10 30 | r has no address in VLAN 30
deny r 10 0 | '0' is no VLAN
switch s1 | there is a s1 already
switch S3 | 'S3' {NAME}
switch 3s | {NAME}
switch abcdefghijk | {NAME}
switch s\0 | {NAME}
switch 🐍 | {NAME}
switch {"s" * 1_000_000} | {NAME}
{"s" * 1_000_000} | is no statement
name 10 | write `name VLAN WORDS`
name x y | 'x' is no VLAN
"""


@pytest.mark.parametrize("case", WRONG.strip().splitlines(), ids=lambda case: case[:40])
def test_a_wrong_line_is_told_with_its_number(case: str) -> None:
    line, _, words = case.partition(" | ")
    said = refused(parse, TEXT + line)
    assert said.startswith("Line 10: ") and words in said and len(said) < 400


def test_a_name_is_given_twice() -> None:
    """Switches are read first, so it is the router's line that comes second."""
    said = refused(parse, f"{TEXT}switch r")
    assert said.startswith("Line 4: there is a r already")


# -- many ---------------------------------------------------------------------------------------


def hosts(count: int) -> str:
    return "switch s t\n" + "\n".join(
        f"host h{n} 10.0.{n + 1 >> 8}.{n + 1 & 255}/8 {'st'[n // 9000]}.{n % 9000 + 1}"
        for n in range(count)
    )


def test_five_thousand_hosts() -> None:
    assert len({host.mac for host in parse(hosts(5000)).hosts.values()}) == 5000


@pytest.mark.parametrize(
    "text",
    [hosts(10_001), f"switch {' '.join(f's{n}' for n in range(150_000))}"],
    ids=["hosts", "names"],
)
def test_too_many_devices(text: str) -> None:
    assert "more than 10,000 devices: this model is for fewer" in refused(parse, text)
