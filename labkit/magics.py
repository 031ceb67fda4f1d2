"""The magics: a command exactly as in a terminal, and what makes a lesson of it.

``%lesson`` ``%doctor`` ``%task`` ``%check`` ``%hint`` ``%solution`` ``%predict`` ``%answer``
``%%commands``, one for each program of each engine (``%docker``), and those that subjects bring.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand

from labkit import tasks
from labkit.commands import Interrupted
from labkit.doctor import examine
from labkit.engine import engines, parts
from labkit.errors import LabError, one_of
from labkit.lesson import Lesson
from labkit.material import Prediction, Task
from labkit.messages import N_, _, speak_as_in
from labkit.show import output as show
from labkit.show.panels import Choice, Panel
from labkit.show.progress import Live
from labkit.words import split


def shown(shows_refusals: bool = False, badge: bool = True) -> Callable[..., Any]:
    """A magic that takes the words as typed and shows a :class:`LabError` as one line.

    ``shows_refusals``: a refusal may be what a lesson shows, so recording goes on after it.
    ``badge``: what it says comes from an engine, or a recording of one.
    """

    def decorated(magic: Callable[..., Any]) -> Any:
        @functools.wraps(magic)
        def wrapped(self: LessonMagics, *args: Any) -> None:
            try:
                magic(self, *args)
            except Interrupted:
                raise  # it also stops the cells that wait
            except KeyboardInterrupt:  # while labkit was reading, not running a command
                raise LabError(
                    "Stopped by you; nothing has changed. Run the cell again when you like."
                ) from None
            except LabError as error:
                if self.lab.strict and not shows_refusals:
                    raise
                self.say("unknown", str(error), badge)

        return no_var_expand(wrapped)

    return decorated


def put(panel: Panel) -> None:
    """Show a panel, or its text where there are no widgets."""
    show.put(panel._repr_mimebundle_())


class LessonMagics(Magics):
    """What all magics share: the lesson in progress. ``lab`` knows it."""

    lab: LabMagics

    def now(self) -> Lesson:
        """The lesson in progress. Raises :class:`LabError` if none has begun."""
        if not self.lab.current:
            raise LabError(
                "No lesson has begun in this notebook: run its `%lesson` cell, then this one."
            )
        return self.lab.current

    def say(self, kind: str, text: str, badge: bool = True) -> None:
        """Show a line of our own, below the lesson's badge if one has begun."""
        lesson = self.lab.current if badge else None
        show.put(show.message(kind, text, lesson.badge if lesson else ""))

    @staticmethod
    def one(line: str, usage: str) -> str:
        """The only word of a line. Raises :class:`LabError` with the ``usage``."""
        words = split(line)
        if len(words) != 1:
            raise LabError("Use it as `{usage}`.", usage=usage)
        return words[0]


