"""What every panel does: it reads as text, and a mistake behind a button is one line."""

from __future__ import annotations

import ipywidgets as w
import pytest
from samples.pages import Page

from labkit.errors import LabError
from labkit.show.panels import Panel, teaching


def test_a_panel_has_a_text_alternative() -> None:
    bundle = Panel([w.HTML("<b>bold</b>")], "in words")._repr_mimebundle_()
    assert bundle["text/plain"] == "in words"
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_a_mistake_is_shown_below_the_badge_of_its_moment() -> None:
    view, badge = w.HTML("as it was"), ["replay · before"]
    with teaching(view, lambda: badge[0]):
        badge[0] = "replay · after"
        raise LabError("No <image>: pull it.")
    assert Page(view.value).text.split("\n")[-2:] == ["↻ replay · after", "? No <image>: pull it."]


def test_what_goes_well_shows_nothing_and_a_bug_is_no_mistake() -> None:
    view = w.HTML("as it was")
    with teaching(view, "model · x"):
        pass
    with pytest.raises(ZeroDivisionError), teaching(view, "model · x"):
        raise ZeroDivisionError
    assert view.value == "as it was"
