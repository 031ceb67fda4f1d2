"""Exercises and predictions: what a lesson asks, and how it knows the answer.

A lesson's ``tasks.py`` fills ``TASKS`` and ``PREDICTIONS``. A check looks at structured state, never at
text; it returns what to tell the student, or raises :class:`NotYet` with a hint made from that state.
Every task carries its solution and wrong answers, so that a test can prove the check.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from labkit.errors import LabError

if TYPE_CHECKING:
    from labkit.lesson import Lesson

T = TypeVar("T")


class NotYet(Exception):
    """The task is not solved; the message is the hint for this very state."""


class Unproven(Exception):
    """While recording: a task's solution does not pass, a wrong answer does, or one leaves something behind."""


class Verdict(NamedTuple):
    """What a check found: solved, not solved, or unable to tell (the engine is away, nothing recorded)."""

    status: Literal["pass", "fail", "unknown"]
    text: str


@dataclass(frozen=True)
class Try:
    """One way to answer: commands as typed after ``%``, or an ``answer`` given to ``%check``.

    ``hint`` is a part of what a wrong one is told; "" for a right one.
    """

    commands: Sequence[str] = ()
    answer: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Task:
    """One exercise. ``check(lesson, answer)`` returns praise with a reason or raises :class:`NotYet`.

    ``setup``: commands that make what the exercise is about; they run, unshown, each time it starts.
    """

    name: str
    check: Callable[[Lesson, str], str]
    solution: Try
    wrong: Sequence[Try]
    hints: Sequence[str] = ()
    setup: Sequence[str] = ()


@dataclass(frozen=True)
class Prediction:
    """A choice to commit to before running. ``right(lesson)`` reads the state and names the right letter."""

    name: str
    question: str
    choices: Mapping[str, str]
    why: Mapping[str, str]
    right: Callable[[Lesson], str]


@dataclass
class Material:
    """What a lesson asks, its tasks and predictions by name; ``needs``: programs without which it is replayed."""

    tasks: dict[str, Task] = field(default_factory=dict)
    predictions: dict[str, Prediction] = field(default_factory=dict)
    needs: Sequence[str] = ("docker",)

    def task(self, name: str) -> Task:
        """A task by name. Raises :class:`LabError` naming those there are."""
        return _named(self.tasks, "task", name)

    def prediction(self, name: str) -> Prediction:
        """A prediction by name. Raises :class:`LabError` naming those there are."""
        return _named(self.predictions, "prediction", name)


def _named(things: Mapping[str, T], what: str, name: str) -> T:
    if name not in things:
        raise LabError(
            f"This lesson has no {what} {name!r:.60}; it has: {', '.join(things) or 'none'}."
        )
    return things[name]


@lru_cache
def material(folder: Path) -> Material:
    """Load a lesson's ``tasks.py``; a lesson without one asks nothing."""
    path = folder / "tasks.py"
    if not path.is_file():
        return Material()
    spec = importlib.util.spec_from_file_location(f"labkit_lesson_{folder.name}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Material(
        {task.name: task for task in module.TASKS},
        {prediction.name: prediction for prediction in module.PREDICTIONS},
        getattr(module, "NEEDS", Material.needs),
    )


def number(answer: str, example: str, asked: str = "your number") -> int:
    """A student's answer that is to be a number. Raises :class:`NotYet` if it is none, showing an ``example``."""
    if not answer:
        raise NotYet(f"Give {asked} behind the name: `%check {example}`.")
    if not answer.isascii() or not answer.isdigit() or len(answer) > 15:
        raise NotYet(f"`{answer:.40}` is not a whole number in decimal: `%check {example}`.")
    return int(answer)


def enter(lesson: Lesson, name: str, commands: Iterable[str]) -> list[str]:
    """Leave the open task and mark where this one begins; what had to stay of the other is said.

    What the ``commands`` name is the task's own: a student may go on with the lesson and come back.
    """
    notes = leave(lesson)
    lesson.tape.branch(name)
    lesson.look_around()
    lesson.task = (
        name,
        lesson.marks(),
        {word for command in commands for word in lesson.words(command)},
    )
    return notes


def begin(lesson: Lesson, task: Task) -> list[str]:
    """Start a task (again): what an earlier try of it made goes away. In record mode, explore its answers."""
    commands = [
        *task.setup,
        *(command for attempt in (task.solution, *task.wrong) for command in attempt.commands),
    ]
    notes = enter(lesson, task.name, commands)
    lesson.passed.discard(task.name)
    before = lesson.world() if lesson.tape.mode == "record" else {}
    set_up(lesson, task)
    if lesson.tape.mode == "record":
        for attempt in (Try(hint=" "), *task.wrong, task.solution):
            with lesson.trial():
                found = attempt_at(lesson, task, attempt)
                right = (
                    found.status == ("fail" if attempt.hint else "pass")
                    and attempt.hint.strip() in found.text
                )
                left = [
                    *leave(lesson),
                    *(
                        f"it left something behind among the {kind}"
                        for kind, things in lesson.world().items()
                        if things != before[kind] and kind not in ("media", "notes")
                    ),
                ]
                if not right or left:
                    raise Unproven(f"Task {task.name}, {attempt}: {found} {left}")
            if lesson.docker:  # what a trial did in it stays, until it is made ready again
                with lesson.trial():
                    set_up(lesson, task)
    return notes


def set_up(lesson: Lesson, task: Task) -> None:
    """Make what a task is about. Raises :class:`LabError` with the engine's words if that fails."""
    succeed(lesson, task.setup, "The task could not be set up; ")
    lesson.tape.task_begins()


def succeed(lesson: Lesson, lines: Iterable[str], why: str = "") -> None:
    """Run commands as typed. Raises :class:`LabError` with ``why`` and the engine's words when one fails."""
    for line in lines:
        result = lesson.command(lesson.words(line))
        if result.code:
            raise LabError(f"{why}`{line}` says: {' '.join(result.text.split())[:200]}")


def attempt_at(lesson: Lesson, task: Task, attempt: Try) -> Verdict:
    """Give one answer as a student would, and check it."""
    for line in attempt.commands:
        lesson.command(lesson.words(line))
    return verdict(lesson, task, attempt.answer)


def leave(lesson: Lesson) -> list[str]:
    """Leave the open task: remove what it made, so that the lesson goes on from where it was."""
    notes: list[str] = []
    if lesson.task:
        _, marks, names = lesson.task
        notes = lesson.clean(marks, None if lesson.tape.mode == "record" else names)
    lesson.tape.merge_back()
    lesson.task = None
    return notes


def verdict(lesson: Lesson, task: Task, answer: str = "") -> Verdict:
    """Check a task. Never green when the state cannot be read."""
    lesson.tape.checking = True
    try:
        return Verdict("pass", task.check(lesson, answer.strip()))
    except NotYet as hint:
        return Verdict("fail", str(hint))
    except LabError as error:
        return Verdict("unknown", str(error))
    finally:
        lesson.tape.checking = False


def finish(lesson: Lesson, task: Task, answer: str = "") -> Verdict:
    """What ``%check`` does: the verdict, and on success the end of the task."""
    if task.name in lesson.passed:
        return Verdict("pass", f"Already solved; `%task {task.name}` starts it again.")
    found = verdict(lesson, task, answer)
    if found.status == "pass":
        lesson.passed.add(task.name)
    if (
        lesson.task
        and lesson.task[0] == task.name
        and (found.status == "pass" or lesson.tape.mode == "record")
    ):
        notes = leave(lesson)  # also while recording: the lesson goes on without the task
        found = found._replace(text="\n".join([found.text, *notes]))
    return found
