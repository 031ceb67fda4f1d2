"""A rehearsal proves the tasks it records, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from samples.shelf_lesson import MINE, check_mine, things

from labkit import tasks
from labkit.engine import Session
from labkit.lesson import Lesson
from labkit.material import Task, Try
from labkit.rehearse import Rehearsal, Unproven


def task(
    check: Callable[[Session, str], str] = check_mine, solution: Try = MINE.solution, *wrong: Try
) -> Task:
    return Task("mine", check, solution, wrong)


@pytest.mark.parametrize(
    "unproven",
    [
        task(lambda lesson, answer: "always fine"),  # no answer at all passes
        task(check_mine, Try(["shelf put mine wrong"])),  # the solution does not
        task(
            check_mine, MINE.solution, Try(["shelf put mine right"], hint="x")
        ),  # a wrong answer does
        task(
            check_mine,
            MINE.solution,
            Try(["shelf put mine wrong"], hint="nothing called"),
        ),  # not its hint
        task(
            check_mine, MINE.solution, Try(["shelf drop student"], hint="nothing called")
        ),  # it harms
    ],
)
def test_a_task_that_proves_nothing_is_not_recorded(
    toy: Any, toy_folder: Path, unproven: Task
) -> None:
    lesson = Rehearsal("77", folder=toy_folder)
    with pytest.raises(Unproven, match="Task mine"):
        tasks.begin(lesson, unproven)


def test_a_task_that_leaves_something_behind_is_not_recorded(toy: Any, toy_folder: Path) -> None:
    toy.stuck.add("mine")
    with pytest.raises(Unproven, match="mine stays"):
        tasks.begin(Rehearsal("77", folder=toy_folder), MINE)


def test_recording_leaves_only_what_was_there(replayed: Lesson, toy: Any) -> None:
    assert sorted(things()) == ["after", "base", "student"]
