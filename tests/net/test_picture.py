"""Pictures of frames: text and HTML say the same, and another frame is another picture."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples.errors import refused
from samples.networks import TWO

from labkit.errors import LabError
from labkit.net.headers import IPV4
from labkit.net.network import Network, Step
from labkit.net.packets import ethernet, icmp, ipv4
from labkit.net.picture import Answer, Bytes, Journey, pasted
from labkit.net.statements import parse
from labkit.show.markup import Figure

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


# -- bytes ----------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    "picture",
    [
        Bytes,
        lambda data: Journey([step._replace(frame=data) for step in ping()[:1]], {}),
    ],
)
def test_another_frame_changes_all_that_show_it(picture: Callable[[bytes], Figure]) -> None:
    other = ethernet(BEN, ANA, IPV4, ipv4(0x0A00_0A01, 0x0A00_0A03, 17, bytes(9)), [20])
    assert str(picture(FRAME)) != str(picture(other))
    assert picture(FRAME).html() != picture(other).html()


@pytest.mark.parametrize("figure", [Journey(ping(), {}), Bytes(FRAME), Answer(EVIL)])
def test_every_figure_offers_text_and_html(figure: Figure) -> None:
    assert figure._repr_mimebundle_() == {"text/plain": str(figure), "text/html": figure.html()}


# -- bytes pasted -------------------------------------------------------------------------------

QUESTION = ethernet(b"\xff" * 6, b"\2\0\0\0\0\1", 0x0806, bytes(range(28)), [20])
HEX = QUESTION.hex()
ROWS = [QUESTION[at : at + 16] for at in range(0, len(QUESTION), 16)]


@pytest.mark.parametrize(
    "text",
    [
        HEX,
        HEX.upper(),
        QUESTION.hex(" "),
        QUESTION.hex(" ", 2),
        f"\n\n  {HEX}\t\n",
        "\r\n".join(row.hex(" ") for row in ROWS),
        # tcpdump -xx
        "\n".join(f"\t0x{16 * n:04x}:  {row.hex(' ', 2)}" for n, row in enumerate(ROWS)),
        "\n".join(f"0x{16 * n:04X}: {row.hex().upper()}" for n, row in enumerate(ROWS)),
        "\n".join(f"{16 * n:04x}: {row.hex(' ')}" for n, row in enumerate(ROWS)),
        # `%net bytes`, Wireshark
        "\n".join(f"{16 * n:04x}  {row.hex(' ')}" for n, row in enumerate(ROWS)),
    ],
)
def test_hex_is_read_however_it_is_written(text: str) -> None:
    answer = pasted(text, "Ethernet")
    assert str(answer) == str(Bytes(QUESTION)) and "802.1Q" in str(answer)
    assert "ARP" in Read(answer.html()).text


def test_what_net_bytes_prints_can_be_pasted_again() -> None:
    shown = str(Bytes(QUESTION))
    assert str(pasted("\n".join(shown.splitlines()[: len(ROWS)]), "Ethernet")) == shown


def test_a_packet_without_ethernet() -> None:
    assert str(pasted(PACKET.hex(), "IPv4")) == str(Bytes(PACKET, "", "IPv4"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t\n",
        "0",
        "abc",
        "0x00",
        "0x0000:",
        "zz",
        "02:00:00:00:00:01",
        "\u0660\u0661",
        "ff" * 10_001,
        "00" * 500_000,
        "z" * 1_000_000,
        " " * 1_000_000,
        "0x0000: \n" * 50_000,
        "ARP, Request who-has 10.0.0.2",
        "<script>",
        "\0",
        "\ud800",
    ],
)
def test_what_is_no_frame_is_one_line(text: str) -> None:
    told = refused(pasted, text, "Ethernet")
    assert told.startswith("That is no frame in hex: paste lines as `tcpdump -xx` prints them")


def test_the_longest_that_is_taken() -> None:
    assert "data, " in str(pasted("ff" * 10_000, "Ethernet"))


@given(st.binary(min_size=1, max_size=120), st.sampled_from(["Ethernet", "IPv4"]))
def test_any_bytes_can_be_taken_apart(data: bytes, first: str) -> None:
    assert str(pasted(data.hex(" "), first)) == str(Bytes(data, "", first))


@given(st.text(max_size=200), st.sampled_from(["Ethernet", "IPv4"]))
def test_any_text_is_taken_apart_or_refused(text: str, first: str) -> None:
    try:
        assert str(pasted(text, first)).startswith("0000  ")
    except LabError as error:
        assert "That is no frame in hex" in str(error)
