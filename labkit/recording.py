"""A recording: what an engine answered in each state of a lesson, and the file that keeps it.

A *state* is a token, a hash chained over the commands that changed something since the lesson
began. The file is JSON with one line of output a line, so that a teacher can read it and diff it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from labkit.commands import Chunk, merge
from labkit.errors import LabError

START = "start"
Question = tuple[str, str]  # (state, what is asked in it: a command, or the name of a reading)


def chain(state: str, *what: object) -> str:
    """The state that follows on a state when ``what`` has happened in it."""
    return hashlib.sha256(json.dumps([state, *what]).encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Step:
    """A command in a state."""

    at: str  # the state
    key: str  # the command in canonical form
    code: int  # the exit status
    seconds: float  # wall time
    output: list[str]  # a line each, "out " or "err " before it
    next: str  # the state that follows

    @property
    def chunks(self) -> tuple[Chunk, ...]:
        """The output as :class:`~labkit.commands.Result` has it."""
        return merge([(line[:3], line[4:]) for line in self.output])


def output_lines(chunks: tuple[Chunk, ...]) -> list[str]:
    """The output of a command as a :class:`Step` has it."""
    return [
        f"{stream} {line}" for stream, text in chunks for line in text.splitlines(keepends=True)
    ]


@dataclass
class Header:
    """Where a recording comes from."""

    lesson: str
    engines: dict[str, str]  # name → "Docker 20.10.24"
    recorded: str  # ISO date
    note: str = ""  # for the badge


@dataclass
class Recording:
    """``steps`` and ``reads`` by state; ``contents``: what never changes, by digest; all JSON."""

    header: Header
    steps: dict[Question, Step] = field(default_factory=dict)
    reads: dict[Question, Any] = field(default_factory=dict)
    contents: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file. Raises :class:`LabError` if it cannot be read."""
        try:
            data = json.loads(path.read_text("utf-8"))
            header = Header(**data["header"])
            header.engines = {**header.engines}
            steps = [Step(**step) for step in data["steps"]]
            return cls(
                header,
                {(step.at, step.key): step for step in steps},
                {(read["at"], read["what"]): read["value"]["is"] for read in data["reads"]},
                {**data["contents"]},
            )
        except FileNotFoundError:
            raise LabError(
                "There is no recording {name} for this lesson, so it needs a live engine; "
                "`labkit doctor` says how to get one.",
                name=path.name,
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LabError(
                "The recording {name} cannot be read ({reason}); restore it with "
                "`git checkout` of its folder.",
                name=path.name,
                reason=type(error).__name__,
            ) from None

    def save(self, path: Path) -> None:
        """Write the file. Raises :class:`LabError` if the disk refuses; an older one then stays."""
        part = path.with_name(path.name + ".part")
        try:
            part.write_text("".join(self._text()), "utf-8", newline="\n")
            os.replace(part, path)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            raise LabError(
                "The recording {name} was not written: {reason}; free some space and record again.",
                name=path.name,
                reason=error.strerror,
            ) from None

    def _text(self) -> Iterator[str]:
        """The file: as JSON is usually indented, but a reading is one line, not fifty."""
        header = asdict(self.header)
        if not self.header.note:
            del header["note"]
        data = {
            "header": header,
            "steps": [asdict(step) for step in self.steps.values()],
            "contents": dict(sorted(self.contents.items())),
            "reads": [],
        }
        yield json.dumps(data, indent=1, ensure_ascii=False).removesuffix("[]\n}")
        reads = (
            json.dumps({"at": state, "what": what, "value": {"is": value}}, ensure_ascii=False)
            for (state, what), value in self.reads.items()
        )
        yield "[\n" + ",\n".join(reads) + "\n]}\n"
