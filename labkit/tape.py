"""Tape: record what an engine answered, and play it back where there is no engine.

A tape is a small state machine. A *state* is a token, a hash chained over the commands that changed
something since the lesson began; a command that changed nothing leaves it alone. So what is asked
twice, or in another order, is answered rightly, and what was never recorded is known to be so.

The file is JSON with one line of output a line, so that a teacher can read it and diff it.
The idea of answering only what was recorded is vcrpy's record mode ``none``.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import shlex
from collections.abc import Callable
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

from labkit.commands import Result, merge
from labkit.errors import LabError

Mode = Literal["live", "replay", "record"]
START = "start"
_STEP = ("at", "key", "code", "seconds", "output", "next")  # what the file holds of each command


class NotRecorded(LabError):
    """A replayed lesson was asked for something that was never recorded."""


def _chain(state: str, *what: object) -> str:
    return hashlib.sha256(json.dumps([state, *what]).encode()).hexdigest()[:8]


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) < 60 else text[:57] + "…"


def _lines(chunks: tuple[tuple[str, str], ...]) -> list[str]:
    return [
        f"{stream} {line}" for stream, text in chunks for line in text.splitlines(keepends=True)
    ]


def _chunks(lines: list[str]) -> tuple[tuple[str, str], ...]:
    return merge([(line[:3], line[4:]) for line in lines])


class Tape:
    """One lesson's recorder and player.

    ``header`` describes the recording: ``lesson``, ``engines`` (name → "Docker 20.10.24"), ``recorded``
    (ISO date), ``note``. ``remark`` says after each command or read what replay did otherwise than a
    live engine would ("" mostly). While ``checking``, reads never fall back to before the task.
    """

    def __init__(self, mode: Mode, header: dict[str, Any] | None = None) -> None:
        self.mode: Mode = mode
        self.header: dict[str, Any] = header or {}
        self.state = START
        self.remark = ""
        self.checking = False
        self._steps: dict[tuple[str, str], dict[str, Any]] = {}
        self._reads: dict[tuple[str, str], Any] = {}
        self._contents: dict[str, Any] = {}
        self._task: tuple[str, str] | None = (
            None  # (state to come back to, state where the task began)
        )
        self._done: dict[str, dict[str, Any]] = {}  # changing commands played since the start

    # -- the file -------------------------------------------------------------------------------

    @classmethod
    def load(cls, path: Path) -> Tape:
        """Read a recording for replay. Raises :class:`LabError` if it cannot be read."""
        try:
            data = json.loads(path.read_text("utf-8"))
            header = data["header"]
            tape = cls(
                "replay",
                {**header, "engines": {**header["engines"]}, "recorded": header["recorded"]},
            )
            tape._steps = {
                (step["at"], step["key"]): {name: step[name] for name in _STEP}
                for step in data["steps"]
            }
            tape._reads = {
                (read["at"], read["what"]): {"is": read["value"]["is"]} for read in data["reads"]
            }
            tape._contents = {**data["contents"]}
        except FileNotFoundError:
            raise LabError(
                f"There is no recording {path.name} for this lesson, so it needs a live engine; "
                "`labkit doctor` says how to get one."
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LabError(
                f"The recording {path.name} cannot be read ({type(error).__name__}); "
                "restore it with `git checkout` of its folder."
            ) from None
        return tape

    def save(self, path: Path) -> None:
        """Write the recording. Raises :class:`LabError` if the disk refuses; an older file then stays whole."""
        data = {
            "header": self.header,
            "steps": list(self._steps.values()),
            "contents": dict(sorted(self._contents.items())),
            "reads": [],
        }
        reads = (
            json.dumps({"at": at, "what": what, "value": value}, ensure_ascii=False)
            for (at, what), value in self._reads.items()
        )
        head = json.dumps(data, indent=1, ensure_ascii=False).removesuffix(
            "[]\n}"
        )  # a read is one line, not fifty
        text = head + "[\n" + ",\n".join(reads) + "\n]}\n"
        part = path.with_name(path.name + ".part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(text, "utf-8", newline="\n")
            os.replace(part, path)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            raise LabError(
                f"The recording {path.name} was not written: {error.strerror}; free some space and record "
                "again."
            ) from None

    # -- where we are ---------------------------------------------------------------------------

    def rewind(self) -> None:
        """Back to the beginning of the lesson."""
        self.state, self._task = START, None
        self._done.clear()

    def branch(self, name: str) -> None:
        """Enter a task: what is done from here on is left behind by :meth:`merge_back`.

        In replay a task that was recorded at another point of the lesson begins as it was there.
        """
        self.merge_back()
        start = _chain(self.state, "task", name)
        if self.mode == "replay":
            known = dict.fromkeys(at for at, _ in (*self._reads, *self._steps))
            if start not in known:
                start = next(
                    (there for at in known if (there := _chain(at, "task", name)) in known), start
                )
        self._task, self.state = (self.state, start), start

    def task_begins(self) -> None:
        """What has been done since :meth:`branch` made the task ready: starting over means from here."""
        if self._task:
            self._task = self._task[0], self.state

    def merge_back(self) -> None:
        """Leave the task, if in one: the lesson goes on from where the task began."""
        if self._task:
            self.state, self._task = self._task[0], None

    @property
    def place(self) -> tuple[str, tuple[str, str] | None]:
        """Where we are, to be set again after a trial."""
        return self.state, self._task

    @place.setter
    def place(self, place: tuple[str, tuple[str, str] | None]) -> None:
        self.state, self._task = place

    # -- recording and playing ------------------------------------------------------------------

    def command(
        self,
        key: list[str],
        stdin: str | None,
        live: Callable[[], Result],
        changed: Callable[[], bool] | None = None,
    ) -> Result:
        """Run or replay one command.

        ``key`` is the argv in its canonical form; ``live`` runs it; ``changed`` (None for a read-only
        command) tells after a live run whether the engine's state is another one now.
        Raises :class:`NotRecorded` in replay when the recording has no such command here.
        """
        self.remark = ""
        text = shlex.join(key) + (f" <<< {json.dumps(stdin)}" if stdin is not None else "")
        if self.mode == "replay":
            return self._play(text, key)
        result = live()
        if self.mode == "record":
            moves = changed is not None and changed()
            step = self._steps.setdefault(
                (self.state, text),
                {
                    "at": self.state,
                    "key": text,
                    "code": result.code,
                    "seconds": round(result.seconds, 2),
                    "output": _lines(result.chunks),
                    "next": _chain(self.state, text) if moves else self.state,
                },
            )
            self.state = step["next"]
        return result

    def knows(self) -> bool:
        """True if anything was recorded in this state."""
        return any(at == self.state for at, _ in self._reads)

    def _play(self, text: str, key: list[str]) -> Result:
        step = self._find(self._steps, text)
        if step:
            if step["next"] != step["at"]:
                self.state = step["next"]
                self._done[text] = step
        elif text in self._done:
            step = self._done[text]
            self.remark = "shown again: a recording cannot run it twice"
        else:
            raise NotRecorded(self._explain(text))
        return Result(tuple(key), step["code"], _chunks(step["output"]), step["seconds"])

    def read(self, what: str, live: Callable[[], Any]) -> Any:
        """Read (or replay) the engine's state; ``what`` names the question, the answer is JSON."""
        self.remark = ""
        if self.mode == "replay":
            value = self._find(self._reads, what)
            if value is None:
                raise NotRecorded(
                    "The recording does not know the state here; run the cells above this one first, "
                    "or start again from the %lesson cell."
                )
            return value["is"]
        value = live()
        if self.mode == "record":
            self._reads[self.state, what] = {"is": value}
        return value

    def content(self, digest: str, live: Callable[[], Any]) -> Any:
        """Like :meth:`read` for what never changes because its name is its hash (layers, image configs)."""
        if self.mode == "replay":
            if digest not in self._contents:
                raise NotRecorded(
                    f"The recording does not hold {digest[:19]}; a live engine is needed."
                )
            return self._contents[digest]
        if self.mode == "record" and digest in self._contents:
            return self._contents[digest]
        value = live()
        if self.mode == "record":
            self._contents[digest] = value
        return value

    def _find(self, table: dict[tuple[str, str], Any], what: str) -> Any:
        """Look here; then, inside a task, where the task began; then in the lesson outside the task."""
        found = table.get((self.state, what))
        if found or not self._task or (self.checking and self.state != self._task[1]):
            return found
        outside, start = self._task
        moved = self.state != start
        if found := table.get((start, what)):
            self.remark = "as if the task were started over" if moved else ""
            self.state = start
        elif found := table.get((outside, what)):
            self.remark = "your unfinished task is set aside" if moved else ""
            if moved or found.get("next", outside) != outside:
                self.merge_back()
        return found

    def _explain(self, text: str) -> str:
        shown, before = _short(text), self._missing(text)
        if before:
            return f"This recording has `{shown}` only after `{_short(before)}`: run that cell first, then this again."
        if any(key == text for _, key in self._steps):
            return (
                f"This recording has `{shown}` at an earlier point of the lesson; start over, here or from the "
                "%lesson cell."
            )
        known = {key for at, key in self._steps if at == self.state} or {
            key for _, key in self._steps
        }
        near = difflib.get_close_matches(text[:400], sorted(known), 1, 0.6)
        if near and _short(near[0]) == shown:  # they differ further on
            at = max(
                0, next(n for n, (a, b) in enumerate(zip_longest(text, near[0])) if a != b) - 20
            )
            shown, near = f"…{_short(text[at:])}", [f"…{near[0][at:]}"]
        hint = f"; the nearest it has here is `{_short(near[0])}`" if near else ""
        return f"`{shown}` was not recorded{hint}. To run anything you like you need a live engine: `labkit doctor`."

    def _missing(self, text: str) -> str | None:
        """The first command still to run before ``text`` can be replayed, by breadth-first search."""
        seen, frontier = {self.state}, [(self.state, "")]
        while frontier:
            state, first = frontier.pop(0)
            for (at, key), step in self._steps.items():
                if at != state:
                    continue
                if key == text and first:
                    return first
                if step["next"] not in seen:
                    seen.add(step["next"])
                    frontier.append((step["next"], first or key))
        return None
