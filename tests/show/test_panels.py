"""What every panel does: it reads as text, and a mistake behind a button is one line."""

from __future__ import annotations

import ipywidgets as w
import pytest
from samples.pages import Page, keyboard_only, named, the

from labkit.errors import LabError
from labkit.show.panels import Choice, Panel, teaching


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


# -- a question with one choice -----------------------------------------------------------------

CHOICES = {"A": "This & that.", "B": "Nothing."}


def asks(committed: dict[str, str]) -> Choice:
    return Choice("guess", "What <happens>?", CHOICES, committed)


def test_a_choice_is_asked_for_and_then_fixed() -> None:
    committed: dict[str, str] = {}
    asked = asks(committed)
    choices, button = the(w.RadioButtons, asked), named(asked, "Commit")
    labels = [label for choice in choices for label, _ in choice.options]
    assert labels == ["A) This & that.", "B) Nothing."]
    assert [choice.value for choice in choices] == [None, None]
    button.click()
    assert "Choose one first" in asked.status.value and not committed and not button.disabled
    choices[0].value = "A"
    choices[1].value = "B"  # one choice takes the place of the other
    assert [choice.value for choice in choices] == [None, "B"]
    assert not committed  # a choice is not yet a commitment
    button.click()
    assert committed == {"guess": "B"} and "Committed to B)" in asked.status.value
    assert button.disabled and all(choice.disabled for choice in choices)


def test_a_choice_that_was_committed_stays() -> None:
    asked = asks({"guess": "A"})
    assert "Committed to A)" in asked.status.value and named(asked, "Commit").disabled
    choices = the(w.RadioButtons, asked)
    assert [(choice.value, choice.disabled) for choice in choices] == [("A", True), (None, True)]


def test_it_can_be_read_and_made_without_widgets() -> None:
    assert asks({})._repr_mimebundle_()["text/plain"].splitlines() == [
        "? What <happens>?",
        "A) This & that.",
        "B) Nothing.",
        "Commit with %predict guess LETTER",
    ]
    assert "What &lt;happens&gt;?" in the(w.HTML, asks({}))[0].value
    keyboard_only(asks({}))
