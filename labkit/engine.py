"""What an engine is, and the one list of subjects.

A *subject* is a package that plugs into the core. It may hold these modules, found by name:

- ``engine``: ``ENGINE``, a class that is an :class:`Engine`
- ``magics``: ``MAGICS``, a class of IPython magics for a notebook
- ``commands``: ``add(commands)`` adds subcommands of ``labkit``

An engine runs the programs of a lesson. One that is ``modelled`` works in this process, anywhere;
the others run real programs, and where those are missing their answers come from a recording.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, Self

from labkit.commands import Result
from labkit.show.progress import Bar

SUBJECTS = {
    "docker": "labkit.docker",
    "virtualbox": "labkit.virtualbox",
    "disks": "labkit.disks",
    "net": "labkit.net",
}
PREFETCHED = "prefetched"  # in place of a lesson's name: what is there before class, for all
Heard = Callable[[str], None] | None  # what sees what a slow command prints, as it arrives


class Command(NamedTuple):
    """A command of an engine."""

    argv: tuple[str, ...]
    key: tuple[str, ...]  # the same argv for all spellings that mean the same
    # It only reads; it changes what the fingerprint shows; it may change what none shows.
    effect: Literal["none", "seen", "unseen"] = "seen"
    slow: bool = False  # so that a notebook shows how far it is


class Finding(NamedTuple):
    """A line of the doctor's: ``fine`` or not, and what there is or how to get it."""

    fine: bool
    text: str


class Session(Protocol):
    """A lesson in progress, as engines, readings and checks see it."""

    name: str
    folder: Path
    rehearsed: bool  # it is being recorded
    memory: dict[Any, Any]  # what subjects want to know again, till the lesson begins anew

    @property
    def replayed(self) -> bool:
        """Whether commands are answered by a recording."""

    def requires(self, name: str) -> None:
        """Raise :class:`LabError` if this lesson has no engine of that name, live or replayed."""

    def engine(self, name: str) -> Any:
        """The live engine of that name, whose type the caller knows. Raises :class:`LabError`."""

    def words(self, line: str) -> list[str]:
        """A command as typed, as words, the program first. Raises :class:`LabError`."""

    def command(self, argv: Sequence[str], stdin: str | None = None, heard: Heard = None) -> Result:
        """Run or replay a command of one of the lesson's engines. Raises :class:`LabError`."""

    def taped(self, command: Command, stdin: str | None, live: Callable[[], Result]) -> Result:
        """Run what ``live`` does, or replay it. Raises :class:`LabError`."""

    def read(self, question: str, live: Callable[[], Any]) -> Any:
        """Read or replay the engine's state, as JSON. Raises :class:`LabError`."""

    def content(self, digest: str, live: Callable[[], Any]) -> Any:
        """Read or replay what never changes, because its name is its hash."""

    def world(self) -> dict[str, Any]:
        """What there is now on all engines of the lesson, by kind. Raises :class:`LabError`."""


class Engine(Protocol):
    """One engine at work for one lesson. Its class methods serve replay too, where none is open."""

    programs: ClassVar[Mapping[str, str]]  # program → how to get it; each becomes a magic
    modelled: ClassVar[bool] = False  # works in this process: never recorded as it is
    timed: ClassVar[bool] = False  # an output says how long the command took
    undoes: ClassVar[bool] = False  # `undone` takes back all that is done inside it
    passing: ClassVar[Sequence[str]] = ()  # kinds of its world that come and go by themselves
    literal: ClassVar[Sequence[str]] = ()  # variables that stay as typed, such as PWD

    @classmethod
    @abstractmethod
    def open(cls, session: Session, programs: Sequence[str]) -> Self:
        """Be ready for a lesson. Raises :class:`LabError`: what is missing and how to get it."""

    @classmethod
    @abstractmethod
    def parse(cls, argv: Sequence[str]) -> Command:
        """Take a command apart. Raises :class:`LabError` for what no cell can run."""

    @classmethod
    def advise(cls, result: Result, session: Session) -> str:
        """What to do about a failed command, in a line; "" if its own words are enough."""
        return ""

    @classmethod
    def brief(cls, result: Result) -> str:
        """What of a command's words is worth showing."""
        return result.text

    @classmethod
    def bars(cls, text: str) -> Sequence[Bar]:
        """How far a command is, read from its words so far."""
        return ()

    @classmethod
    def examine(cls) -> Iterator[Finding]:
        """What this machine has of the engine."""
        yield from ()

    @classmethod
    def prefetch(cls, lessons: Mapping[str, Path]) -> Iterator[str]:
        """Fetch before class what lessons need; their folders by name. Yields what is ready."""
        yield from ()

    @classmethod
    def sweep(cls, lessons: Sequence[str]) -> list[str]:
        """Remove what lessons made, all but PREFETCHED if none is named; say what had to stay."""
        return []

    @property
    def lacking(self) -> str:
        """What it cannot do here, said once when a lesson begins; "" if nothing."""
        return ""

    @property
    def crowded(self) -> str:
        """What is there of others, so that no lesson can be recorded; "" if nothing is."""
        return ""

    def versions(self) -> dict[str, str]:
        """What runs the commands, as the badge says it: a name and three numbers, Shelf 1.0.0."""
        return {}

    @abstractmethod
    def run(self, command: Command, stdin: str | None, heard: Heard) -> Result:
        """Run a command. Raises :class:`LabError` for one that reaches beyond the lesson."""

    def fingerprint(self) -> Hashable:
        """Equal as long as nothing has changed."""

    def world(self) -> dict[str, Any]:
        """What there is now, by kind, as JSON."""
        return {}

    def explore(self, session: Session) -> None:
        """While recording: ask all that a student may ask in this state."""

    def mark(self) -> Any:
        """Where things are now, for :meth:`clean`, which without one cleans all."""

    def clean(self, since: Any = None, names: Container[str] | None = None) -> list[str]:
        """Remove what the lesson made, since a mark and called one of ``names`` if given.

        Says what had to stay.
        """
        return []

    def undone(self) -> AbstractContextManager[None]:
        """What is done inside is undone at the end, if this engine ``undoes``."""
        return nullcontext()


def part(package: str, name: str) -> ModuleType | None:
    """A module of a package; None if it has none of that name."""
    module = f"{package}.{name}"
    return import_module(module) if find_spec(module) else None


def parts(name: str) -> dict[str, ModuleType]:
    """The modules of that name, of all subjects that have one."""
    found = {subject: part(package, name) for subject, package in SUBJECTS.items()}
    return {subject: module for subject, module in found.items() if module}


def engines() -> dict[str, type[Engine]]:
    """All engines by the name of their subject."""
    return {subject: module.ENGINE for subject, module in parts("engine").items()}


def home() -> Path:
    """labkit's own folder (``LABKIT_HOME``, else ``~/.labkit``)."""
    return Path(os.environ.get("LABKIT_HOME") or Path.home() / ".labkit")


def spelled(name: str, programs: Iterable[str]) -> str:
    """The program that is meant, however it is spelt: ``vboxmanage``, ``qemu_img``; "" if none."""
    wanted = name.lower().replace("_", "-")
    return next((known for known in programs if known.lower().replace("_", "-") == wanted), "")
