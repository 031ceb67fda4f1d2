"""Tapes: where a lesson's answers come from. The live engines, a recording, or both to make one.

A recording is a small state machine: a command that changed something leads to another state, one
that changed nothing leaves it alone. So what is asked twice, or in another order, is answered
rightly, and what was never recorded is known to be so.
The idea of answering only what was recorded is vcrpy's record mode ``none``.
"""

from __future__ import annotations

import difflib
import json
import shlex
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any

from labkit.commands import Result
from labkit.errors import LabError
from labkit.messages import _
from labkit.recording import START, Header, Question, Recording, Step, chain, output_lines

SHOWN = 60  # characters of a command in a message
NEAR = 20  # characters shown of two commands before they differ


class NotRecorded(LabError):
    """A replayed lesson was asked for something that was never recorded."""


class Tape:
    """A live lesson's: everything is asked of the engines, and nothing is kept.

    ``remark`` says after each command or reading what replay did otherwise than a live engine
    would: "" mostly, and here always. ``state``: the token of where the lesson is.
    """

    replayed = False

    def __init__(self, header: Header) -> None:
        self.header, self.remark, self.state = header, "", START
        self._task: tuple[str, str] | None = None  # (state to come back to, where the task began)
        self._strict = False

    @property
    def badge(self) -> str:
        """What every output says of where it comes from."""
        engines = ", ".join(self.header.engines.values())
        return f"{_('live')} · {engines}" if engines else _("model · computed here, by no engine")

    def rewind(self) -> None:
        """Back to the beginning of the lesson."""
        self.state, self._task = START, None

    def branch(self, name: str) -> None:
        """Enter a task: what is done from here on is left behind by :meth:`merge_back`."""
        self.merge_back()
        begun = self._beginning(name)
        self._task, self.state = (self.state, begun), begun

    def _beginning(self, name: str) -> str:
        return chain(self.state, "task", name)

    def task_begins(self) -> None:
        """The task is ready: starting it over means from here."""
        if self._task:
            self._task = self._task[0], self.state

    def merge_back(self) -> None:
        """Leave the task, if in one: the lesson goes on from where the task began."""
        if self._task:
            self.state, self._task = self._task[0], None

    @contextmanager
    def checking(self) -> Iterator[None]:
        """While a task is checked, readings never fall back to before it."""
        self._strict = True
        try:
            yield
        finally:
            self._strict = False

    def command(self, key: Sequence[str], stdin: str | None, live: Callable[[], Result]) -> Result:
        """Run or replay a command; ``key``: its argv in canonical form. Raises NotRecorded."""
        return live()

    def read(self, question: str, live: Callable[[], Any]) -> Any:
        """Read or replay the engine's state; the answer is JSON. Raises :class:`NotRecorded`."""
        return live()

    def content(self, digest: str, live: Callable[[], Any]) -> Any:
        """Like :meth:`read`, for what never changes because its name is its hash."""
        return live()


class Recorder(Tape):
    """Asks the engines and keeps what they answer."""

    def __init__(self, header: Header) -> None:
        super().__init__(header)
        self.recording = Recording(header)

    @contextmanager
    def trial(self) -> Iterator[None]:
        """What is done inside is kept, and afterwards the lesson is where it was."""
        state, task = self.state, self._task
        try:
            yield
        finally:
            self.state, self._task = state, task

    @property
    def new_here(self) -> bool:
        """Nothing has been read yet in this state."""
        return all(state != self.state for state, _question in self.recording.reads)

    def record(self, key: Sequence[str], stdin: str | None, result: Result, moved: bool) -> None:
        """Keep what a command did; ``moved``: the engine is in another state after it."""
        text = _text(key, stdin)
        step = Step(
            at=self.state,
            key=text,
            code=result.code,
            seconds=round(result.seconds, 2),
            output=output_lines(result.chunks),
            next=chain(self.state, text) if moved else self.state,
        )
        self.state = self.recording.steps.setdefault((self.state, text), step).next

    def read(self, question: str, live: Callable[[], Any]) -> Any:
        value = self.recording.reads[self.state, question] = live()
        return value

    def content(self, digest: str, live: Callable[[], Any]) -> Any:
        if digest not in self.recording.contents:
            self.recording.contents[digest] = live()
        return self.recording.contents[digest]


