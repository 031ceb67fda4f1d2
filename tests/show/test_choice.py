"""A question with choices, without a browser: choose, commit, and it stays."""

from __future__ import annotations

import ipywidgets as w
from samples.pages import keyboard_only, named, the

from labkit.show.choice import Choice

CHOICES = {"A": "This & that.", "B": "Nothing."}


def panel(committed: dict[str, str]) -> Choice:
    return Choice("guess", "What <happens>?", CHOICES, committed)


def test_a_choice_is_asked_for_and_then_fixed() -> None:
    committed: dict[str, str] = {}
    asked = panel(committed)
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
    asked = panel({"guess": "A"})
    assert "Committed to A)" in asked.status.value and named(asked, "Commit").disabled
    choices = the(w.RadioButtons, asked)
    assert [(choice.value, choice.disabled) for choice in choices] == [("A", True), (None, True)]


def test_it_can_be_read_and_made_without_widgets() -> None:
    assert panel({})._repr_mimebundle_()["text/plain"].splitlines() == [
        "? What <happens>?",
        "A) This & that.",
        "B) Nothing.",
        "Commit with %predict guess LETTER",
    ]
    assert "What &lt;happens&gt;?" in the(w.HTML, panel({}))[0].value
    keyboard_only(panel({}))
