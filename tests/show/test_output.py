"""Outputs: what is read and what is seen are the same, and nothing an engine prints can act as a page or a terminal."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from conftest import Notebook
from hypothesis import given
from hypothesis import strategies as st
from samples.pages import Page

from labkit.docker.progress import bars
from labkit.show import output as show
from labkit.show.look import SIGNS
from labkit.show.progress import Live, progress

HOSTILE = '<script>alert(1)</script><img src=x onerror="x">&amp;<a href=javascript:x>'
ALLOWED = {"div", "span", "pre", "code", "strong", "br", "progress"}


def harmless(html: str) -> Page:
    page = Page(html)
    assert set(page.tags) <= ALLOWED
    assert {name for name, _ in page.attributes} <= {
        "style",
        "aria-hidden",
        "aria-label",
        "max",
        "value",
    }
    assert not any("url(" in (value or "") for _, value in page.attributes)
    return page


BADGES = ["live · Docker 28.2.2", "replay · recorded 2026-11-23 on Docker 20.10.24"]


def test_what_folds_folds_between_words() -> None:
    """JupyterLab's own rule for <pre> breaks anywhere."""
    assert "white-space:pre-wrap;word-break:normal" in show.pre("long lines", fold=True)


@pytest.mark.parametrize("badge", BADGES)
@pytest.mark.parametrize("text", ["", "one\ntwo\n", HOSTILE, "  indented\n\n  twice", "ñ 層 \\xff"])
@pytest.mark.parametrize("note", ["", "exit code 1. Run `docker ps` <b>"])
def test_an_output_reads_and_looks_the_same(badge: str, text: str, note: str) -> None:
    bundle = show.output(badge, text, note)
    assert bundle["text/plain"] == "\n".join(
        part for part in (badge, text.rstrip("\n"), note) if part
    )
    page = harmless(bundle["text/html"])
    for part in (badge, text.rstrip("\n"), note.replace("`", "")):
        assert part in page.text
    assert ("pre" in page.tags) == bool(text)


def test_the_badge_has_a_sign_that_a_screen_reader_skips_and_a_word_that_it_reads() -> None:
    signs = {kind: SIGNS[kind].sign for kind in ("live", "replay")}
    assert signs == {"live": "●", "replay": "↻"}
    for badge in BADGES:
        kind = badge.split()[0]
        span = f'<span aria-hidden="true" style="color:{SIGNS[kind].colour}">{signs[kind]}'
        assert span in show.badge_html(badge)


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


ANSI = {
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
}


@pytest.mark.parametrize("text,plain", ANSI.items())
def test_terminal_codes_are_left_out(text: str, plain: str) -> None:
    bundle = show.output(BADGES[0], text)
    assert bundle["text/plain"].split("\n")[1] == plain
    assert plain in Page(bundle["text/html"]).text and "\x1b" not in bundle["text/html"]
    assert plain in Page(progress(text, bars)).text and "\x1b" not in progress(text, bars)


# -- progress -----------------------------------------------------------------------------------

PULL = """latest: Pulling from library/httpd
5b5fe70539cd: Already exists
b0cbc0a42c53: Pulling fs layer
4f4fb700ef54: Pulling fs layer
f21dd8e6e5a2: Pulling fs layer
f21dd8e6e5a2: Waiting
4f4fb700ef54: Verifying Checksum
4f4fb700ef54: Download complete
b0cbc0a42c53: Download complete
b0cbc0a42c53: Pull complete
f21dd8e6e5a2: Retrying in 5 seconds
"""


# -- displays -----------------------------------------------------------------------------------


class Screen:
    """Stands for the notebook: what was displayed, and each update of it."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, Any]] = []

    def put(self, bundle: dict[str, str], display_id: bool | None = None) -> Screen | None:
        self.shown.append(("display", bundle))
        return self if display_id else None

    def update(self, bundle: dict[str, str], raw: bool) -> None:
        assert raw
        self.shown.append(("update", bundle))


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    screen = Screen()
    monkeypatch.setattr("labkit.show.progress.put", screen.put)
    return screen


FINAL = show.output(BADGES[0], "done")


def test_progress_off_is_one_display(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_PROGRESS", "off")
    live = Live(bars)
    assert live.hear is None
    live.end(FINAL)
    assert screen.shown == [("display", FINAL)]


def test_progress_on_is_one_display_that_ends_as_the_final_one(screen: Screen) -> None:
    live = Live(bars)
    assert live.hear
    for line in PULL.splitlines(keepends=True):
        live.hear(line)
    live.end(FINAL)
    assert [kind for kind, _ in screen.shown] == ["display", *["update"] * 11]
    assert screen.shown[-1][1] == FINAL
    assert screen.shown[1][1]["text/html"].count("<progress") == 1
    assert (
        screen.shown[-2][1]["text/plain"] == PULL
        and screen.shown[-2][1]["text/html"].count("<progress") == 4
    )


def test_a_command_that_says_nothing_is_one_display(screen: Screen) -> None:
    Live(bars).end(FINAL)
    assert screen.shown == [("display", FINAL)]


def test_a_flood_of_output_does_not_slow_itself_down(screen: Screen) -> None:
    live = Live(bars)
    assert live.hear
    for _ in range(100):
        live.hear("x" * 9_999 + "\n")
    assert max(len(bundle["text/html"]) for _, bundle in screen.shown) < 100_000


def test_put_is_one_display_of_both_forms(replay: Notebook) -> None:
    replay.shell.user_ns.update(show=show, FINAL=FINAL)
    replay.run("show.put(FINAL)")
    assert replay.outputs == [FINAL]
