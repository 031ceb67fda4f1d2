"""``%tunnel``: what is said of the wire is true, as text and as a picture."""

from __future__ import annotations

import re

import ipywidgets as w
import nbformat
import pytest
from conftest import Notebook
from hypothesis import given
from hypothesis import strategies as st
from samples.errors import refused
from samples.lessons import LESSONS, beside
from samples.networks import names
from samples.pages import Page, text, the

from labkit.net.headers import dissect
from labkit.net.packets import ipv4
from labkit.net.picture import Bytes

tunnels, tunnelling = beside("03", "tunnels"), beside("03", "tunnelling")
TUNNEL_KINDS, Tunnel = tunnels.TUNNEL_KINDS, tunnels.Tunnel
SECRET, do, packet = tunnelling.SECRET, tunnelling.do, tunnelling.packet
SEALED = [kind for kind, about in TUNNEL_KINDS.items() if about.encrypts]
OPEN = [kind for kind in TUNNEL_KINDS if kind not in SEALED]


def said(*words: str) -> str:
    """The text of a ``%tunnel`` command; its HTML ends what it begins."""
    answer = do(words)
    assert Page(answer.html()).text.strip()
    return str(answer)


def rows(table: str) -> dict[str, list[str]]:
    """The rows of a table that begin with a kind."""
    lines = [line.split() for line in table.splitlines()]
    return {words[0]: words[1:] for words in lines if words[0] in TUNNEL_KINDS}


# -- the wire -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TUNNEL_KINDS)
@pytest.mark.parametrize("word", [SECRET, "ñ 層 🦊", "<b>&\"'", "x" * 1400])
def test_an_eavesdropper_finds_a_text_where_nothing_is_encrypted(kind: str, word: str) -> None:
    outside = Tunnel(kind).wrap(packet(word))
    often = "not once" if kind in SEALED else "once"
    answer = tunnelling.through(kind, word)
    assert str(answer).splitlines()[-1] == (
        f'An eavesdropper who searches the {len(outside)} bytes for "{word}" finds it {often}.'
    )
    assert answer.ok is (kind in SEALED) and (word.encode() in outside) is (kind in OPEN)
    assert str(Bytes(outside, "on the wire", "IPv4")) in str(answer)
    assert str(do([kind, word])) == str(answer) and str(do([kind])) == str(tunnelling.through(kind))


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
        assert int(adds) == tunnels.overhead(kind) == len(wrapped) - 1000
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
            assert int(longest) + (60 if kind == "wireguard" else tunnels.overhead(kind)) == mtu


@given(st.integers(28, 4000), st.integers(68, 1500))
def test_pieces_hold_all_of_it(size: int, mtu: int) -> None:
    told = said("fragment", str(size), str(mtu))
    if size <= mtu:
        assert told == f"A packet of {size} bytes fits into {mtu} as it is: nobody cuts it."
        return
    [sums] = re.findall(r"(\d+) pieces, (\d+) bytes in all, (\d+) more", told)
    count, total, more = map(int, sums)
    assert count > 1 and total == size + more == size + 20 * (count - 1)
    rows = re.findall(r"piece \d+: (\d+) bytes, from byte (\d+) of", told)
    pieces = [(int(length), int(at)) for length, at in rows]
    assert all(20 < length <= mtu and at % 8 == 0 for length, at in pieces) and pieces[0][1] == 0
    if count <= 20:
        assert len(pieces) == count and sum(length for length, _ in pieces) == total
        assert [at for _, at in pieces[1:]] == [at + length - 20 for length, at in pieces[:-1]]
    assert told.count("more follow") == len(pieces) - 1 and "the last" in told
    assert 'says "do not fragment"' in told


def test_very_many_pieces_are_not_all_told() -> None:
    lines = said("fragment", "65535", "28").splitlines()
    assert lines[19] == "… and 8170 between" and lines[20].startswith("piece 8190: ")
    assert len(lines) == 23


def test_help_names_all_commands_and_kinds() -> None:
    told = said()
    assert told == said("help") == f"{tunnelling.HELP}\nKINDs: {', '.join(TUNNEL_KINDS)}"
    for line in tunnelling.HELP.splitlines()[1:]:  # and what it says is so
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


@pytest.mark.parametrize("word", ["\0" * 20, "\ud800", "\x1b[31m", "a\nb", "\u2028"])
def test_odd_letters_are_sent_and_told_on_one_line(word: str) -> None:
    last = said("gre", word).splitlines()[-1]
    assert last.startswith("An eavesdropper") and last.endswith("finds it once.")
    assert last.isprintable()


# -- boxes --------------------------------------------------------------------------------------

EVIL = 'a <b> & "c" \' </svg>'


@pytest.mark.parametrize("kind", ["none", "gre", "vxlan"])
def test_boxes_say_the_same_as_text_and_html(kind: str) -> None:
    inside = packet("x")
    outside = Tunnel(kind).wrap(inside)
    picture = tunnelling.Boxes(outside, inside, EVIL)
    page = Page(picture.html())
    assert dict(page.attributes)["aria-label"] == str(picture) and EVIL in page.text
    headers = [f"{header.name} {header.size}" for header in picture.wire]
    assert str(picture).splitlines()[-1].split(": ")[1] == " | ".join(headers)
    assert "".join(headers) in page.text.replace("\n", "")
    hidden = f"{len(outside)} bytes on the wire for {len(inside)} inside; nothing in it is hidden."
    assert hidden in page.text


