"""Topologies: text read, written and changed; and all that a line may not say."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples.networks import parsed, ports, topologies

from labkit.errors import LabError
from labkit.net.topology import Plug, Port, Topology, parse, ranges

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


def test_a_topology_says_what_is_plugged_where() -> None:
    made = parse(TEXT)
    assert (
        made.switches == ["s1", "s2"]
        and list(made.hosts) == ["ana", "ben"]
        and list(made.routers) == ["r"]
    )
    ana = made.host("ana")
    assert (str(ana.address), ana.plug, str(ana.via)) == (
        "10.0.10.1/24",
        Plug("s1", 1),
        "10.0.10.254",
    )
    assert len({device.mac for device in [*made.hosts.values(), *made.routers.values()]}) == 3
    assert all(device.mac[0] & 3 == 2 for device in made.hosts.values()), (
        "given by ourselves, and of one device"
    )
    assert list(made.links()) == [(Plug("s1", 24), Plug("s2", 24))]
    assert all(made.cables[other] == one for one, other in made.cables.items())
    assert made.port(Plug("s1", 1)) == Port(10) and made.port(Plug("s2", 9)) == Port(1), (
        "VLAN 1 out of the box"
    )
    assert made.port(Plug("s1", 24)) == Port(1, frozenset({1, 10, 20, 21, 22}))
    assert str(made.port(Plug("s1", 24))) == "trunk 1,10,20-22 native 1"
    assert made.vlan_names == {10: "the office"}
    assert made.names() == {
        ana.mac.hex(":"): "ana",
        "10.0.10.1": "ana",
        made.host("ben").mac.hex(":"): "ben",
        "10.0.10.2": "ben",
        made.routers["r"].mac.hex(":"): "r",
        "10.0.10.254": "r",
        "10.0.20.254": "r",
    }


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


@settings(max_examples=25)
@given(topologies(), ports(), st.data())
def test_a_change_is_the_text_changed(text: str, port: str, data: st.DataObject) -> None:
    made = parsed(text)
    plug = data.draw(st.sampled_from([str(plug) for plug in made.cables if plug.port]))
    lines = [
        line for line in text.splitlines() if not (line[:1] in "at" and line.endswith(f" {plug}"))
    ]
    expected: Topology | str
    try:
        expected = parse("\n".join([*lines, f"{port} {plug}"]))
    except LabError as error:
        expected = str(error)
    try:
        assert made.changed(f"{port} {plug}") == expected
    except LabError as error:
        assert str(error) == expected
    assert parse(text) == made, "the old one stays as it was"


def test_a_router_may_deny() -> None:
    made = parse(TEXT)
    assert made.changed("deny r 10 20").changed("deny r 20 10") == parse(
        TEXT + "deny r 20 10\ndeny r 10 20"
    )
    assert not made.routers["r"].denied, "the old one stays as it was"


@pytest.mark.parametrize("statement", ["", "switch s3", "link s1.9 s2.9", "# access 10 s1.1"])
def test_only_ports_and_routers_change(statement: str) -> None:
    with pytest.raises(LabError, match="Only what a port or a router does can be changed"):
        parse(TEXT).changed(statement)


@given(st.sets(st.integers(1, 4094), min_size=1))
def test_ranges(vlans: set[int]) -> None:
    text = ranges(frozenset(vlans))
    assert parse(f"switch s\ntrunk {text} s.1").port(Plug("s", 1)).allowed == vlans
    assert len(text.split(",")) == sum(vlan - 1 not in vlans for vlan in vlans)


@pytest.mark.parametrize(
    "port, tag, inside",
    [
        ("access 10", None, 10),
        ("access 10", 0, 10),
        ("access 10", 10, None),
        ("access 10", 20, None),
        ("trunk 10", None, None),
        ("trunk 10", 0, None),
        ("trunk 10", 10, 10),
        ("trunk 10", 20, None),
        ("trunk 10 native 1", None, 1),
        ("trunk 10 native 1", 0, 1),
        ("trunk 10 native 1", 1, 1),
        ("trunk all", 4094, 4094),
    ],
)
def test_what_comes_in(port: str, tag: int | None, inside: int | None) -> None:
    assert parse(f"switch s\n{port} s.1").port(Plug("s", 1)).inside(tag) == inside


# -- what is refused ----------------------------------------------------------------------------

USAGE = "write `access VLAN SWITCH.PORT …` or `trunk VLANS"


@pytest.mark.parametrize(
    "line, words",
    [
        ("swich s3", "'swich' is no statement; a line begins with switch, host"),
        ("access 10 s9.1", "there is no switch s9; there are: s1, s2"),
        ("access 10 s1", "'s1' is no port: write the switch, a point and a number from 1"),
        ("access 10 s1.0", "'s1.0' is no port"),
        ("access 10 s1.99999", "is no port"),
        ("access 10 s1.²", "is no port"),
        ("access 10 s1.٣", "is no port"),
        ("link s1.1 s2.5", "s1.1 holds a cable already, to ana: take another port"),
        ("link s1.24 s2.5", "s1.24 holds a cable already, to s2.24"),
        ("host cy 10.0.10.3/24 s1.1", "s1.1 holds a cable already, to ana"),
        ("link s1.5 s1.5", "a cable from s1.5 to itself: name two ports"),
        ("link s1.5", "write `link SWITCH.PORT SWITCH.PORT`"),
        (
            "access 20 s1.1",
            "s1.1 is said twice, in line 6 too: a port is access in one VLAN, or a trunk for several",
        ),
        ("access 20 s1.7 s1.7", "s1.7 is said twice"),
        *(
            (
                f"access {word} s1.5",
                "is no VLAN: it is a number from 1 to 4094 (0 means none, 4095 is reserved)",
            )
            for word in [
                "0",
                "4095",
                "-1",
                "1.5",
                "ten",
                "²",
                "1²",
                "٣",
                "9" * 5000,
                "000000001" + "9" * 20,
                "000000001" + "9" * 5000,
            ]
        ),
        *(
            (f"trunk {word} s1.5", "is no VLAN")
            for word in ("0", "10-", "-", "1-4095", "20-10", "1--3")
        ),
        *(
            (f"trunk {word} s1.5", "the VLANs of a trunk stand together")
            for word in ("10,", ",", "10, 20", "10,,20")
        ),
        ("trunk 20-10 s1.5", "'20-10' is no VLAN range: the lower number comes first, as in 10-20"),
        ("trunk 10 native 0 s1.5", "'0' is no VLAN"),
        ("access", USAGE),
        ("access 10", USAGE),
        ("trunk", USAGE),
        ("trunk 10", USAGE),
        ("trunk 10 native 1", USAGE),
        ("host cy 10.0.10.3 s1.5", "10.0.10.3 lacks its prefix: write 10.0.10.3/24 if"),
        *(
            (f"host cy {word} s1.5", f"{word} is no address for a host")
            for word in (
                "10.0.10.0/24",
                "10.0.10.255/24",
                "224.0.0.1/24",
                "127.0.0.1/8",
                "0.0.0.0/32",
            )
        ),
        ("host cy 10.0.10.300/24 s1.5", "'10.0.10.300/24' is no IPv4 address with its prefix"),
        ("host cy 10.0.10.3/33 s1.5", "is no IPv4 address"),
        (f"host cy 10.0.10.3/{'9' * 5000} s1.5", "is no IPv4 address"),
        ("host cy 10.0.10.3/24 s1.5 via here", "is no IPv4 address"),
        ("host cy 10.0.10.3/24 s1.5 via 10.0.10.3", "10.0.10.3 would be its own gateway"),
        (
            "host cy 10.0.10.3/24 s1.5 over 10.0.10.254",
            "write `host NAME ADDRESS/PREFIX SWITCH.PORT`",
        ),
        ("host cy 10.0.10.1/16 s1.5", "the address 10.0.10.1 is taken: give each host its own"),
        ("router q s1.5 10:10.0.10.254/24", "the address 10.0.10.254 is taken"),
        (
            "router q s1.5 10:10.0.11.1/24 10:10.0.12.1/24",
            "the router has two addresses in VLAN 10: give it one",
        ),
        ("router q s1.5 10.0.11.1/24", "is no VLAN"),
        ("router q s1.5", "write `router NAME SWITCH.PORT VLAN:ADDRESS/PREFIX …`"),
        ("deny r 10", "write `deny ROUTER VLAN VLAN`"),
        ("deny q 10 20", "there is no router 'q'; there are: r"),
        ("deny r 10 30", "r has no address in VLAN 30"),
        ("deny r 10 0", "'0' is no VLAN"),
        (
            "host ana 10.0.10.3/24 s1.5",
            "there is a ana already: give each device a name of its own",
        ),
        ("switch r", ""),
        ("switch s1", "there is a s1 already"),
        ("switch S3", "'S3' is no name: up to ten of a-z, 0-9 and -, beginning with a letter"),
        ("switch 3s", "is no name"),
        ("switch abcdefghijk", "is no name"),
        ("switch s\0", "is no name"),
        ("switch 🐍", "is no name"),
        (f"switch {'s' * 1_000_000}", "is no name"),
        ("s" * 1_000_000, "is no statement"),
        ("\0", "is no statement"),
        ("name 10", "write `name VLAN WORDS`"),
        ("name x y", "'x' is no VLAN"),
    ],
)
def test_a_wrong_line_is_told_with_its_number(line: str, words: str) -> None:
    lines = [*TEXT.splitlines(), line]
    with pytest.raises(LabError) as error:
        parse("\n".join(lines))
    said = str(error.value)
    if (
        line == "switch r"
    ):  # switches are read first, so the line of the router is the second one with that name
        assert said.startswith("Line 4: there is a r already")
    elif line == "access 20 s1.7 s1.7":
        assert said.startswith("Line 10: s1.7 is said twice, in line 10 too")
    else:
        assert said.startswith("Line 10: ") and words in said
    assert len(said) < 400 and said.isprintable()


def test_no_such_host() -> None:
    with pytest.raises(LabError, match=r"There is no host 'dan'; there are: ana, ben\."):
        parse(TEXT).host("dan")


# -- rings --------------------------------------------------------------------------------------

RING = "switch s1 s2 s3\nlink s1.1 s2.1\nlink s2.2 s3.2\nlink s3.1 s1.2\n"


@pytest.mark.parametrize(
    "ports, ring",
    [
        ("", 1),  # out of the box all is VLAN 1
        ("trunk 10,20 s1.1 s1.2 s2.1 s2.2 s3.1 s3.2\naccess 10 s1.9", 10),
        (
            "trunk 10,20 s1.1 s1.2 s2.1 s2.2 s3.1\ntrunk 20 s3.2\naccess 10 s1.9",
            0,
        ),  # cut: VLAN 10 ends at s3.2
        ("trunk 10,20 s1.1 s1.2 s2.1 s2.2 s3.1\ntrunk 20 s3.2\naccess 20 s1.9", 20),
        ("access 10 s1.1 s2.1\naccess 20 s2.2 s3.2", 0),  # three VLANs, a link each
        (
            "access 10 s1.1\naccess 10 s2.2\naccess 10 s3.1",
            0,
        ),  # natives that differ join 10 and 1, in no ring
    ],
)
def test_a_ring_in_one_vlan_is_refused(ports: str, ring: int) -> None:
    text = RING + ports
    if not ring:
        assert len(list(parse(text).links())) == 3
        return
    with pytest.raises(
        LabError, match=rf"^VLAN {ring} runs in a ring that .* closes: without spanning tree"
    ):
        parse(text)


def test_a_change_closes_no_ring() -> None:
    made = parse(RING + "access 10 s1.1 s2.1")
    with pytest.raises(LabError, match="runs in a ring"):
        made.changed("access 1 s1.1 s2.1")


@pytest.mark.parametrize("line", ["link s1.5 s1.6", "link s1.5 s2.5\naccess 10 s1.5 s2.5"])
def test_two_cables_between_the_same_are_a_ring(line: str) -> None:
    with pytest.raises(LabError, match="runs in a ring"):
        parse(TEXT + line)


# -- many ---------------------------------------------------------------------------------------


def hosts(count: int) -> str:
    return "switch s t\n" + "\n".join(
        f"host h{n} 10.0.{n + 1 >> 8}.{n + 1 & 255}/8 {'st'[n // 9000]}.{n % 9000 + 1}"
        for n in range(count)
    )


def test_five_thousand_hosts() -> None:
    made = parse(hosts(5000))
    assert len({host.mac for host in made.hosts.values()}) == 5000


@pytest.mark.parametrize(
    "text", [hosts(10_001), "switch " + " ".join(f"s{n}" for n in range(150_000))]
)
def test_too_many_devices(text: str) -> None:
    with pytest.raises(
        LabError, match=r"^Line \d+: more than 10,000 devices: this model is for fewer"
    ):
        parse(text)


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
