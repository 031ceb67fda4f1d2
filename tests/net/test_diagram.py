"""Diagrams: text and picture say the same, every VLAN looks its own, changes are seen."""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from xml.etree.ElementTree import Element

import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given, settings
from samples.networks import parsed, topologies

from labkit.net.diagram import MOST_DRAWN, TopologyDiagram
from labkit.net.network import Network, Step
from labkit.net.statements import parse

TRUNK = "trunk 10,20 s1.23 s1.24 s2.24"
TEXT = f"""\
switch s1 s2
host ana 10.0.10.1/24 s1.1 via 10.0.10.254
host ben 10.0.20.2/24 s2.1 via 10.0.20.254
router r s1.23 10:10.0.10.254/24 20:10.0.20.254/24
link s1.24 s2.24
access 10 s1.1
access 20 s2.1
{TRUNK}
name 10 R&D <lab> "x"
"""


def diagram(text: str = TEXT) -> TopologyDiagram:
    return TopologyDiagram(parse(text))


def ping() -> list[Step]:
    return Network(parse(TEXT)).ping("ana", "ben")[1]


def svg(picture: TopologyDiagram) -> Element:
    root: Element = fromstring(picture.svg())
    for element in root.iter():
        element.tag = element.tag.removeprefix("{http://www.w3.org/2000/svg}")
    return root


def classed(picture: TopologyDiagram, tag: str, style: str) -> list[Element]:
    return [element for element in svg(picture).iter(tag) if element.get("class") == style]


def shown(picture: TopologyDiagram) -> list[str]:
    """The words in a picture, without tooltips."""
    return [element.text or "" for element in svg(picture).iter("text")]


def cables(picture: TopologyDiagram) -> list[tuple[str | None, ...]]:
    """The looks of all cables."""
    paths = classed(picture, "path", "cable")
    return sorted((path.get("stroke"), path.get("stroke-dasharray")) for path in paths)


def test_the_diagram_as_text() -> None:
    picture = TopologyDiagram(parse(TEXT), ping()[:2], 3)
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
    assert str(diagram()) == diagram().about()


@settings(max_examples=25)
@given(topologies())
def test_text_and_picture_say_the_same(text: str) -> None:
    made = parsed(text)
    picture = TopologyDiagram(made, Network(made).ping("h0", "h1")[1])
    root, words, about = svg(picture), shown(picture), picture.about()
    assert root.get("role") == "img"
    assert [(child.tag, child.text) for child in root[:2]] == [
        ("title", "Network"),
        ("desc", about),
    ]
    for name in [*made.switches, *made.hosts, *made.routers]:
        assert words.count(name) == 1 and name in about
    tips = " ".join(element.text or "" for element in root.iter("title"))
    for plug in made.cables:
        if plug.port:
            does = str(made.port(plug))
            assert f"{plug}: {does}" in tips
            assert re.search(rf"port {plug.port} +{re.escape(does)} ", about)
    for host in made.hosts.values():
        assert str(host.address) in words and str(host.address) in about
    for router in made.routers.values():
        assert {f"{vlan}: {address}" for vlan, address in router.addresses.items()} <= set(words)
    assert len(cables(picture)) == len(made.cables) // 2
    crossed = {frozenset((step.start, step.end)) for step in picture.steps}
    assert len(classed(picture, "path", "way")) == len(crossed)
    left, top, wide, tall = map(float, root.get("viewBox", "").split())
    for element in root.iter("text"):
        assert left <= float(element.get("x", "")) <= left + wide
        assert top <= float(element.get("y", "")) <= top + tall


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
    before, after = diagram(), diagram(TEXT.replace(old, new))
    assert before.svg() != after.svg()
    assert not seen or (shown(before), cables(before)) != (shown(after), cables(after))
    assert str(before) != str(after) or "20.254" in old, "the text tells no router's addresses"


def test_another_frame_is_another_picture() -> None:
    made, steps = parse(TEXT), ping()
    pictures = [
        TopologyDiagram(made),
        TopologyDiagram(made, steps[:1]),
        TopologyDiagram(made, steps[1:2]),
        TopologyDiagram(made, steps[:2]),
        TopologyDiagram(made, steps[:1], first=2),
    ]
    for one, other in combinations(pictures, 2):
        assert one.svg() != other.svg() and one.about() != other.about()
    first_mark = classed(TopologyDiagram(made, steps), "text", "number")[0]
    assert (first_mark.text or "").startswith("1,")


def test_seven_vlans_look_their_own_in_colour_and_in_grey() -> None:
    lines = [f"host h{n} 10.0.{n}.1/24 s.{n}\naccess {n} s.{n}" for n in range(1, 8)]
    picture = diagram("switch s\n" + "\n".join(lines))
    looks = [picture.look(vlan) for vlan in range(1, 8)]
    assert len({look.colour for look in looks}) == len({look.dash for look in looks}) == 7
    assert cables(picture) == sorted((look.colour, look.dash) for look in looks)
    assert all(f"VLAN {vlan}" in shown(picture) for vlan in range(1, 8)), "and it is written"


def test_words_in_the_picture_do_no_harm() -> None:
    assert 'VLAN 10 is R&D <lab> "x"' in (svg(diagram())[1].text or "")


def test_many_hosts_are_told_and_not_drawn() -> None:
    hosts = [f"host h{n} 10.0.0.{n}/24 s.{n}" for n in range(1, MOST_DRAWN + 2)]
    many = diagram("\n".join(["switch s", *hosts]))._repr_mimebundle_()
    assert many["text/html"] == (
        "<p>61 hosts are too many to draw; <code>%net reach</code> groups them.</p>"
    )
    assert "h61" in many["text/plain"]
    few = diagram()._repr_mimebundle_()
    assert "<svg" in few["text/html"] and few["text/plain"] == str(diagram())


def test_no_text_lies_on_another_or_under_a_frame() -> None:
    native = TEXT.replace(TRUNK, "trunk 10,20 native 1 s1.23 s1.24 s2.24")
    picture = TopologyDiagram(parse(native), ping())
    mark = min(float(rect.get("y", "")) for rect in classed(picture, "rect", "mark"))
    above, below = (
        float(text.get("y", ""))
        for text in svg(picture).iter("text")
        if text.text in ("1,10,20", "native 1")
    )
    assert above <= mark and below - 9 >= mark + 18  # px: letters are 9 high
    hosts = [f"host h{n} 192.168.100.10{n}/24 s.{n}" for n in range(1, 4)]
    wide = svg(diagram("\n".join(["switch s", *hosts])))
    xs = [float(text.get("x", "")) for text in wide.iter("text") if "192" in (text.text or "")]
    assert all(right - left > 6.8 * len("192.168.100.101/24") for left, right in pairwise(xs))


@pytest.mark.parametrize("text", ["", "switch s", "switch s t u\nlink s.1 u.1\nlink s.2 t.2"])
def test_small_diagrams(text: str) -> None:
    assert svg(diagram(text))[0].text == "Network"
