"""A lesson in progress: its folder, its engines, its tape, and what its student has done.

Live or replay is decided when the lesson opens: if all engines that it needs answer they are used,
otherwise the lesson's recording is; ``LABKIT_MODE=live|replay`` decides instead.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from labkit.commands import Result
from labkit.engine import Command, Engine, Heard, Session, engines, spelled
from labkit.errors import LabError, one_of
from labkit.material import Task, material
from labkit.messages import N_, _
from labkit.recording import Header, Recording
from labkit.tape import Player, Tape
from labkit.words import split


def lessons_folder() -> Path:
    """Where lessons lie: ``notebooks/lessons``, seen from any folder of the course.

    Raises :class:`LabError` outside the course.
    """
    checkout = Path(__file__).resolve().parent.parent
    for folder in (Path.cwd(), *Path.cwd().parents, checkout):
        for lessons in (folder / "lessons", folder / "notebooks" / "lessons"):
            if lessons.is_dir():
                return lessons
    raise LabError(
        "The course's notebooks/lessons folder is not above this one; open the notebook inside "
        "the course."
    )


def all_lessons() -> dict[str, Path]:
    """The folder of each lesson, by name. Raises :class:`LabError` outside the course."""
    found = sorted(lessons_folder().iterdir())
    return {path.name: path for path in found if path.is_dir() and path.name[0] not in "._"}


def folder_of(lesson: str) -> Path:
    """The folder of a lesson. Raises :class:`LabError` if it is none: no name leads elsewhere."""
    message = N_("There is no lesson {name!r:.60}; there are: {known}.")
    return one_of(all_lessons(), lesson, message)


def _joined(tables: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {key: value for table in tables for key, value in table.items()}


class OpenTask(NamedTuple):
    """The task in progress."""

    name: str
    marks: dict[str, Any]  # where each engine was when it began
    names: set[str] | None  # what it may call its own; None: all that is new


class Lesson(Session):
    """One lesson being taught.

    ``mode``: "live" or "replay"; None asks ``LABKIT_MODE``, and "" chooses by itself.
    Raises :class:`LabError` if there is no such lesson, or neither engine nor recording.
    """

    rehearsed = False
    live_tape: type[Tape] = Tape

    def __init__(self, name: str, mode: str | None = None, folder: Path | None = None) -> None:
        self.name = name
        self.folder = folder or folder_of(name)
        self.material = material(self.folder)
        unknown = N_("This lesson needs {name!r}, which is no engine; there are: {known}.")
        known = engines()
        self.classes = {need: one_of(known, need, unknown) for need in self.material.needs}
        self.engines: dict[str, Engine] = {}
        self.why_replayed = ""  # if nobody asked for that
        self.tape = self._begin(os.environ.get("LABKIT_MODE", "") if mode is None else mode)
        self._open(modelled=True)
        self.task: OpenTask | None = None
        self.passed: set[str] = set()
        self.committed: dict[str, str] = {}  # prediction → choice
        self.memory = {}

    def _begin(self, mode: str) -> Tape:
        """Open the engines that cannot be modelled, or else the recording."""
        if mode not in ("", "live", "replay"):
            raise LabError(
                "The mode is {mode!r}; it can be live or replay, or absent to choose by itself.",
                mode=mode,
            )
        # Of modelled engines there is nothing to replay.
        if mode != "replay" or all(kind.modelled for kind in self.classes.values()):
            try:
                self._open(modelled=False)
                versions = _joined(each.versions() for each in self.engines.values())
                today = datetime.date.today().isoformat()
                return self.live_tape(Header(self.name, versions, today))
            except LabError as error:
                self.engines.clear()
                self.why_replayed = str(error)
                if mode:
                    raise
        try:
            return Player(Recording.load(self.recording))
        except LabError as error:
            raise LabError(f"{self.why_replayed} {error}".strip()) from None

    def _open(self, modelled: bool) -> None:
        for subject, kind in self.classes.items():
            if kind.modelled == modelled:
                self.engines[subject] = kind.open(self, self.material.needs[subject])

    @property
    def recording(self) -> Path:
        """The file of the lesson's recording."""
        return self.folder / "recording.json"

    @property
    def badge(self) -> str:
        """What every output says of where it comes from."""
        return self.tape.badge

    @property
    def replayed(self) -> bool:
        return self.tape.replayed

    @property
    def lacking(self) -> str:
        """What the live engines cannot do here, said once; "" if nothing."""
        return ". ".join(filter(None, (each.lacking for each in self.engines.values())))

    def reset(self) -> list[str]:
        """Back to the start: remove what earlier runs of this lesson made; say what had to stay."""
        self.tape.rewind()
        self.task = None
        self.passed.clear()
        self.memory.clear()
        notes = [note for each in self.engines.values() for note in each.clean()]
        self.explored()
        return notes

    # -- commands and readings, live or from the tape -------------------------------------------

    def requires(self, name: str) -> None:
        if name not in self.classes:
            raise self._works_without(name)

    def engine(self, name: str) -> Any:
        self.requires(name)
        if name not in self.engines:
            raise LabError("This needs a live engine, and the lesson is replayed: `labkit doctor`.")
        return self.engines[name]

    def whose(self, program: str) -> tuple[str, str]:
        """The engine that runs a program, and the program as it is really spelt."""
        for subject, kind in self.classes.items():
            if known := spelled(program, kind.programs):
                return subject, known
        raise self._works_without(program)

    def _works_without(self, what: str) -> LabError:
        programs = [name for kind in self.classes.values() for name in kind.programs]
        return LabError(
            "This lesson works without {what:.40}; its commands are: {known}.",
            what=what,
            known=", ".join(programs) or _("none"),
        )

    def words(self, line: str) -> list[str]:
        subject, _program = self.whose((line.split() or [""])[0])
        return split(line, self.classes[subject].literal)

    def command(self, argv: Sequence[str], stdin: str | None = None, heard: Heard = None) -> Result:
        subject, program = self.whose(argv[0])
        kind = self.classes[subject]
        command = kind.parse([program, *argv[1:]])

        def live() -> Result:
            return self.engines[subject].run(command, stdin, heard if command.slow else None)

        return live() if kind.modelled else self.taped(command, stdin, live)

    def taped(self, command: Command, stdin: str | None, live: Callable[[], Result]) -> Result:
        return self.tape.command(command.key, stdin, live)

    def ending(self, result: Result) -> str:
        """How a command that failed has ended, and what to do about it; "" for one that has not."""
        if not result.code:
            return ""
        subject, _program = self.whose(result.argv[0])
        advice = self.classes[subject].advise(result, self)
        return ". ".join(filter(None, [_("exit code {code}", code=result.code), advice]))

    def read(self, question: str, live: Callable[[], Any]) -> Any:
        return self.tape.read(question, live)

    def content(self, digest: str, live: Callable[[], Any]) -> Any:
        return self.tape.content(digest, live)

    def world(self) -> dict[str, Any]:
        engines = self.engines.values()
        return dict(self.read("world", lambda: _joined(each.world() for each in engines)))

    # -- what only a rehearsal does (see labkit.rehearse) ---------------------------------------

    def explored(self) -> None:
        """In a new state: a rehearsal asks all that a student may ask there."""

    def made_ready(self, task: Task, set_up: Callable[[], None]) -> None:
        """Set up a task; a rehearsal then tries every answer to it."""
        set_up()

    def foresee(self, begin: Callable[[], object], trials: Sequence[Callable[[], object]]) -> None:
        """Before a panel is used: a rehearsal tries what its buttons may do."""
