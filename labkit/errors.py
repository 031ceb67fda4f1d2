"""What a user meets when something fails: one line, never a traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.messages import _

if TYPE_CHECKING:
    from labkit.commands import Result


class LabError(Exception):
    """One line with what happened, why, what to do next.

    The ``message`` is a sentence for :data:`labkit.messages._`, its places filled with ``values``.
    """

    def __init__(self, message: str, /, **values: object) -> None:
        super().__init__(_(message, **values))

    def _render_traceback_(self) -> list[str]:
        # IPython's own hook: a student's cell shows this line instead of a traceback.
        return [str(self)]


class MissingProgram(LabError):
    """The program of a command is not installed, or not on PATH."""


class Interrupted(LabError):
    """The user interrupted a command; it has ended. ``result`` holds what it had printed."""

    def __init__(self, result: Result) -> None:
        super().__init__(
            "Stopped by you after {seconds:.0f} s: {program} has ended, nothing is left running. "
            "Run the cell again when you like.",
            seconds=result.seconds,
            program=result.argv[0],
        )
        self.result = result
