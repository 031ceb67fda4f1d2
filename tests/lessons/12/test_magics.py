"""Before and after: a command is run, both pictures are shown, and it is undone."""

from __future__ import annotations

from pathlib import Path

import ipywidgets as w
import pytest
from samples.docker_lesson import Described, recorder, replayed, world
from samples.lessons import beside
from samples.pages import keyboard_only, named, text, the

from labkit.commands import Result
from labkit.lesson import Lesson

panels = beside("12", "magics")
ONE = Described("one", {"aa": ["f 10 etc/motd"], "bb": ["f 20 etc/motd"]})
TWO = Described("two", {"aa": ["f 10 etc/motd"], "cc": ["f 3 third.txt"]})
LINE = "docker commit web two"


@pytest.fixture
def ready(tmp_path: Path) -> Lesson:
    """A lesson in which a commit makes the second image."""
    tape = recorder(ONE, TWO)
    tape.read("world", lambda: world([ONE]))
    tape.branch(LINE)
    tape.read("world", lambda: world([ONE]))
    key = LINE.split()
    made = Result(tuple(key), 0, (("out", "sha256:two\n"),))
    tape.record(key, None, made, True)
    tape.read("world", lambda: world([ONE, TWO]))
    return replayed(tmp_path, tape)


def test_run_shows_both_pictures_and_undo_goes_back(ready: Lesson) -> None:
    state = ready.tape.state
    panel = panels.BeforeAfter(ready, LINE)
    keyboard_only(panel)
    view, run, undo = the(w.HTML, panel)[0], named(panel, "Run"), named(panel, "Undo")
    assert undo.disabled and not run.disabled and view.value == ""
    run.click()
    before, _, after = view.value.partition("After")
    assert before.count("<svg") == after.count("<svg") == 1 and "Before" in before
    assert "two:latest" in after and "two:latest" not in before
    assert run.disabled and not undo.disabled and ready.tape.state != state
    undo.click()
    assert "Undone" in view.value and ready.tape.state == state
    assert undo.disabled and not run.disabled
    run.click()
    assert view.value.count("<svg") == 2


@pytest.mark.parametrize(
    "typed,said",
    [
        ("docker 'x", "A quote is opened"),
        ("ls -la", "Name the command to try"),
        ("", "Name the command to try"),
        ("docker ps | head", "belongs to a shell"),
        ("docker run nosuch", "was not recorded"),
    ],
)
def test_a_command_that_cannot_be_run_is_said_in_the_panel(
    ready: Lesson, typed: str, said: str
) -> None:
    panel = panels.BeforeAfter(ready, LINE)
    the(w.Text, panel)[0].value = typed
    named(panel, "Run").click()
    assert said in text(the(w.HTML, panel)[0].value)
    the(w.Text, panel)[0].value = LINE  # and then it can be corrected
    named(panel, "Run").click()
    assert the(w.HTML, panel)[0].value.count("<svg") == 2
