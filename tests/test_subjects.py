"""Adding an engine is adding a folder: a toy subject plugs into every place, live and replayed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Notebook

from labkit import cli, rehearse
from labkit.engine import SUBJECTS, engines, parts, spelled
from labkit.lesson import Lesson
from labkit.rehearse import Rehearsal

TASKS = """
from labkit.material import NotYet, Prediction, Task, Try
from shelf.reads import text

NEEDS = {"shelf": ["shelf"]}


def check(lesson, answer):
    found = text(lesson, "vase")
    if not found:
        raise NotYet("There is no vase on the shelf.")
    if found != "blue":
        raise NotYet(f"The vase is {found}.")
    return "A blue vase."


TASKS = [
    Task(
        "vase",
        check,
        Try(["shelf put vase blue"]),
        [Try(["shelf put vase red"], hint="red"), Try(["shelf put jug blue"], hint="no vase")],
        ["Put one there."],
    )
]
"""
CELLS = [
    "%load_ext labkit",
    "%lesson 88",
    "%shelf put book old",
    "%dust",
    "%task vase",
    "%check vase",
]


def notebook(course: Path, cells: list[str]) -> Path:
    """A notebook of these cells in a course of its own."""
    path = course / "notebooks" / "en" / "88-shelf.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    sources = [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": f"cell-{number}",
            "metadata": {},
            "outputs": [],
            "source": source,
        }
        for number, source in enumerate(cells)
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    about = {"cells": sources, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(about))
    return path


@pytest.fixture
def course(shelf: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course of one lesson, on the toy engine."""
    folder = tmp_path / "course" / "notebooks" / "lessons" / "88"
    folder.mkdir(parents=True)
    (folder / "tasks.py").write_text(TASKS)
    monkeypatch.chdir(notebook(tmp_path / "course", CELLS).parent)
    return tmp_path / "course"


@pytest.fixture
def recorded(course: Path) -> Rehearsal:
    """The lesson recorded, in a shell that is gone again."""
    rehearsal = rehearse.record("88")
    rehearsal.tape.recording.save(rehearsal.recording)
    return rehearsal


@pytest.fixture
def cells(replay: Notebook, course: Path, monkeypatch: pytest.MonkeyPatch) -> Notebook:
    """A notebook of that course."""
    monkeypatch.chdir(course / "notebooks" / "en")
    replay.run("%load_ext labkit")
    return replay


def test_it_is_known_with_all_its_parts(shelf: Any) -> None:
    assert engines()["shelf"] is shelf
    assert (
        parts("magics")["shelf"] and parts("commands")["shelf"] and "shelf" not in parts("panels")
    )
    assert spelled("SHELF", shelf.programs) == "shelf"


def test_the_subjects_of_the_course_have_the_parts_that_are_looked_for() -> None:
    assert set(engines()) < set(SUBJECTS)
    for kind in engines().values():
        assert all(name == name.strip() for name in kind.programs)
        assert kind.modelled or kind.programs


def test_live_recorded_and_replayed(recorded: Rehearsal, cells: Notebook, shelf: Any) -> None:
    assert recorded.engines["shelf"].world() == {"things": {}}
    live = [cells.run(cell) for cell in ("%lesson 88 live", *CELLS[2:])]
    assert (
        "live · Shelf 1.0.0" in live[0] and "['book']" in live[1] and "1 things dusted" in live[2]
    )
    assert "There is no vase" in live[4]
    cells.run("%shelf put vase blue")
    assert "A blue vase." in cells.run("%check vase")
    shelf.away = True
    again = [cells.run(cell) for cell in ("%lesson 88", *CELLS[2:])]
    assert "replay · recorded" in again[0]
    said = [[text.splitlines()[1:] for text in texts[1:]] for texts in (live, again)]
    assert said[0] == said[1]
    cells.run("%shelf put vase red")
    assert "The vase is red." in cells.run("%check vase")
    cells.run("%shelf put vase blue")
    assert "A blue vase." in cells.run("%check vase")
    assert "outside the shelf" in cells.run("%shelf put ../x y")


def test_its_words_of_advice_and_its_doctors_line(cells: Notebook) -> None:
    cells.run("%lesson 88 live")
    assert cells.run("%shelf drop cup").endswith("exit code 1. `shelf list` shows what there is.")
    assert "✔ the shelf hangs" in cells.run("%doctor")


def test_its_subcommand_and_its_part_in_ours(
    course: Path,
    shelf: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(SUBJECTS, "docker")  # which may be installed here, and not running
    Lesson("88", "live").command(["shelf", "put", "cup", "white"])
    assert cli.main(["dust"]) == 0 and "dusted" in capsys.readouterr().out
    assert cli.main(["prefetch", "88"]) == 0 and "a board for 88" in capsys.readouterr().out
    shelf.stuck.add("cup")
    assert cli.main(["reset", "88"]) == 1 and "cup stays: stuck" in capsys.readouterr().err
    shelf.stuck.clear()
    assert cli.main(["reset", "88"]) == 0 and shelf("88").names() == []


PLAIN = """
from labkit.material import NotYet, Task, Try

NEEDS = ()


def check(lesson, answer):
    if answer != "42":
        raise NotYet(f"Not {answer}.")
    return "Yes."


TASKS = [Task("sum", check, Try(answer="42"), [Try(answer="41", hint="41")])]
"""


@pytest.mark.parametrize("mode", ["", "live", "replay"])
def test_a_lesson_without_an_engine_opens_and_needs_no_recording(
    course: Path, cells: Notebook, mode: str
) -> None:
    (course / "notebooks" / "lessons" / "88" / "tasks.py").write_text(PLAIN)
    assert "Lesson 88 begins." in cells.run(f"%lesson 88 {mode}")
    cells.run("%task sum")
    assert "Not 41." in cells.run("%check sum 41")
    assert "Yes." in cells.run("%check sum 42")
    assert "works without shelf; its commands are: none" in cells.run("%shelf list")


BESIDE = """
from IPython.core.magic import line_magic, magics_class

from labkit.magics import LessonMagics, shown

from .counting import twice


@magics_class
class MAGICS(LessonMagics):
    @line_magic
    @shown()
    def double(self, line):
        self.say("note", f"{self.now().name}: {twice(line)}")
"""


def test_a_lesson_brings_magics_of_its_own_and_code_beside_them(
    course: Path, cells: Notebook
) -> None:
    folder = course / "notebooks" / "lessons" / "88"
    (folder / "tasks.py").write_text(PLAIN)
    (folder / "magics.py").write_text(BESIDE)
    (folder / "counting.py").write_text("def twice(text):\n    return text * 2\n")
    cells.run("%lesson 88")
    assert "88: abab" in cells.run("%double ab")
