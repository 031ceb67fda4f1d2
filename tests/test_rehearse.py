"""A rehearsal proves the tasks it records, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from samples.shelf_lesson import MINE, check_mine, things

from labkit import tasks
from labkit.commands import Result
from labkit.engine import Command, Session
from labkit.lesson import Lesson
from labkit.material import NotYet, Task, Try
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


def test_what_no_fingerprint_shows_is_made_ready_again(
    toy: Any, toy_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As what `docker exec` does in a container."""
    said: list[str] = []

    def whispered(argv: Sequence[str]) -> Command:
        return Command(tuple(argv), tuple(argv), "none" if "list" in argv else "unseen")

    def whisper(shelf: Any, command: Command, *_: Any) -> Result:
        said.extend(command.argv[2:])
        return Result(command.argv, 0)

    def check(lesson: Session, answer: str) -> str:
        last: str = lesson.read("whispered last", lambda: said[-1])
        if last != "right":
            raise NotYet(f"It was {last}.")
        return "Yes."

    monkeypatch.setattr(toy, "parse", whispered)
    monkeypatch.setattr(toy, "run", whisper)
    wrong = [Try([f"shelf whisper {word}"], hint=word) for word in ("wrong", "left")]
    nothing = Try(answer="never mind", hint="nothing")
    setup, solution = ["shelf whisper nothing"], Try(["shelf whisper right"])
    asked = Task("mine", check, solution, [*wrong, nothing], setup=setup)
    tasks.begin(Rehearsal("77", folder=toy_folder), asked)
