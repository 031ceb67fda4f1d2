"""What is on this machine for the course, and how to get what is missing."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from labkit.engine import Finding, engines
from labkit.lesson import lessons_folder
from labkit.messages import _


def examine() -> Iterator[Finding]:
    """A line for each thing the lessons can use. Raises :class:`LabError` outside the course."""
    yield Finding(True, f"Python {sys.version.split()[0]}")
    for kind in engines().values():
        yield from kind.examine()
    recorded = sorted(path.parent.name for path in lessons_folder().glob("*/recording.json"))
    names = ", ".join(recorded) or _("none")
    text = _("recordings of {count} lessons: {names}", count=len(recorded), names=names)
    yield Finding(bool(recorded), text)