class Player(Tape):
    """Answers from a recording alone."""

    replayed = True

    def __init__(self, recording: Recording) -> None:
        super().__init__(recording.header)
        self.recording = recording
        self._played: dict[str, Step] = {}  # changing commands since the lesson began

    @property
    def badge(self) -> str:
        date = self.header.recorded
        engines = ", ".join(self.header.engines.values()) or _("no engine")
        badge = _("replay · recorded {date} on {engines}", date=date, engines=engines)
        return f"{badge} · {self.remark}" if self.remark else badge

    def rewind(self) -> None:
        super().rewind()
        self._played.clear()

    def _beginning(self, name: str) -> str:
        """Where the task was recorded, if that was at another point of the lesson."""
        here = super()._beginning(name)
        asked = (*self.recording.reads, *self.recording.steps)
        known = dict.fromkeys(state for state, _question in asked)
        recorded = (chain(state, "task", name) for state in known)
        return here if here in known else next((at for at in recorded if at in known), here)

    def command(self, key: Sequence[str], stdin: str | None, live: Callable[[], Result]) -> Result:
        text = _text(key, stdin)
        self.remark = ""
        state = self._answering(self.recording.steps, text)
        if state is not None:
            step = self.recording.steps[state, text]
            self._go(state, leaving=step.next != state)
            if step.next != step.at:
                self.state = step.next
                self._played[text] = step
        elif text in self._played:
            step = self._played[text]
            self.remark = _("shown again: a recording cannot run it twice")
        else:
            raise self._unknown(text)
        return Result(tuple(key), step.code, step.chunks, step.seconds)

    def read(self, question: str, live: Callable[[], Any]) -> Any:
        self.remark = ""
        state = self._answering(self.recording.reads, question)
        if state is None:
            raise NotRecorded(
                "The recording does not know the state here; run the cells above this one "
                "first, or start again from the %lesson cell."
            )
        self._go(state)
        return self.recording.reads[state, question]

    def content(self, digest: str, live: Callable[[], Any]) -> Any:
        if digest not in self.recording.contents:
            raise NotRecorded(
                "The recording does not hold {digest}; a live engine is needed.",
                digest=digest[:19],
            )
        return self.recording.contents[digest]

    # -- where an answer is known ---------------------------------------------------------------

    def _answering(self, table: Container[Question], what: str) -> str | None:
        """The state in which the recording answers: here; in a task, its beginning; before it."""
        states = [self.state]
        if self._task and not (self._strict and self.state != self._task[1]):
            outside, begun = self._task
            states += [begun, outside]
        return next((state for state in states if (state, what) in table), None)

    def _go(self, state: str, leaving: bool = False) -> None:
        """Be in the state that has the answer, and remark what that undoes.

        ``leaving``: the answer leads to another state.
        """
        if state == self.state or not self._task:
            return
        begun = self._task[1]
        tried = self.state != begun
        if state == begun:
            self.remark, self.state = _("as if the task were started over"), begun
        elif tried or leaving:
            self.remark = _("your unfinished task is set aside") if tried else ""
            self.merge_back()

    # -- what is not known ----------------------------------------------------------------------

    def _unknown(self, text: str) -> NotRecorded:
        """Why a command cannot be replayed here, and what can be done."""
        if before := self._missing(text):
            return NotRecorded(
                "This recording has `{command}` only after `{before}`: run that cell first, then "
                "this again.",
                command=_short(text),
                before=_short(before),
            )
        anywhere = {key for _state, key in self.recording.steps}
        if text in anywhere:
            return NotRecorded(
                "This recording has `{command}` at an earlier point of the lesson; start over, "
                "here or from the %lesson cell.",
                command=_short(text),
            )
        here = {key for state, key in self.recording.steps if state == self.state}
        nearest = difflib.get_close_matches(text[:400], sorted(here or anywhere), 1, 0.6)
        if not nearest:
            return NotRecorded(
                "`{command}` was not recorded. To run anything you like you need a live engine: "
                "`labkit doctor`.",
                command=_short(text),
            )
        command, near = _told_apart(text, nearest[0])
        return NotRecorded(
            "`{command}` was not recorded; the nearest it has here is `{nearest}`. To run "
            "anything you like you need a live engine: `labkit doctor`.",
            command=command,
            nearest=near,
        )

    def _missing(self, text: str) -> str:
        """The first command still to run before ``text`` can be replayed: breadth-first search."""
        firsts = {self.state: ""}  # by the states that can be reached: which command leads there
        ahead = [self.state]
        for state in ahead:  # the list grows while it is walked
            for step in self.recording.steps.values():
                if step.at == state and step.key == text:
                    return firsts[state]
                if step.at == state and step.next not in firsts:
                    firsts[step.next] = firsts[state] or step.key
                    ahead.append(step.next)
        return ""


def _text(key: Sequence[str], stdin: str | None) -> str:
    """A command as recordings name it."""
    return shlex.join(key) + (f" <<< {json.dumps(stdin)}" if stdin is not None else "")


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) < SHOWN else text[: SHOWN - 3] + "…"


def _told_apart(text: str, other: str) -> tuple[str, str]:
    """Two commands in short; from shortly before they differ, if they begin alike."""
    if _short(text) != _short(other):
        return _short(text), _short(other)
    pairs = enumerate(zip_longest(text, other))
    begin = max(0, next(place for place, (a, b) in pairs if a != b) - NEAR)
    return f"…{_short(text[begin:])}", _short(f"…{other[begin:]}")