def test_a_sealed_box_shows_what_is_in_it_for_who_has_the_key() -> None:
    inside = packet("x")
    picture = tunnelling.Boxes(ipv4(1, 2, 50, b"\0\0\x10\1" + bytes(60)), inside, "")
    page = Page(picture.html())
    assert "IPv4 20ESP 16encrypted 48IPv4 20TCP 20data 1" in page.text.replace("\n", "")
    assert "hatched: only who has the key sees what is in it" in page.text
    assert str(picture).splitlines()[-1] == (
        "in it           41 bytes: IPv4 20 | TCP 20 | data 1, then padding and a tag"
    )


# -- the panel ----------------------------------------------------------------------------------


def view(panel: w.Widget) -> str:
    return str(the(w.HTML, panel)[0].value)


@pytest.mark.parametrize("kind", TUNNEL_KINDS)
def test_a_tunnel_chosen_is_on_the_wire_at_once(kind: str) -> None:
    panel = beside("03", "magics").TunnelPanel()
    (pick,), (typed,) = the(w.Dropdown, panel), the(w.Text, panel)
    assert [*pick.options] == [*TUNNEL_KINDS] and (pick.value, typed.value) == ("none", SECRET)
    pick.value = kind
    for word in (SECRET, "<b>&", "ñ 層"):
        typed.value = word
        often = "not once" if kind in SEALED else "once"
        size = len(Tunnel(kind).wrap(packet(word)))
        assert f'searches the {size} bytes for "{word}" finds it {often}.' in text(view(panel))


@pytest.mark.parametrize(
    "word, told", [("", "Send one letter at least"), ("x" * 1401, "Send up to 1,400 bytes")]
)
def test_a_mistake_in_a_panel_is_one_line_and_can_be_mended(word: str, told: str) -> None:
    panel = beside("03", "magics").TunnelPanel()
    (field,), before = the(w.Text, panel), view(panel)
    field.value = word
    assert told in text(view(panel)) and "<br>" not in view(panel) and len(text(view(panel))) < 250
    field.value = SECRET
    assert view(panel) == before


@pytest.mark.parametrize("word", ["\0", "\ud800", "\x1b[31m", " ", "🦊" * 300, "</div>", "`x`"])
def test_whatever_is_typed_a_panel_goes_on(word: str) -> None:
    panel = beside("03", "magics").TunnelPanel()
    the(w.Text, panel)[0].value = word
    for kind in TUNNEL_KINDS:
        the(w.Dropdown, panel)[0].value = kind
        assert "An eavesdropper" in view(panel)


def test_the_panel_can_be_read_without_widgets_and_without_a_mouse() -> None:
    panel = beside("03", "magics").TunnelPanel()
    assert panel._repr_mimebundle_()["text/plain"] == (
        f"Tunnels (needs JupyterLab): {', '.join(TUNNEL_KINDS)}"
    )
    assert all(control.description for kind in (w.Dropdown, w.Text) for control in the(kind, panel))


# -- in a notebook ------------------------------------------------------------------------------


def test_lessons_03_and_02_have_the_magics(replay: Notebook) -> None:
    for lesson in ("03", "02"):
        replay.run(f"%load_ext labkit\n%lesson {lesson}")
        assert replay.run("%tunnel gre").startswith("model · ")
        assert "Tunnels (needs JupyterLab)" in replay.run("%tunnel_panel")
        for line, told in [("ipsec", "`%tunnel ipsec` is not known"), ("'x", "A quote is opened")]:
            assert replay.run(f"%tunnel {line}").startswith(f"? {told}")


# -- what the lessons show ----------------------------------------------------------------------


def shown(notebook: str, before: str) -> bytes:
    """The bytes in the text that stands right before a cell."""
    cells = nbformat.read(LESSONS.with_name("en") / notebook, as_version=4).cells
    at = next(at for at, cell in enumerate(cells) if cell.source == before)
    (found,) = re.findall(r"```\n(.*?)```", cells[at - 1].source, re.S)
    return bytes.fromhex(re.sub(r"0x....:", "", found))


def test_the_packet_that_was_caught_is_the_one_of_the_task() -> None:
    found = shown("03-vpns-and-tunnels.ipynb", "%task which-tunnel")
    assert found == beside("03", "tasks").CAUGHT and names(found, "IPv4")[:2] == ["IPv4", "ESP"]


def test_the_frame_that_was_printed_carries_the_tag_of_the_task() -> None:
    found, tag = shown("02-vlans.ipynb", "%task read-tag"), beside("02", "tasks").TAG
    assert found[12:16] == b"\x81\0" + tag.to_bytes(2, "big")
    assert dissect(found)[1].of("VLAN") == tag & 0xFFF and "ARP" in names(found)
