"""The shelf: `shelf put NAME TEXT`, `shelf drop NAME`, `shelf list`."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

from labkit.commands import Result
from labkit.engine import Command, Engine, Finding, Heard, Session, home
from labkit.errors import LabError
from labkit.messages import N_, _

_WORDS = {"put": (2, 3), "drop": (2,), "list": (1,)}  # how many there may be


class Shelf(Engine):
    """The files of a folder. Tests take the engine ``away``, and make things ``stuck``."""

    programs: ClassVar[Mapping[str, str]] = {"shelf": N_("the joiner's")}
    away: ClassVar[bool] = False
    stuck: ClassVar[set[str]] = set()

    def __init__(self, lesson: str) -> None:
        self.folder = home() / "shelf" / lesson
        self.folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def _answers(cls) -> None:
        if cls.away:
            raise LabError("The shelf does not answer (any more).")

    @classmethod
    def open(cls, session: Session, programs: Sequence[str]) -> Self:
        cls._answers()
        return cls(session.name)

    @classmethod
    def parse(cls, argv: Sequence[str]) -> Command:
        if len(argv[1:]) not in _WORDS.get("".join(argv[1:2]), ()):
            raise LabError("Use it as `shelf put NAME TEXT`, `shelf drop NAME` or `shelf list`.")
        if any("/" in word for word in argv):
            raise LabError("{word} is outside the shelf.", word=argv[-1])
        words = tuple(argv)
        return Command(words, words, "none" if argv[1:2] == ["list"] else "seen")

    @classmethod
    def advise(cls, result: Result, session: Session) -> str:
        missing = "nothing called" in result.err
        return _("`shelf list` shows what there is.") if missing else ""

    @classmethod
    def examine(cls) -> Iterator[Finding]:
        yield Finding(not cls.away, _("no shelf") if cls.away else _("the shelf hangs"))

    @classmethod
    def sweep(cls, lessons: Sequence[str]) -> list[str]:
        known = [path.name for path in sorted((home() / "shelf").glob("*"))]
        return [note for name in lessons or known for note in cls(name).clean()]

    @classmethod
    def prefetch(cls, lessons: Mapping[str, Any]) -> Iterator[str]:
        yield from (f"a board for {name}" for name in lessons)

    def versions(self) -> dict[str, str]:
        return {"shelf": "Shelf 1.0.0"}

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def run(self, command: Command, stdin: str | None, heard: Heard) -> Result:
        self._answers()
        verb, *words = command.argv[1:]
        if verb == "put":
            (self.folder / words[0]).write_text(words[1] if words[1:] else stdin or "")
        elif verb == "drop" and words[0] not in self.names():
            return Result(command.argv, 1, (("err", f"nothing called {words[0]}\n"),))
        elif verb == "drop":
            (self.folder / words[0]).unlink()
        return Result(command.argv, 0, (("out", f"{self.names()}\n"),), 0.01)

    def fingerprint(self) -> str:
        return str(self.world())

    def world(self) -> dict[str, Any]:
        self._answers()
        return {"things": {name: (self.folder / name).read_text() for name in self.names()}}

    def explore(self, session: Session) -> None:
        session.command(["shelf", "list"])

    def mark(self) -> list[str]:
        return self.names()

    def clean(
        self, since: Container[str] | None = None, names: Container[str] | None = None
    ) -> list[str]:
        notes: list[str] = []
        for name in self.names():
            if name in (since or ()) or not (names is None or name in names):
                continue
            if name in self.stuck:
                notes.append(_("{name} stays: stuck", name=name))
            else:
                (self.folder / name).unlink()
        return notes


ENGINE = Shelf
