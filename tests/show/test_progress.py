"""A command's output while it runs: one display, which ends as the final one."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Notebook
from hypothesis import given
from hypothesis import strategies as st
from samples.pages import Page

from labkit.show import output as show
from labkit.show.progress import TAIL, Bar, Live, progress

FINAL = show.output("live · Docker 28.2.2", "done")


def read(text: str) -> list[Bar]:
    """A bar for each line, such as "layer 65 Downloading"."""
    words = [line.split(" ", 2) for line in text.splitlines() if line.count(" ") >= 2]
    return [Bar(name, int(percent), doing) for name, percent, doing in words if percent.isdecimal()]


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


def test_a_bar_has_a_name_for_screen_readers() -> None:
    page = Page(progress("a 65 Downloading\nb 100 <b>", read))
    assert page.tags == ["div", "code", "progress"] * 2
    assert ("aria-label", "a") in page.attributes and ("value", "65") in page.attributes
    assert page.text.split() == ["a", "Downloading", "b", "<b>"]


@given(st.text())
def test_words_without_bars_are_shown_and_do_no_harm(text: str) -> None:
    assert progress(text, lambda _: []) == show.pre(show.without_colours(text))


def test_progress_off_is_one_display(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_PROGRESS", "off")
    live = Live(read)
    assert live.hear is None
    live.end(FINAL)
    assert screen.shown == [("display", FINAL)]


def test_progress_on_is_one_display_that_ends_as_the_final_one(screen: Screen) -> None:
    live = Live(read)
    assert live.hear
    for line in ("pulling\n", "a 5 Waiting\n", "b 100 Complete\n"):
        live.hear(line)
    live.end(FINAL)
    kinds, bundles = zip(*screen.shown, strict=True)
    assert kinds == ("display", "update", "update", "update")
    assert [bundle["text/html"].count("<progress") for bundle in bundles] == [0, 1, 2, 0]
    assert bundles[2]["text/plain"] == "pulling\na 5 Waiting\nb 100 Complete\n"
    assert bundles[3] == FINAL


def test_a_command_that_says_nothing_is_one_display(screen: Screen) -> None:
    Live(read).end(FINAL)
    assert screen.shown == [("display", FINAL)]


def test_a_flood_of_output_does_not_slow_itself_down(screen: Screen) -> None:
    live = Live(read)
    assert live.hear
    for _ in range(100):
        live.hear("x" * 9_999 + "\n")
    assert max(len(bundle["text/html"]) for _, bundle in screen.shown) < 2 * TAIL


def test_put_is_one_display_of_both_forms(replay: Notebook) -> None:
    replay.shell.user_ns.update(show=show, FINAL=FINAL)
    replay.run("show.put(FINAL)")
    assert replay.outputs == [FINAL]
