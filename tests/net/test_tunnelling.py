"""``%tunnel`` and ``%%bytes``: what is said of the wire is true; no paste is too strange."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples.errors import refused
from samples.networks import OPEN, SEALED, names
from samples.pages import Page

from labkit.errors import LabError
from labkit.net.headers import dissect
from labkit.net.packets import ethernet, ipv4
from labkit.net.picture import Bytes
from labkit.net.tunnelling import HELP, SECRET, do, packet, pasted, through
from labkit.net.tunnels import TUNNEL_KINDS, Tunnel, overhead

COURSE = Path(__file__).resolve().parents[2] / "notebooks"


def said(*words: str) -> str:
    """The text of a ``%tunnel`` command; its HTML ends what it begins."""
    answer = do(words)
    assert Page(answer.html()).text.strip()
    return str(answer)


def rows(text: str) -> dict[str, list[str]]:
    """The rows of a table that begin with a kind."""
    lines = [line.split() for line in text.splitlines()]
    return {words[0]: words[1:] for words in lines if words[0] in TUNNEL_KINDS}


# -- the wire -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TUNNEL_KINDS)
@pytest.mark.parametrize("text", [SECRET, "ñ 層 🦊", "<b>&\"'", "x" * 1400])
def test_an_eavesdropper_finds_a_text_where_nothing_is_encrypted(kind: str, text: str) -> None:
    outside = Tunnel(kind).wrap(packet(text))
    often = "not once" if kind in SEALED else "once"
    answer = through(kind, text)
    assert str(answer).splitlines()[-1] == (
        f'An eavesdropper who searches the {len(outside)} bytes for "{text}" finds it {often}.'
    )
    assert answer.ok is (kind in SEALED) and (text.encode() in outside) is (kind in OPEN)
    assert str(Bytes(outside, "on the wire", "IPv4")) in str(answer)
    assert str(do([kind, text])) == str(answer) and str(do([kind])) == str(through(kind))


def test_a_text_is_found_as_often_as_it_is_there() -> None:
    assert said("gre", "aaaa").endswith('for "aaaa" finds it once.')
    assert said("gre", "a").endswith('for "a" finds it once.')
    count = Tunnel("gre").wrap(packet("\0")).count(b"\0")
    assert said("gre", "\0").splitlines()[-1].endswith(f"finds it {count} times.")


@pytest.mark.parametrize("kind", TUNNEL_KINDS)
def test_tampering_and_replaying_are_refused_exactly_by_those_that_encrypt(kind: str) -> None:
    tampered, replayed = do(["tamper", kind]), do(["replay", kind])
    assert tampered.ok is replayed.ok is (kind in OPEN)
    if kind in SEALED:
        altered = "The tag does not fit what arrived: it was altered on the way"
        assert str(tampered).startswith(altered)
        assert "has arrived before: somebody plays back" in str(replayed)
    else:
        taken = 'It is taken as if nothing had happened, and says "{}".'
        assert str(tampered) == taken.format(f"{SECRET[:-1]}5")
        assert str(replayed) == taken.format(SECRET)


def test_sizes_are_what_wrapping_adds() -> None:
    found = rows(said("sizes"))
    assert list(found) == list(TUNNEL_KINDS)
    for kind, (adds, encrypts, *source) in found.items():
        wrapped = Tunnel(kind).wrap(ipv4(1, 2, 17, bytes(980)))
        assert int(adds) == overhead(kind) == len(wrapped) - 1000
        assert (encrypts == "yes") is (kind in SEALED)
        assert " ".join(source) == TUNNEL_KINDS[kind].source


@pytest.mark.parametrize("mtu", [100, 576, 1280, 1492, 1500, 9000])
def test_the_longest_packet_fits_and_one_byte_more_does_not(mtu: int) -> None:
    for kind, (longest,) in rows(said("mtu", str(mtu))).items():
        fits, over = (
            len(Tunnel(kind, mtu=size).wrap(ipv4(1, 2, 17, bytes(size - 20))))
            for size in (int(longest), int(longest) + 1)
        )
        assert fits <= mtu < over, kind
        if kind != "esp":  # it pads, so what it adds varies
            assert int(longest) + (60 if kind == "wireguard" else overhead(kind)) == mtu


@given(st.integers(28, 4000), st.integers(68, 1500))
def test_pieces_hold_all_of_it(size: int, mtu: int) -> None:
    text = said("fragment", str(size), str(mtu))
    if size <= mtu:
        assert text == f"A packet of {size} bytes fits into {mtu} as it is: nobody cuts it."
        return
    [told] = re.findall(r"(\d+) pieces, (\d+) bytes in all, (\d+) more", text)
    count, total, more = map(int, told)
    assert count > 1 and total == size + more == size + 20 * (count - 1)
    rows = re.findall(r"piece \d+: (\d+) bytes, from byte (\d+) of", text)
    pieces = [(int(length), int(at)) for length, at in rows]
    assert all(20 < length <= mtu and at % 8 == 0 for length, at in pieces) and pieces[0][1] == 0
    if count <= 20:
        assert len(pieces) == count and sum(length for length, _ in pieces) == total
        assert [at for _, at in pieces[1:]] == [at + length - 20 for length, at in pieces[:-1]]
    assert text.count("more follow") == len(pieces) - 1 and "the last" in text
    assert 'says "do not fragment"' in text


def test_very_many_pieces_are_not_all_told() -> None:
    lines = said("fragment", "65535", "28").splitlines()
    assert lines[19] == "… and 8170 between" and lines[20].startswith("piece 8190: ")
    assert len(lines) == 23


def test_help_names_all_commands_and_kinds() -> None:
    text = said()
    assert text == said("help") == f"{HELP}\nKINDs: {', '.join(TUNNEL_KINDS)}"
    for line in HELP.splitlines()[1:]:  # and what it says is so
        words = line.split("  ")[0].split()[1:]
        said(*({"KIND": "gre", "MTU": "1500", "SIZE": "1600"}.get(word, word) for word in words))


@pytest.mark.parametrize(
    "line, line_said",
    [
        ("ipsec", "`%tunnel ipsec` is not known; `%tunnel help` shows what is."),
        ("gre a b", "`%tunnel gre a b` is not known"),
        ("sizes all", "is not known"),
        ("mtu", "is not known"),
        ("mtu 1 2", "is not known"),
        ("fragment 1600", "is not known"),
        ("tamper", "is not known"),
        ("replay gre twice", "is not known"),
        ("GRE", "is not known"),
        ("tamper ipsec", "'ipsec' is no tunnel here; there are: none, ipip"),
        ("replay ipsec", "is no tunnel here"),
        ("mtu 99", "a number of bytes from 100 to 9000"),
        ("mtu 9001", "from 100 to 9000"),
        ("mtu x", "from 100 to 9000"),
        ("mtu ²", "from 100 to 9000"),
        (f"mtu {'9' * 5000}", "from 100 to 9000"),
        ("mtu -1500", "from 100 to 9000"),
        ("fragment x 1500", "Two numbers of bytes"),
        ("fragment 1600 ²", "Two numbers of bytes"),
        (f"fragment {'9' * 5000} 1500", "Two numbers of bytes"),
        ("fragment 65536 1500", "Two numbers of bytes"),
        ("fragment 27 1500", "takes 28 bytes at least"),
        ("fragment 1600 27", "27 bytes hold no header"),
        ("fragment 1600 0", "0 bytes hold no header"),
        (f"gre {'x' * 1401}", "Send up to 1,400 bytes"),
        (f"esp {'層' * 467}", "Send up to 1,400 bytes"),
    ],
)
def test_a_mistake_is_one_line_of_teaching(line: str, line_said: str) -> None:
    told = refused(do, line.split())
    assert line_said in told and 20 < len(told) < 250


def test_nothing_to_send_is_nothing_to_find() -> None:
    assert "one letter at least" in refused(do, ["gre", ""])


@pytest.mark.parametrize("text", ["\0" * 20, "\ud800", "\x1b[31m", "a\nb", "\u2028"])
def test_odd_letters_are_sent_and_told_on_one_line(text: str) -> None:
    last = said("gre", text).splitlines()[-1]
    assert last.startswith("An eavesdropper") and last.endswith("finds it once.")
    assert last.isprintable()


# -- bytes pasted -------------------------------------------------------------------------------

FRAME = ethernet(b"\xff" * 6, b"\2\0\0\0\0\1", 0x0806, bytes(range(28)), [20])
HEX = FRAME.hex()
ROWS = [FRAME[at : at + 16] for at in range(0, len(FRAME), 16)]


@pytest.mark.parametrize(
    "text",
    [
        HEX,
        HEX.upper(),
        FRAME.hex(" "),
        FRAME.hex(" ", 2),
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
    assert str(answer) == str(Bytes(FRAME)) and "802.1Q" in str(answer)
    assert "ARP" in Page(answer.html()).text


def test_what_net_bytes_prints_can_be_pasted_again() -> None:
    shown = str(Bytes(FRAME))
    assert str(pasted("\n".join(shown.splitlines()[: len(ROWS)]), "Ethernet")) == shown


def test_a_packet_without_ethernet() -> None:
    outside = Tunnel("gre").wrap(packet(SECRET))
    assert str(pasted(outside.hex(), "IPv4")) == str(Bytes(outside, "", "IPv4"))


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


# -- what the lessons show ----------------------------------------------------------------------


def shown(notebook: str, before: str) -> bytes:
    """The bytes in the text that stands right before a cell."""
    cells = nbformat.read(COURSE / "en" / notebook, as_version=4).cells
    at = next(at for at, cell in enumerate(cells) if cell.source == before)
    (found,) = re.findall(r"```\n(.*?)```", cells[at - 1].source, re.S)
    return bytes.fromhex(re.sub(r"0x....:", "", found))


def tasks_of(lesson: str) -> Any:
    path = COURSE / "lessons" / lesson / "tasks.py"
    spec = importlib.util.spec_from_file_location(f"tasks{lesson}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_packet_that_was_caught_is_the_one_of_the_task() -> None:
    found = shown("03-vpns-and-tunnels.ipynb", "%task which-tunnel")
    assert found == tasks_of("03").CAUGHT and names(found, "IPv4")[:2] == ["IPv4", "ESP"]


def test_the_frame_that_was_printed_carries_the_tag_of_the_task() -> None:
    found, tag = shown("02-vlans.ipynb", "%task read-tag"), tasks_of("02").TAG
    assert found[12:16] == b"\x81\0" + tag.to_bytes(2, "big")
    assert dissect(found)[1].of("VLAN") == tag & 0xFFF and "ARP" in names(found)
