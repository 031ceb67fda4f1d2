"""One output that grows while a command runs, a bar for each part, and ends as the final one."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from labkit.show.markup import macro
from labkit.show.output import pre, put, without_colours

TAIL = 50_000  # characters kept meanwhile: a flood of output must not slow itself down


class Bar(NamedTuple):
    """How far one part of a command is, in ``percent``, and what it is ``doing``."""

    name: str
    percent: int
    doing: str = ""


def progress(text: str, read: Callable[[str], Sequence[Bar]]) -> str:
    """The bars as HTML, or the words themselves while there are none."""
    bars = read(text)
    return str(macro("show/output.html", "progress", bars) if bars else pre(without_colours(text)))


class Live:
    """The output of a command that runs; ``read`` finds the bars in its words so far.

    ``hear`` is for ``commands.run(on_text=…)``. ``LABKIT_PROGRESS=off`` makes it None, and only the
    end is shown (nbval knows no updates of a display).
    """

    def __init__(self, read: Callable[[str], Sequence[Bar]]) -> None:
        self._read = read
        self._text = ""
        self._handle: Any = None  # of IPython's display, once something is shown
        self.hear = None if os.environ.get("LABKIT_PROGRESS") == "off" else self._hear

    def _hear(self, text: str) -> None:
        self._text = (self._text + text)[-TAIL:]
        self.end({"text/plain": self._text, "text/html": progress(self._text, self._read)})

    def end(self, bundle: dict[str, Any]) -> None:
        """Replace what was shown, at last by the final output."""
        if self._handle:
            self._handle.update(bundle, raw=True)
        else:
            self._handle = put(bundle, display_id=True if self.hear else None)
