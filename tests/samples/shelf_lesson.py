"""A lesson of two tasks on the toy engine: live, recorded, and replayed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from samples.shelf.reads import text

from labkit import tasks
from labkit.engine import Session, home
from labkit.lesson import Lesson
from labkit.material import NotYet, Task, Try
from labkit.rehearse import Rehearsal


def check_mine(lesson: Session, answer: str) -> str:
    mine = text(lesson, "mine")
    if not mine:
        raise NotYet("There is nothing called `mine`.")
    if mine != "right":
        raise NotYet(f"`mine` is {mine}.")
    return "It is there."


def check_number(lesson: Session, answer: str) -> str:
    if answer != "2":
        raise NotYet(f"Not {answer!r}.")
    return f"Yes, {len(lesson.world()['things'])}."


MINE = Task(
    "mine",
    check_mine,
    Try(["shelf put mine right"]),
    [
        Try(["shelf put mine wrong"], hint="is wrong"),
        Try(["shelf put other right"], hint="nothing called"),
    ],
    ["a", "b"],
)
NUMBER = Task(
    "number",
    check_number,
    Try(answer="2"),
    [Try(answer="3", hint="Not '3'"), Try(answer="x", hint="'x'")],
)


@pytest.fixture
def toy_folder(tmp_path: Path) -> Path:
    """A lesson without tasks of its own, on the toy engine."""
    folder = tmp_path / "lessons" / "77"
    folder.mkdir(parents=True)
    (folder / "tasks.py").write_text('NEEDS = {"shelf": ["shelf"]}\nTASKS = []\n')
    return folder


@pytest.fixture
def toy(shelf: Any) -> Any:
    """The toy engine, with something of the student's on it."""
    (shelf("77").folder / "student").write_text("own")
    return shelf


@pytest.fixture
def live(toy: Any, toy_folder: Path) -> Lesson:
    lesson = Lesson("77", "live", toy_folder)
    lesson.command(["shelf", "put", "base", "right"])
    return lesson


@pytest.fixture
def replayed(toy: Any, toy_folder: Path) -> Lesson:
    lesson = Rehearsal("77", folder=toy_folder)
    lesson.command(["shelf", "put", "base", "right"])
    for task in (MINE, NUMBER):
        tasks.begin(lesson, task)
        tasks.finish(lesson, task)  # as Run All does, without an answer
    lesson.command(["shelf", "put", "after", "right"])
    lesson.tape.recording.save(lesson.recording)
    toy.away = True
    again = Lesson("77", "replay", toy_folder)
    again.command(["shelf", "put", "base", "right"])
    return again


def things() -> dict[str, str]:
    """What is on the shelf, whoever put it there."""
    folder = home() / "shelf" / "77"
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}
