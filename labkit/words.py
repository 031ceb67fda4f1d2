"""A line as typed, as words: what a POSIX shell would make of it, without any shell."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from labkit.errors import LabError

# On Windows a backslash separates folders, so there it quotes nothing.
_PIECE = re.compile(
    r"""'(?P<raw>[^']*)'|"(?P<quoted>[^"]*)"|(?P<gap>\s+)|(?P<bare>[^\s'"]+)"""
    if sys.platform == "win32"
    else r"""'(?P<raw>[^']*)'|"(?P<quoted>(?:\\.|[^"\\])*)"|\\(?P<one>.)|"""
    r"""(?P<gap>\s+)|(?P<bare>[^\s'"\\]+)""",
    re.S,
)
_OPERATOR = re.compile(r"\|\|?|&&?|;|<<?|>>?|\$\(|`")
_SPECIAL = re.compile(r"\\([$`\"\\])|\$(?:(PWD|HOME)\b|\{(PWD|HOME)\})")
_PLACES: dict[str, Callable[[], Path]] = {"PWD": Path.cwd, "HOME": Path.home}


def split(line: str, keep: Sequence[str] = ()) -> list[str]:
    """The words of a command line as a POSIX shell would split them, without running any shell.

    ``$PWD`` and ``$HOME`` are the only variables known, and those in ``keep`` stay as they are.
    Raises :class:`LabError` for an open quote or a shell's operators.
    Source: POSIX.1-2017, Shell Command Language, 2.2 Quoting.
    """
    words: list[str] = []
    word: str | None = None  # the one that pieces are added to; "" is a word too
    place = 0
    while piece := _PIECE.match(line, place):
        place = piece.end()
        if piece["gap"]:
            if word is not None:
                words.append(word)
            word = None
        else:
            word = (word or "") + _value(piece, keep)
    if place < len(line):
        raise LabError("A quote is opened and never closed: add the missing ' or \".")
    return words if word is None else [*words, word]


def _value(piece: re.Match[str], keep: Sequence[str]) -> str:
    """What a piece of a word stands for. Raises :class:`LabError` for a shell's operators."""
    kind = piece.lastgroup or ""
    text = piece[kind]
    if kind == "bare" and (operator := _OPERATOR.search(text)):
        raise LabError(
            "`{operator}` belongs to a shell, and this cell runs one command without a shell: "
            'run the commands one by one, or quote it for a shell inside: `sh -c "… | …"`.',
            operator=operator[0],
        )

    def special(found: re.Match[str]) -> str:
        escaped, name = found[1], found[2] or found[3]
        return escaped or (f"${name}" if name in keep else _PLACES[name]().as_posix())

    return _SPECIAL.sub(special, text) if kind in ("bare", "quoted") else text


def number(word: str, least: int, most: int, usage: str) -> int:
    """A whole number as typed.

    Raises :class:`LabError` with the ``usage`` for what is none from ``least`` to ``most``.
    """
    if not word.isascii() or not word.isdigit() or len(word) > 9 or not least <= int(word) <= most:
        raise LabError(usage)
    return int(word)
