"""What a user meets when something fails: one line, never a traceback."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from labkit.messages import _

T = TypeVar("T")


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


def one_of(known: Mapping[str, T], name: str, message: str, /, **values: object) -> T:
    """What a name stands for among those ``known``.

    Raises :class:`LabError` with the ``message``, its places ``{name}`` and ``{known}`` filled.
    """
    if name not in known:
        names = ", ".join(known) or _("none")
        raise LabError(message, name=name, known=names, **values)
    return known[name]
