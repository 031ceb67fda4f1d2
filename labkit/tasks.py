"""Tasks in progress: begin one, check it, leave it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from labkit.errors import LabError
from labkit.lesson import Lesson, OpenTask
from labkit.material import NotYet, Task, Try
from labkit.messages import N_, _


class Verdict(NamedTuple):
    """What a check found: solved, not solved, or unable to tell (the engine is away)."""

    status: Literal["pass", "fail", "unknown"]
    text: str


def enter(lesson: Lesson, name: str, commands: Iterable[str]) -> list[str]:
    """Leave the open task and mark where this one begins; what had to stay of the other is said.

    What the ``commands`` name is the task's own, for a student may go on with the lesson meanwhile.
    """
    notes = leave(lesson)
    lesson.tape.branch(name)
    lesson.explored()
    marks = {subject: each.mark() for subject, each in lesson.engines.items()}
    names = {word for command in commands for word in lesson.words(command)}
    lesson.task = OpenTask(name, marks, None if lesson.rehearsed else names)
    return notes


def begin(lesson: Lesson, task: Task) -> list[str]:
    """Start a task (again): what an earlier try of it made goes away; what had to stay is said.

    Raises :class:`LabError` with the engine's words if it cannot be set up.
    """
    notes = enter(lesson, task.name, task.commands)
    lesson.passed.discard(task.name)

    def set_up() -> None:
        failed = N_("The task could not be set up; `{command}` says: {words}")
        run_or_raise(lesson, task.setup, failed)
        lesson.tape.task_begins()

    lesson.made_ready(task, set_up)
    return notes


def run_or_raise(
    lesson: Lesson, lines: Iterable[str], failed: str = N_("`{command}` says: {words}")
) -> None:
    """Run commands as typed. Raises :class:`LabError` with the engine's words when one fails."""
    for line in lines:
        result = lesson.command(lesson.words(line))
        if result.code:
            raise LabError(failed, command=line, words=" ".join(result.text.split())[:200])


def attempt_at(lesson: Lesson, task: Task, attempt: Try) -> Verdict:
    """Give one answer as a student would, whether its commands fail or not, and check it."""
    for line in attempt.commands:
        lesson.command(lesson.words(line))
    return verdict(lesson, task, attempt.answer)


def leave(lesson: Lesson) -> list[str]:
    """Leave the open task: remove what it made, so that the lesson goes on from where it was."""
    notes: list[str] = []
    if lesson.task:
        for subject, mark in lesson.task.marks.items():
            notes += lesson.engines[subject].clean(mark, lesson.task.names)
    lesson.tape.merge_back()
    lesson.task = None
    return notes


def verdict(lesson: Lesson, task: Task, answer: str = "") -> Verdict:
    """Check a task. Never green when the state cannot be read."""
    try:
        with lesson.tape.checking():
            return Verdict("pass", task.check(lesson, answer.strip()))
    except NotYet as hint:
        return Verdict("fail", str(hint))
    except LabError as error:
        return Verdict("unknown", _("Cannot tell: {reason}", reason=error))


def finish(lesson: Lesson, task: Task, answer: str = "") -> Verdict:
    """What ``%check`` does: the verdict, and on success the end of the task."""
    if task.name in lesson.passed:
        return Verdict("pass", _("Already solved; `%task {task}` starts it again.", task=task.name))
    found = verdict(lesson, task, answer)
    if found.status == "pass":
        lesson.passed.add(task.name)
    over = found.status == "pass" or lesson.rehearsed
    if over and lesson.task and lesson.task.name == task.name:
        found = found._replace(text="\n".join([found.text, *leave(lesson)]))
    return found


def aside(
    lesson: Lesson,
    name: str,
    setup: Sequence[str],
    trials: Sequence[Callable[[], object]],
    more: Sequence[str] = (),
) -> Callable[[], None]:
    """What starts a panel on things of its own, beside the lesson, which goes on unharmed.

    ``setup`` makes them; ``more`` are commands with which the student may make others; ``trials``
    are what a rehearsal tries.
    """

    def start() -> None:
        enter(lesson, name, [*setup, *more])
        run_or_raise(lesson, setup)

    lesson.foresee(start, trials)
    return start
