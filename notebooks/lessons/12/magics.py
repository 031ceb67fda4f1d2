"""``%before_after docker …``: run a command, see the forest before and after, and undo it.

Only ipywidgets' own controls are used, so it works from the keyboard.
"""

from __future__ import annotations

import ipywidgets as w
from IPython.core.magic import line_magic, magics_class
from markupsafe import Markup

from labkit import tasks
from labkit.docker import reads
from labkit.errors import LabError
from labkit.lesson import Lesson
from labkit.magics import LessonMagics, put, shown
from labkit.messages import _
from labkit.show import output as show
from labkit.show.panels import Panel, teaching
from labkit.words import split


@magics_class
class MAGICS(LessonMagics):
    """The lesson's own magic."""

    @line_magic
    @shown()
    def before_after(self, line: str) -> None:
        """``%before_after docker …``: run the command, and see the forest before and after."""
        put(BeforeAfter(self.now(), line))


class BeforeAfter(Panel):
    """Run a command of docker and see the forest change; Undo removes what it made. LabError."""

    def __init__(self, lesson: Lesson, line: str) -> None:
        argv = _docker_words(line)
        self._lesson = lesson
        self._line = line
        self._command = w.Text(
            value=line,
            description=_("Command"),
            style={"description_width": "initial"},
            layout={"width": "80%"},
        )
        self._run = w.Button(description=_("Run"))
        self._undo = w.Button(description=_("Undo"), disabled=True)
        self._view = w.HTML()
        lesson.foresee(lambda: tasks.enter(lesson, line, [line]), [lambda: self._try(argv)])
        self._run.on_click(self._ran)
        self._undo.on_click(self._undone)
        super().__init__(
            [self._command, w.HBox([self._run, self._undo]), self._view],
            _("Before and after (needs JupyterLab): {line}", line=line),
        )

    def _try(self, argv: list[str]) -> Markup:
        """Run the command; what it said, and the forest before and after it."""
        lesson = self._lesson
        before = reads.forest(lesson)
        result = lesson.command(argv)
        self._undo.disabled = False
        self._run.disabled = True
        note = _("exit code {code}", code=result.code) if result.code else ""
        output = show.output(lesson.badge, result.text, note)["text/html"]
        after = reads.forest(lesson)
        return Markup("{}<b>{}</b>{}<b>{}</b>{}").format(
            Markup(output), _("Before"), before.tree().html(), _("After"), after.tree(before).html()
        )

    def _ran(self, _button: object) -> None:
        with teaching(self._view, lambda: self._lesson.badge):
            argv = _docker_words(self._command.value)
            tasks.enter(self._lesson, self._line, [self._line])
            self._view.value = self._try(argv)

    def _undone(self, _button: object) -> None:
        notes = tasks.leave(self._lesson)
        self._undo.disabled = True
        self._run.disabled = False
        text = "\n".join([_("Undone."), *notes])
        self._view.value = show.message("note", text, self._lesson.badge)["text/html"]


def _docker_words(line: str) -> list[str]:
    argv = split(line)
    if argv[:1] != ["docker"]:
        raise LabError("Name the command to try: `%before_after docker commit NAME IMAGE`.")
    return argv