@magics_class
class LabMagics(LessonMagics):
    """The magics of every lesson. ``opens`` makes a lesson; ``strict``: whatever fails, fails."""

    opens: type[Lesson] = Lesson
    strict = False

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self._shell, self.lab = shell, self
        self.current: Lesson | None = None
        self._hints: dict[str, int] = {}
        for kind in engines().values():
            for program in kind.programs:
                runs: Any = functools.partial(self._program, program)
                # As in a terminal, and as Python takes it.
                for name in {program, program.lower(), program.replace("-", "_")}:
                    shell.register_magic_function(no_var_expand(runs), "line_cell", name)
        for module in parts("magics").values():
            self._add(module.MAGICS)

    def _add(self, kind: type[LessonMagics]) -> None:
        """Add the magics of a subject, or of a lesson."""
        magics = kind(self._shell)
        magics.lab = self
        self._shell.register_magics(magics)

    @line_magic
    @shown()
    def lesson(self, line: str) -> None:
        """``%lesson NAME [live|replay]``: begin (again); remove what an earlier run of it left."""
        speak_as_in(Path.cwd())
        words = split(line)
        if not 1 <= len(words) <= 2:
            raise LabError(
                "Say which lesson: `%lesson 12`, or `%lesson 12 replay` to use the recording."
            )
        self.current = None
        lesson = self.opens(words[0], words[1] if len(words) == 2 else None)
        self._hints.clear()
        if lesson.material.magics:
            self._add(lesson.material.magics)
        notes = lesson.reset()
        self.current = lesson
        note = lesson.tape.header.note if lesson.tape.replayed else lesson.lacking
        badge = ". ".join(filter(None, (lesson.badge, lesson.why_replayed.rstrip("."), note)))
        begins = _("Lesson {name} begins.", name=lesson.name)
        show.put(show.message("note", "\n".join([begins, *notes]), badge))

    @line_magic
    @shown()
    def doctor(self, line: str) -> None:
        """``%doctor``: what this machine has for the course, and how to get what is missing."""
        for fine, text in examine():
            self.say("pass" if fine else "fail", text, badge=False)

    # -- commands -------------------------------------------------------------------------------

    @shown(shows_refusals=True)
    def _program(self, program: str, line: str, cell: str | None = None) -> None:
        """``%docker …`` and the like run the command as typed; a cell's body is its input."""
        lesson = self.now()
        argv = [program, *lesson.words(f"{program} {line}")[1:]]
        kind = lesson.classes[lesson.whose(program)[0]]
        live = Live(kind.bars)
        result = lesson.command(argv, cell, live.hear)
        note = lesson.ending(result)
        took = _(" · took {seconds:.2f} s", seconds=result.seconds) if kind.timed else ""
        live.end(show.output(lesson.badge + took, kind.brief(result), note))

    @cell_magic
    @shown()
    def commands(self, line: str, cell: str) -> None:
        """``%%commands``: each line is a command or a # comment; they run until one fails."""
        lesson = self.now()
        lines = (typed.strip() for typed in cell.splitlines())
        transcript: list[str] = []
        note, seconds = "", 0.0
        try:
            for typed in filter(None, lines):
                if typed[0] == "#":
                    continue
                transcript.append(f"$ {typed}")
                if typed[0] in "%!":
                    raise LabError(
                        "In `%%commands` each line is a command as in a terminal: without {sign}.",
                        sign=typed[0],
                    )
                argv = lesson.words(typed)
                result = lesson.command(argv)
                seconds += result.seconds
                kind = lesson.classes[lesson.whose(argv[0])[0]]
                transcript += filter(None, [kind.brief(result).rstrip("\n")])
                if result.code:
                    note = lesson.ending(result)
                    break
        finally:  # also when a later line cannot be run: those before it were
            badge = lesson.badge + _(" · took {seconds:.2f} s", seconds=seconds)
            show.put(show.output(badge, "\n".join(transcript), note))

    # -- tasks ----------------------------------------------------------------------------------

    @line_magic
    @shown()
    def task(self, line: str) -> None:
        """``%task NAME``: start a task (again)."""
        task = self._task(self.one(line, "%task NAME"))
        notes = tasks.begin(self.now(), task)
        self._hints[task.name] = 0
        invitation = _(
            "Task {name}: solve it in the next cell, then run `%check {name}`. Stuck? "
            "`%hint {name}`",
            name=task.name,
        )
        self.say("ask", "\n".join([invitation, *notes]))

    @line_magic
    @shown()
    def check(self, line: str) -> None:
        """``%check NAME [ANSWER]``: is the task solved, and if not, why not."""
        name, _space, answer = line.strip().partition(" ")
        self.say(*tasks.finish(self.now(), self._task(name), answer))

    @line_magic
    @shown()
    def hint(self, line: str) -> None:
        """``%hint NAME``: the next hint."""
        task = self._task(self.one(line, "%hint NAME"))
        given = self._hints.get(task.name, 0)
        self._hints[task.name] = given + 1
        over = _("No more hints; `%solution {name}` shows one way.", name=task.name)
        self.say("note", [*task.hints, over][min(given, len(task.hints))], badge=False)

    @line_magic
    @shown()
    def solution(self, line: str) -> None:
        """``%solution NAME``: one way to do it."""
        task = self._task(self.one(line, "%solution NAME"))
        lines = [f"%{command}" for command in task.solution.commands]
        if task.solution.answer:
            lines.append(f"%check {task.name} {task.solution.answer}")
        way = [_("One way:"), *(f"`{typed}`" for typed in lines)]
        self.say("note", "\n".join(way), badge=False)

    def _task(self, name: str) -> Task:
        return self.now().material.task(name)

    # -- predictions ----------------------------------------------------------------------------

    @line_magic
    @shown()
    def predict(self, line: str) -> None:
        """``%predict NAME [LETTER]``: commit to an answer; a LETTER spares the mouse."""
        lesson, words = self.now(), split(line)
        asked = lesson.material.prediction(words[0] if words else "")
        if len(words) > 1:
            letter = words[1].upper()
            one_of(asked.choices, letter, N_("Choose one of {known}."))
            lesson.committed.setdefault(asked.name, letter)
        put(Choice(asked.name, asked.question, asked.choices, lesson.committed))

    @line_magic
    @shown()
    def answer(self, line: str) -> None:
        """``%answer NAME``: what really happened, and why the other choices are wrong."""
        lesson = self.now()
        asked = lesson.material.prediction(self.one(line, "%answer NAME"))
        right, chosen = asked.right(lesson), lesson.committed.get(asked.name)
        truth = _explained(asked, right)
        if chosen is None:
            advice = _("You had not committed to an answer: next time choose before you run.")
            self.say("note", f"{truth}\n{advice}")
        elif chosen == right:
            self.say("pass", _("You predicted it. {truth}", truth=truth))
        else:
            said = _("You said {choice}", choice=_explained(asked, chosen))
            happened = _("What happened: {truth}", truth=truth)
            self.say("fail", f"{said}\n{happened}")


def _explained(asked: Prediction, letter: str) -> str:
    """A choice, and why it is right or wrong."""
    return f"{letter}) {asked.choices[letter]} {asked.why[letter]}"
