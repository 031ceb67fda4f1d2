"""Tasks on a toy engine: live, recorded, and replayed; a check that cannot know is never green."""

from __future__ import annotations

from typing import Any

import pytest
from samples.shelf.reads import text
from samples.shelf_lesson import MINE, NUMBER, things

from labkit import tasks
from labkit.engine import Session
from labkit.lesson import Lesson
from labkit.material import Task, Try
from labkit.tape import Player


def status(lesson: Lesson, task: Task, attempt: Try) -> tuple[str, str]:
    tasks.begin(lesson, task)
    return tuple(tasks.attempt_at(lesson, task, attempt))  # type: ignore[return-value]


@pytest.mark.parametrize("mode", ["live", "replayed"])
def test_each_answer_has_its_verdict(mode: str, request: pytest.FixtureRequest) -> None:
    lesson = request.getfixturevalue(mode)
    for _ in range(2):
        for task in (MINE, NUMBER):
            assert status(lesson, task, Try())[0] == "fail"
            for wrong in task.wrong:
                found, text = status(lesson, task, wrong)
                assert found == "fail" and wrong.hint in text
            assert status(lesson, task, task.solution)[0] == "pass"


def test_when_the_engine_is_away_nobody_can_tell(live: Lesson, toy: Any) -> None:
    tasks.begin(live, MINE)
    live.command(["shelf", "put", "mine", "right"])
    toy.away = True
    found = tasks.finish(live, MINE)
    assert found.status == "unknown" and "does not answer" in found.text
    assert live.passed == set() and live.task
    toy.away = False
    assert tasks.finish(live, MINE).status == "pass"


def test_what_was_not_recorded_cannot_be_told(replayed: Lesson) -> None:
    tasks.begin(replayed, MINE)
    for key in [
        key for key in replayed.tape.recording.reads if key[0] not in ("start", replayed.tape.state)
    ]:
        del replayed.tape.recording.reads[key]
    replayed.command(["shelf", "put", "mine", "right"])
    assert tasks.finish(replayed, MINE).status == "unknown"


@pytest.mark.parametrize("mode", ["live", "replayed"])
def test_a_solved_task_is_left_and_the_lesson_goes_on(
    mode: str, request: pytest.FixtureRequest, toy: Any
) -> None:
    lesson = request.getfixturevalue(mode)
    state = getattr(lesson.tape, "state", None)
    tasks.begin(lesson, MINE)
    lesson.command(["shelf", "put", "mine", "right"])
    assert tasks.finish(lesson, MINE).status == "pass"
    assert (
        lesson.task is None
        and getattr(lesson.tape, "state", None) == state
        and text(lesson, "mine") is None
    )
    if mode == "live":
        assert sorted(things()) == ["base", "student"]
    again = tasks.finish(lesson, MINE)
    assert again.status == "pass" and "Already solved" in again.text and "%task mine" in again.text
    assert (
        "after" in lesson.command(["shelf", "put", "after", "right"]).out and not lesson.tape.remark
    )
    tasks.begin(lesson, MINE)
    assert tasks.finish(lesson, MINE).status == "fail"


def test_an_unsolved_task_keeps_what_the_student_made(live: Lesson, toy: Any) -> None:
    tasks.begin(live, MINE)
    live.command(["shelf", "put", "mine", "wrong"])
    assert tasks.finish(live, MINE).status == "fail" and things()["mine"] == "wrong"
    assert live.task and live.task.name == "mine"
    tasks.begin(live, MINE)  # again: now it goes
    assert "mine" not in things() and things() == {"student": "own", "base": "right"}


def test_checking_another_task_leaves_the_open_one_alone(live: Lesson, toy: Any) -> None:
    tasks.begin(live, MINE)
    live.command(["shelf", "put", "mine", "wrong"])
    assert tasks.finish(live, NUMBER, "2").status == "pass"
    assert things()["mine"] == "wrong" and live.task and live.task.name == "mine"


def test_starting_another_task_leaves_the_open_one(live: Lesson, toy: Any) -> None:
    tasks.begin(live, MINE)
    live.command(["shelf", "put", "mine", "wrong"])
    tasks.begin(live, NUMBER)
    assert "mine" not in things() and live.task and live.task.name == "number"


def test_what_has_to_stay_is_said(live: Lesson, toy: Any) -> None:
    tasks.begin(live, MINE)
    live.command(["shelf", "put", "mine", "wrong"])
    toy.stuck.add("mine")
    assert tasks.begin(live, MINE) == ["mine stays: stuck"]


def test_answers_are_trimmed(live: Lesson) -> None:
    assert tasks.verdict(live, NUMBER, "  2 \n").status == "pass"


def test_a_check_leaves_the_tape_as_it_was(replayed: Lesson) -> None:
    assert isinstance(replayed.tape, Player)

    def broken(lesson: Session, answer: str) -> str:
        assert replayed.tape._strict  # type: ignore[attr-defined]
        raise RuntimeError("a bug in a lesson")

    tasks.verdict(replayed, NUMBER)
    assert not replayed.tape._strict
    with pytest.raises(RuntimeError):
        tasks.verdict(replayed, Task("x", broken, Try(), []))
    assert not replayed.tape._strict
