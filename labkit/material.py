"""What a lesson asks: its tasks and predictions, and how it knows the answers.

A lesson's ``tasks.py`` fills ``TASKS`` and ``NEEDS``, its ``predictions.py`` ``PREDICTIONS``. A
check looks at structured state, never at text; it returns what to tell the student, or raises
:class:`NotYet` with a hint made from that state. Every task carries its solution and wrong answers,
so that a test can prove the check.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from labkit.engine import Session, part
from labkit.errors import one_of
from labkit.messages import N_, _

_MISSING = N_("This lesson has no {what} {name!r:.60}; it has: {known}.")


class NotYet(Exception):
    """The task is not solved; the message is the hint for this very state.

    It is a sentence for :data:`labkit.messages._`, its places filled with ``values``.
    """

    def __init__(self, message: str, /, **values: object) -> None:
        super().__init__(_(message, **values))


@dataclass(frozen=True)
class Try:
    """One way to answer."""

    commands: Sequence[str] = ()  # as typed after %
    answer: str = ""  # given to %check
    hint: str = ""  # a part of what a wrong one is told; "" for a right one


@dataclass(frozen=True)
class Task:
    """One exercise. ``check(lesson, answer)`` returns praise with a reason or raises NotYet."""

    name: str
    check: Callable[[Session, str], str]
    solution: Try
    wrong: Sequence[Try]
    hints: Sequence[str] = ()
    setup: Sequence[str] = ()  # commands that make what it is about, unshown, each time it starts
    on_paper: bool = False  # its check reads no state, only the answer

    @property
    def commands(self) -> list[str]:
        """All commands of the task: what they name is the task's own."""
        answers = (self.solution, *self.wrong)
        return [*self.setup, *(line for answer in answers for line in answer.commands)]


@dataclass(frozen=True)
class Prediction:
    """A choice to commit to before running."""

    name: str
    question: str
    choices: Mapping[str, str]  # by letter
    why: Mapping[str, str]  # by letter: why it is right or wrong
    right: Callable[[Session], str]  # reads the state and names the right letter


@dataclass
class Material:
    """What a lesson asks, by name."""

    tasks: dict[str, Task]
    predictions: dict[str, Prediction]
    needs: dict[str, Sequence[str]]  # engines; the programs of each that it uses
    magics: type | None  # of its own, for IPython

    def task(self, name: str) -> Task:
        """A task by name. Raises :class:`LabError` naming those there are."""
        return one_of(self.tasks, name, _MISSING, what=_("task"))

    def prediction(self, name: str) -> Prediction:
        """A prediction by name. Raises :class:`LabError` naming those there are."""
        return one_of(self.predictions, name, _MISSING, what=_("prediction"))


@lru_cache
def material(folder: Path) -> Material:
    """Load what a lesson has of its modules; without any it needs nothing and asks nothing.

    Its ``magics.py`` holds ``MAGICS``, as that of a subject does.
    """
    _.add(folder)
    package = _package(folder)
    tasks, predictions, magics = (
        part(package, name) for name in ("tasks", "predictions", "magics")
    )
    return Material(
        {task.name: task for task in getattr(tasks, "TASKS", ())},
        {each.name: each for each in predictions.PREDICTIONS} if predictions else {},
        dict(tasks.NEEDS) if tasks else {},
        magics.MAGICS if magics else None,
    )


def _package(folder: Path) -> str:
    """Make a lesson's folder a package, anew, so that its modules find one another."""
    name = f"labkit_lesson_{folder.name}"
    for loaded in [each for each in sys.modules if each.partition(".")[0] == name]:
        del sys.modules[loaded]
    package = ModuleType(name)
    package.__path__ = [str(folder)]
    sys.modules[name] = package
    return name


def whole_number(answer: str, example: str, asked: str = "") -> int:
    """A student's answer that is to be a number.

    Raises :class:`NotYet` if it is none, showing an ``example``; ``asked`` says what to give.
    """
    if answer.isascii() and answer.isdigit() and len(answer) <= 15:
        return int(answer)
    asked = asked or _("your number")
    hint = N_("Give {asked} behind the name: `%check {example}`.")
    if answer:
        hint = N_("`{answer:.40}` is not a whole number in decimal: `%check {example}`.")
    raise NotYet(hint, answer=answer, asked=asked, example=example)
