"""Pictures of frames: text and HTML say the same, and another frame is another picture."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples.networks import TWO

from labkit.net.layouts import IPV4
from labkit.net.network import Network, Step
from labkit.net.packets import ethernet, icmp, ipv4
from labkit.net.picture import Boxes, Bytes, Journey
from labkit.net.statements import parse
from labkit.net.tunnels import Tunnel
from labkit.show.figure import Figure

EVIL = 'a <b> & "c" \' </svg>'
ANA, BEN = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2"
PACKET = ipv4(0x0A00_0A01, 0x0A00_0A02, 1, icmp(8, 1, 1, b"<&>"))
FRAME = ethernet(BEN, ANA, IPV4, PACKET, [10])


def ping() -> list[Step]:
    return Network(parse(TWO)).ping("ana", "ben")[1]


class Read(HTMLParser):
    """HTML read back: its words and tooltips; each element ends where it should."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words, self.tips, self.open = list[str](), list[str](), list[str]()
        self.feed(html)
        self.close()
        assert not self.open, f"{self.open} never end"
        self.text = " ".join("".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.tips += [value or "" for name, value in attrs if name in ("title", "aria-label")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def sized(self) -> list[str]:
        """Names of headers with a size."""
        return [word for word in self.words if re.search(r" \d+$", word)]


# -- a frame's way ------------------------------------------------------------------------------


def test_a_journey_says_the_same_as_text_and_table() -> None:
    journey = Journey(ping(), parse(TWO).names(), 5)
    page, lines = Read(journey.html()), str(journey).splitlines()
    assert len(lines) == len(ping())
    for number, (line, row) in enumerate(zip(lines, journey.rows, strict=True), 5):
        assert row[0] == str(number) and all(cell in line and cell in page.words for cell in row)
    assert re.split(" {2,}", lines[0].strip()) == [
        "5",
        "ana → s1.1",
        "-",
        "ARP who has ben? tell ana",
        "s1, VLAN 10: learns ana on port 1; floods, for it is for all; out of port 2, 9 tagged",
    ]
    assert page.words[:4] == ["cable", "tag", "frame", "what becomes of it"]


def test_no_journey() -> None:
    empty = Journey([], {})
    assert str(empty) == "(no frame was sent)" == Read(empty.html()).text


def test_one_name_may_begin_like_another() -> None:
    """Names stand for whole addresses: 10.0.0.1 is not the beginning of 10.0.0.12."""
    made = parse("switch s\nhost a 10.0.0.1/24 s.1\nhost b 10.0.0.12/24 s.2")
    rows = Journey(Network(made).ping("b", "10.0.0.1")[1], made.names()).rows
    assert rows[0][3] == "ARP who has a? tell b"
    assert not any("a2" in cell for row in rows for cell in row)


# -- bytes and boxes ----------------------------------------------------------------------------


@given(st.binary(max_size=120) | st.just(FRAME), st.sampled_from(["", EVIL]))
def test_bytes_say_the_same_as_text_and_html(frame: bytes, title: str) -> None:
    picture = Bytes(frame, title)
    page, text = Read(picture.html()), " ".join(str(picture).split())
    assert [int(tip.split()[1].rstrip(",")) for tip in page.tips] == list(range(len(frame)))
    hexed = [word for word in page.words if re.fullmatch("[0-9a-f]{2}", word)]
    assert hexed[: len(frame)] == [f"{byte:02x}" for byte in frame]
    for at in range(0, len(frame), 16):
        assert f"{at:04x} {frame[at : at + 16].hex(' ')}" in text and f"{at:04x}" in page.words
    for header in picture.headers:
        fields = " ".join(picture.fields(header).split())
        assert f"{header.name}, {header.size} bytes from {header.offset}:" in text
        assert header.name in page.words and fields in page.text
        assert fields.replace(" ", "") in text.replace(" ", "")
    assert title in page.text and title in text


def test_bytes_tell_their_fields() -> None:
    tips = Read(Bytes(FRAME).html()).tips
    assert tips[14] == "byte 14, 802.1Q: priority 0, drop eligible 0, VLAN 10"
    assert tips[-1] == f"byte {len(FRAME) - 1}, data: not a field"
    first = str(Bytes(FRAME)).splitlines()[0]
    assert first == "0000  02 00 00 00 00 02 02 00 00 00 00 01 81 00 00 0a"


@pytest.mark.parametrize("kind", ["none", "gre", "vxlan"])
@pytest.mark.parametrize("title", ["", EVIL])
def test_boxes_say_the_same_as_text_and_html(kind: str, title: str) -> None:
    outside = Tunnel(kind).wrap(PACKET)
    picture = Boxes(outside, PACKET, title)
    page = Read(picture.html())
    assert page.tips[0] == str(picture) and title in page.text
    headers = [f"{header.name} {header.size}" for header in picture.wire]
    assert page.sized() == headers
    assert str(picture).splitlines()[-1].split(": ")[1] == " | ".join(headers)
    hidden = f"{len(outside)} bytes on the wire for {len(PACKET)} inside; nothing in it is hidden."
    assert hidden in page.text


def test_a_sealed_box_shows_what_is_in_it_for_who_has_the_key() -> None:
    picture = Boxes(ipv4(1, 2, 50, b"\0\0\x10\1" + bytes(60)), PACKET)
    page = Read(picture.html())
    inside = ["IPv4 20", "ICMP 8", "data 3"]
    assert page.sized() == ["IPv4 20", "ESP 16", "encrypted 48", *inside]
    assert "hatched: only who has the key sees what is in it" in page.text
    assert str(picture).splitlines()[1] == (
        "in it           31 bytes: IPv4 20 | ICMP 8 | data 3, then padding and a tag"
    )


@pytest.mark.parametrize(
    "picture",
    [
        Bytes,
        lambda data: Boxes(data[18:], PACKET),
        lambda data: Journey([step._replace(frame=data) for step in ping()[:1]], {}),
    ],
)
def test_another_frame_changes_all_that_show_it(picture: Callable[[bytes], Figure]) -> None:
    other = ethernet(BEN, ANA, IPV4, ipv4(0x0A00_0A01, 0x0A00_0A03, 17, bytes(9)), [20])
    assert str(picture(FRAME)) != str(picture(other))
    assert picture(FRAME).html() != picture(other).html()


@pytest.mark.parametrize("figure", [Journey(ping(), {}), Bytes(FRAME), Boxes(PACKET, PACKET)])
def test_every_figure_offers_text_and_html(figure: Figure) -> None:
    assert figure._repr_mimebundle_() == {"text/plain": str(figure), "text/html": figure.html()}
