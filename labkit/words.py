"""A line as typed, as words: what a POSIX shell would make of it, without any shell."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from labkit.errors import LabError

_PIECE = re.compile(
    r"""'(?P<raw>[^']*)'|"(?P<quoted>[^"]*)"|(?P<gap>\s+)|(?P<bare>[^\s'"]+)"""  # \ separates folders
    if sys.platform == "win32"
    else r"""'(?P<raw>[^']*)'|"(?P<quoted>(?:\\.|[^"\\])*)"|\\(?P<one>.)|"""
    r"""(?P<gap>\s+)|(?P<bare>[^\s'"\\]+)""",
    re.S,
)

_OPERATOR = re.compile(r"\|\|?|&&?|;|<<?|>>?|\$\(|`")

_PLACES: dict[str, Callable[[], Path]] = {"PWD": Path.cwd, "HOME": Path.home}

_SPECIAL = re.compile(r"\\([$`\"\\])|\$(?:(PWD|HOME)\b|\{(PWD|HOME)\})")


def split(line: str, keep: Sequence[str] = ()) -> list[str]:
    """The words of a command line as a POSIX shell would split them, without running any shell.

    ``$PWD`` and ``$HOME`` are the only variables known, and those in ``keep`` stay as they are. Raises
    :class:`LabError` for an open quote or a shell's operators.
    Source: POSIX.1-2017, Shell Command Language, 2.2 Quoting.
    """

    def value(found: re.Match[str]) -> str:
        name = found[2] or found[3]
        return found[1] or (f"${name}" if name in keep else _PLACES[name]().as_posix())

    words: list[str] = [""]
    at, started = 0, False
    while found := _PIECE.match(line, at):
        at, kind, text = found.end(), found.lastgroup, found[found.lastgroup or 0]
        if kind == "gap":
            words, started = ([*words, ""] if started else words), False
            continue
        if kind == "bare" and (operator := _OPERATOR.search(text)):
            raise LabError(
                f"`{operator[0]}` belongs to a shell, and this cell runs one command without a shell: run "
                'the commands one by one, or quote it for a shell inside: `sh -c "… | …"`.'
            )
        if kind in ("bare", "quoted"):
            text = _SPECIAL.sub(value, text)
        words[-1], started = words[-1] + text, True
    if at < len(line):
        raise LabError("A quote is opened and never closed: add the missing ' or \".")
    return words if started else words[:-1]


def number(word: str, least: int, most: int, said: str) -> int:
    """A whole number as typed. Raises :class:`LabError` with what is ``said`` if it is none from least to most."""
    if not word.isascii() or not word.isdigit() or len(word) > 9 or not least <= int(word) <= most:
        raise LabError(said)
    return int(word)
