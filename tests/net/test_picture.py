"""Pictures of networks: text and HTML say the same, every VLAN looks its own, and a changed thing changes them."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import combinations, pairwise
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given, settings
from hypothesis import strategies as st
from samples.networks import topologies

from labkit.errors import LabError
from labkit.net.layouts import IPV4
from labkit.net.network import Network, Step
from labkit.net.packets import ethernet, icmp, ipv4
from labkit.net.picture import MOST, Boxes, Bytes, Journey, Map
from labkit.net.statements import parse
from labkit.net.topology import Topology
from labkit.net.tunnels import Tunnel

TEXT = """\
switch s1 s2
host ana 10.0.10.1/24 s1.1 via 10.0.10.254
host ben 10.0.20.2/24 s2.1 via 10.0.20.254
router r s1.23 10:10.0.10.254/24 20:10.0.20.254/24
link s1.24 s2.24
access 10 s1.1
access 20 s2.1
trunk 10,20 s1.23 s1.24 s2.24
name 10 R&D <lab> "x"
"""
EVIL = 'a <b> & "c" \' </svg>'
PACKET = ipv4(0x0A00_0A01, 0x0A00_0A02, 1, icmp(8, 1, 1, b"<&>"))
FRAME = ethernet(b"\2\0\0\0\0\2", b"\2\0\0\0\0\1", IPV4, PACKET, [10])


def made(text: str = TEXT) -> Topology:
    return parse(text)


def ping(text: str = TEXT) -> list[Step]:
    return Network(parse(text)).ping("ana", "ben")[1]


class Page(HTMLParser):
    """A piece of HTML read back: its words, its tooltips, and whether each element ends where it should."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words, self.tips, self.open = list[str](), list[str](), list[str]()
        self.feed(html)
        self.close()
        assert not self.open, f"{self.open} never end"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.tips += [value or "" for name, value in attrs if name in ("title", "aria-label")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def svg(picture: Map) -> Element:
    root: Element = fromstring(picture.svg())
    for element in root.iter():
        element.tag = element.tag.removeprefix("{http://www.w3.org/2000/svg}")
    return root


def shown(picture: Map) -> list[str]:
    """The words in a picture, without tooltips."""
    return [element.text or "" for element in svg(picture).iter("text")]


def cables(picture: Map) -> list[tuple[str | None, ...]]:
    return sorted(
        (e.get("stroke"), e.get("stroke-dasharray"))
        for e in svg(picture).iter("path")
        if e.get("class") == "cable"
    )


# -- the topology -------------------------------------------------------------------------------


def test_the_map_as_text() -> None:
    picture = Map(made(), ping()[:2], 3)
    assert str(picture) == "", "a journey stands beside it and tells the frames"
    assert (
        picture.about()
        == """\
s1
  port 1   access 10              ana 10.0.10.1/24
  port 23  trunk 10,20            r
  port 24  trunk 10,20            s2.24
s2
  port 1   access 20              ben 10.0.20.2/24
  port 24  trunk 10,20            s1.24
VLAN 10 is R&D <lab> "x"
frame 3: ana → s1.1
frame 4: s1.23 → r"""
    )
    assert str(Map(made())) == Map(made()).about()


@settings(max_examples=25)
@given(topologies())
def test_text_and_picture_say_the_same(text: str) -> None:
    try:
        topology = parse(text)
    except LabError:
        return
    picture = Map(topology, Network(topology).ping("h0", "h1")[1])
    root, words = svg(picture), shown(picture)
    assert (root.get("role"), root[0].tag, root[0].text, root[1].tag, root[1].text) == (
        "img",
        "title",
        "Network",
        "desc",
        picture.about(),
    )
    for name in [*topology.switches, *topology.hosts, *topology.routers]:
        assert words.count(name) == 1 and name in picture.about()
    tips = " ".join(element.text or "" for element in root.iter("title"))
    for plug in topology.cables:
        if plug.port:
            assert f"{plug}: {topology.port(plug)}" in tips
            assert re.search(
                rf"port {plug.port} +{re.escape(str(topology.port(plug)))} ", picture.about()
            )
    for host in topology.hosts.values():
        assert str(host.address) in words and str(host.address) in picture.about()
    for router in topology.routers.values():
        assert {f"{vlan}: {address}" for vlan, address in router.addresses.items()} <= set(words)
    assert len(cables(picture)) == len(topology.cables) // 2
    ways = {frozenset((step.start, step.end)) for step in picture.steps}
    assert sum(element.get("class") == "way" for element in root.iter("path")) == len(ways)
    wide, tall = float(root.get("width", "")), float(root.get("height", ""))
    top = float(root.get("viewBox", "").split()[1])
    for element in root.iter("text"):
        assert (
            0 <= float(element.get("x", "")) <= wide
            and top <= float(element.get("y", "")) <= top + tall
        )


TRUNK = "trunk 10,20 s1.23 s1.24 s2.24"


@pytest.mark.parametrize(
    "old, new, seen",
    [
        ("access 10 s1.1", "access 20 s1.1", True),
        ("access 20 s2.1", "access 30 s2.1", True),
        (TRUNK, "trunk 10 s1.23 s1.24 s2.24", True),
        ("ben 10", "bea 10", True),
        ("20:10.0.20.254", "20:10.0.20.253", True),
        ("ben 10.0.20.2", "ben 10.0.20.3", True),
        ("s2.1", "s2.2", True),
        (TRUNK, "trunk 10,20 native 1 s1.23 s1.24 s2.24", True),
        (TRUNK, "trunk 10,20 s1.23 s1.24\naccess 10 s2.24", True),  # the far end of a cable
        # These are told in the description and under the cursor alone:
        ("name 10 R", "name 10 S", False),
        ("s1.24", "s1.22", False),
    ],
)
def test_a_changed_network_is_another_picture(old: str, new: str, seen: bool) -> None:
    before, after = Map(made()), Map(made(TEXT.replace(old, new)))
    assert before.svg() != after.svg()
    assert ((shown(before), cables(before)) != (shown(after), cables(after))) >= seen
    assert str(before) != str(after) or "20.254" in old, (
        "the text does not tell a router's addresses"
    )


def test_another_frame_is_another_picture() -> None:
    steps = ping()
    pictures = [
        Map(made()),
        Map(made(), steps[:1]),
        Map(made(), steps[1:2]),
        Map(made(), steps[:2]),
        Map(made(), steps[:1], first=2),
    ]
    for one, other in combinations(pictures, 2):
        assert one.svg() != other.svg() and one.about() != other.about()
    marks = [
        element.text
        for element in svg(Map(made(), steps)).iter("text")
        if element.get("class") == "number"
    ]
    assert marks[0] and marks[0].startswith("1,")


def test_seven_vlans_look_their_own_in_colour_and_in_grey() -> None:
    lines = [f"host h{n} 10.0.{n}.1/24 s.{n}\naccess {n} s.{n}" for n in range(1, 8)]
    picture = Map(made("switch s\n" + "\n".join(lines)))
    looks = [picture.look(vlan) for vlan in range(1, 8)]
    assert all(len(set(part)) == 7 for part in zip(*looks, strict=True)), (
        "each colour once, and each dash once"
    )
    assert cables(picture) == sorted(looks)
    assert all(f"VLAN {vlan}" in shown(picture) for vlan in range(1, 8)), "and it is written"


def test_words_in_the_picture_do_no_harm() -> None:
    root = svg(Map(made()))
    assert 'VLAN 10 is R&D <lab> "x"' in (root[1].text or "")


def test_many_hosts_are_told_and_not_drawn() -> None:
    text = "switch s\n" + "\n".join(f"host h{n} 10.0.0.{n}/24 s.{n}" for n in range(1, MOST + 2))
    bundle = Map(made(text))._repr_mimebundle_()
    assert (
        "<svg" not in bundle["text/html"]
        and f"{MOST + 1} hosts are too many to draw" in bundle["text/html"]
    )
    assert f"h{MOST + 1}" in bundle["text/plain"]
    few = Map(made())._repr_mimebundle_()
    assert "<svg" in few["text/html"] and few["text/plain"] == str(Map(made()))


def test_no_text_lies_on_another_or_under_a_frame() -> None:
    steps = ping()
    root = svg(Map(made(TEXT.replace(TRUNK, "trunk 10,20 native 1 s1.23 s1.24 s2.24")), steps))
    mark = min(
        float(each.get("y", "")) for each in root.iter("rect") if each.get("class") == "mark"
    )
    above, below = (
        float(each.get("y", ""))
        for each in root.iter("text")
        if each.text in ("1,10,20", "native 1")
    )
    assert above <= mark and below - 9 >= mark + 18  # px: letters are 9 high
    wide = made(
        "switch s\n" + "\n".join(f"host h{n} 192.168.100.10{n}/24 s.{n}" for n in range(1, 4))
    )
    xs = [
        float(each.get("x", ""))
        for each in svg(Map(wide)).iter("text")
        if "192" in (each.text or "")
    ]
    assert all(b - a > 6.8 * len("192.168.100.101/24") for a, b in pairwise(xs))


@pytest.mark.parametrize("text", ["", "switch s", "switch s t u\nlink s.1 u.1\nlink s.2 t.2"])
def test_small_maps(text: str) -> None:
    assert svg(Map(made(text)))[0].text == "Network"


# -- a frame's way ------------------------------------------------------------------------------


def test_a_journey_says_the_same_as_text_and_table() -> None:
    journey = Journey(ping(), made().names(), 5)
    page, lines = Page(journey.html()), str(journey).splitlines()
    assert len(lines) == len(journey.rows) == len(ping())
    for number, (line, row) in enumerate(zip(lines, journey.rows, strict=True), 5):
        assert row[0] == str(number) and all(cell in line and cell in page.words for cell in row)
    assert re.split(" {2,}", lines[0].strip()) == [
        "5",
        "ana → s1.1",
        "-",
        "ARP who has r? tell ana",
        "s1, VLAN 10: learns ana on port 1; floods, for it is for all; out of port 23 tagged, 24 tagged",
    ]
    assert [
        heading
        for heading in ("cable", "tag", "frame", "what becomes of it")
        if heading in page.words
    ] == ["cable", "tag", "frame", "what becomes of it"]


def test_no_journey() -> None:
    empty = Journey([], {})
    assert str(empty) == "(no frame was sent)" == Page(empty.html()).text


def test_one_name_may_begin_like_another() -> None:
    """Names stand for whole addresses: 10.0.0.1 is not the beginning of 10.0.0.12."""
    text = "switch s\nhost a 10.0.0.1/24 s.1\nhost b 10.0.0.12/24 s.2"
    rows = Journey(Network(parse(text)).ping("b", "10.0.0.1")[1], parse(text).names()).rows
    assert rows[0][3] == "ARP who has a? tell b" and not any(
        "a2" in cell for row in rows for cell in row
    )


# -- bytes and boxes ----------------------------------------------------------------------------


@given(st.binary(max_size=120) | st.just(FRAME), st.sampled_from(["", EVIL]))
def test_bytes_say_the_same_as_text_and_html(frame: bytes, title: str) -> None:
    picture = Bytes(frame, title)
    page, text = Page(picture.html()), " ".join(str(picture).split())
    cells = [tip for tip in page.tips if re.match(r"byte \d+, ", tip)]
    assert [int(tip.split()[1].rstrip(",")) for tip in cells] == list(range(len(frame)))
    assert [word for word in page.words if re.fullmatch("[0-9a-f]{2}", word)][: len(frame)] == [
        f"{byte:02x}" for byte in frame
    ]
    for at in range(0, len(frame), 16):
        assert f"{at:04x} {frame[at : at + 16].hex(' ')}" in text and f"{at:04x}" in page.words
    for header in picture.headers:
        fields = " ".join(picture._fields(header).split())
        assert f"{header.name}, {header.size} bytes from {header.offset}:" in text
        assert header.name in page.words and fields in page.text
        assert fields.replace(" ", "") in text.replace(" ", "")
    assert title in page.text and title in text


def test_bytes_tell_their_fields() -> None:
    tips = Page(Bytes(FRAME).html()).tips
    assert tips[14] == "byte 14, 802.1Q: priority 0, drop eligible 0, VLAN 10"
    assert tips[-1] == f"byte {len(FRAME) - 1}, data: not a field"
    assert (
        str(Bytes(FRAME)).splitlines()[0] == "0000  02 00 00 00 00 02 02 00 00 00 00 01 81 00 00 0a"
    )


@pytest.mark.parametrize("kind", ["none", "gre", "vxlan"])
@pytest.mark.parametrize("title", ["", EVIL])
def test_boxes_say_the_same_as_text_and_html(kind: str, title: str) -> None:
    picture = Boxes(Tunnel(kind).wrap(PACKET), PACKET, title)
    page = Page(picture.html())
    assert page.tips[0] == str(picture)
    assert [word for word in page.words if re.search(r" \d+$", word)] == [
        f"{header.name} {header.size}" for header in picture.out
    ]
    assert (
        f"{len(picture.outside)} bytes on the wire for {len(PACKET)} inside; nothing in it is hidden."
        in page.text
    )
    assert str(picture).splitlines()[-1].split(": ")[1] == " | ".join(
        f"{h.name} {h.size}" for h in picture.out
    )
    assert title in page.text


def test_a_sealed_box_shows_what_is_in_it_for_who_has_the_key() -> None:
    outside = ipv4(1, 2, 50, b"\0\0\x10\1" + bytes(60))
    picture = Boxes(outside, PACKET)
    page = Page(picture.html())
    assert [word for word in page.words if re.search(r" \d+$", word)] == [
        "IPv4 20",
        "ESP 16",
        "encrypted 48",
        "IPv4 20",
        "ICMP 8",
        "data 3",
    ]
    assert "hatched: only who has the key sees what is in it" in page.text
    assert str(picture).splitlines()[1] == (
        "in it           31 bytes: IPv4 20 | ICMP 8 | data 3, then padding and a tag"
    )


@pytest.mark.parametrize(
    "picture",
    [
        lambda data: Bytes(data),
        lambda data: Boxes(data[18:], PACKET),
        lambda data: Journey([step._replace(frame=data) for step in ping()[:1]], {}),
    ],
)
def test_another_frame_changes_all_that_show_it(picture: Callable[[bytes], Any]) -> None:
    other = ethernet(
        b"\2\0\0\0\0\2", b"\2\0\0\0\0\1", IPV4, ipv4(0x0A00_0A01, 0x0A00_0A03, 17, bytes(9)), [20]
    )
    for said in (str, lambda shown: shown.html()):
        assert said(picture(FRAME)) != said(picture(other))


def test_every_figure_offers_text_and_html() -> None:
    for figure in (Journey(ping(), {}), Bytes(FRAME), Boxes(PACKET, PACKET)):
        assert figure._repr_mimebundle_() == {"text/plain": str(figure), "text/html": figure.html()}
        assert repr(figure) == str(figure)
