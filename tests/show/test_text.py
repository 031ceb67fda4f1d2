"""Text from anywhere: clean, measured, cut to fit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.show.text import cells, clean, isolate, shorten


@given(st.text(st.characters(exclude_categories=())), st.integers(1, 60))
def test_shorten_keeps_the_limit(text: str, limit: int) -> None:
    line = clean(text)
    short = shorten(line, limit)
    assert cells(short) <= limit
    assert short == line if cells(line) <= limit else "…" in short


@pytest.mark.parametrize(
    "text, width",
    [("abc", 3), ("漢字", 4), ("e\u0301", 1), ("\u05e9\u05dc", 2), ("🐳", 2), ("", 0)],
)
def test_cells(text: str, width: int) -> None:
    assert cells(text) == width


def test_clean() -> None:
    assert clean(" a\tb\nc \x1b[31m\udcff\u202e\uffff ") == "a b c �[31m���"


@pytest.mark.parametrize(
    "text, isolated", [("ñ", "ñ"), ("\u05e9 a", "\u2068\u05e9 a\u2069"), ("a", "a")]
)
def test_only_right_to_left_text_is_isolated(text: str, isolated: str) -> None:
    assert isolate(text) == isolated
