"""Outputs: what is read and what is seen are the same.

Nothing that an engine prints can act as a page or a terminal.
"""

from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples.pages import Page

from labkit.show import output as show
from labkit.show.look import SIGNS
from labkit.show.progress import progress

HOSTILE = '<script>alert(1)</script><img src=x onerror="x">&amp;<a href=javascript:x>'
TAGS = {"div", "span", "pre", "code", "strong", "br"}
BADGES = ["live · Docker 28.2.2", "replay · recorded 2026-11-23 on Docker 20.10.24"]


def harmless(html: str) -> Page:
    page = Page(html)
    assert set(page.tags) <= TAGS
    assert {name for name, _ in page.attributes} <= {"style", "aria-hidden"}
    assert not any("url(" in (value or "") for _, value in page.attributes)
    return page


def test_what_folds_folds_between_words() -> None:
    """JupyterLab's own rule for <pre> breaks anywhere."""
    assert "white-space:pre-wrap;word-break:normal" in show.pre("long lines", fold=True)


@pytest.mark.parametrize("badge", BADGES)
@pytest.mark.parametrize("text", ["", "one\ntwo\n", HOSTILE, "  indented\n\n  twice", "ñ 層 \\xff"])
@pytest.mark.parametrize("note", ["", "exit code 1. Run `docker ps` <b>"])
def test_an_output_reads_and_looks_the_same(badge: str, text: str, note: str) -> None:
    bundle = show.output(badge, text, note)
    text = text.rstrip("\n")
    assert bundle["text/plain"] == "\n".join(filter(None, (badge, text, note)))
    page = harmless(bundle["text/html"])
    for part in (badge, text, note.replace("`", "")):
        assert part in page.text
    assert ("pre" in page.tags) == bool(text)


@pytest.mark.parametrize(
    "badge, word, sign",
    [
        (BADGES[0], "live", "●"),
        (BADGES[1], "replay", "↻"),
        ("model · real frames", "model", "◇"),
        ("en vivo · Docker 28.2.2", "live", "●"),
    ],
)
def test_the_badge_has_a_sign_that_a_screen_reader_skips_and_a_word_that_it_reads(
    badge: str, word: str, sign: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if badge.startswith("en"):
        spanish = {"live": "en vivo", "replay": "repetición", "model": "modelo"}
        monkeypatch.setattr(show, "_", lambda key: spanish.get(key, key))
    span = (
        f'<span aria-hidden="true" style="color:{SIGNS[word].colour}">{sign}</span> {badge}</div>'
    )
    assert show.badge_html(badge).endswith(span)


def test_kinds_differ_by_sign_not_only_by_colour() -> None:
    verdicts = ["pass", "fail", "unknown", "note"]
    assert len({SIGNS[kind].sign for kind in verdicts}) == 4
    assert {kind: SIGNS[kind].colour for kind in ("pass", "fail", "unknown")} == {
        "pass": "#009E73",
        "fail": "#D55E00",
        "unknown": "#CC79A7",
    }


@given(st.text())
def test_a_message_reads_and_looks_the_same(text: str) -> None:
    for kind in SIGNS:
        bundle = show.message(kind, text, "live · x")
        assert bundle["text/plain"] == f"live · x\n{SIGNS[kind].sign} {text}"
        page = harmless(bundle["text/html"])
        looks = unescape(re.sub("<[^>]*>", "", bundle["text/html"].replace("<br>", "\n")))
        assert looks.replace("`", "").endswith(" " + text.replace("`", "")) or re.search(
            r"[\r\0]|&#?\w", text
        )
        assert page.tags.count("br") == text.count("\n")


def test_backquotes_mark_commands() -> None:
    html = show.message("note", "`docker ps` and `<x>`")["text/html"]
    assert "<code>docker ps</code> and <code>&lt;x&gt;</code>" in html


@pytest.mark.parametrize(
    "text, plain",
    {
        "\x1b[1;31mred\x1b[0m": "red",
        "\x1b[2K\x1b[1Gline": "line",
        "\x1b[?25lhid\x1b[?25hden": "hidden",
        "\x1b]0;a title\x07text": "text",
        "\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\": "link",
        "\x1b(Btext\x1b)0": "text",
        "\x1b7save\x1b8": "save",
        "\x1b[38;2;1;2;3mrgb\x1b[m": "rgb",
        "\x1b[4:3mcurly": "curly",
        "\x1bcreset": "reset",
        "no [31m escape": "no [31m escape",
    }.items(),
)
def test_terminal_codes_are_left_out(text: str, plain: str) -> None:
    bundle = show.output(BADGES[0], text)
    assert bundle["text/plain"].split("\n")[1] == plain
    for html in (bundle["text/html"], progress(text, lambda _: [])):
        assert plain in Page(html).text and "\x1b" not in html
