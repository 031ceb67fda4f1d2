"""The ledger: what labkit made on an engine, so that cleaning removes that and nothing else.

A label alone would not do: what a student builds on a lesson's image inherits its labels.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from labkit.errors import LabError

Entry = tuple[str, ...]  # (kind, id) or ("tag", name, image id)


class Ledger:
    """A text file a lesson, a line an object, written at once: what is cut short can be cleaned."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _file(self, lesson: str) -> Path:
        if not lesson.strip(".") or re.search(r"[/\\\0]", lesson):
            raise LabError(
                "{lesson!r:.60} is no lesson's name; lessons are called 00, 12 and the like.",
                lesson=lesson,
            )
        return self.folder / lesson

    def entries(self, lesson: str) -> list[Entry]:
        """What a lesson made, oldest first."""
        path = self._file(lesson)
        lines = path.read_text("utf-8", "replace").split("\n")[:-1] if path.is_file() else []
        return [tuple(line.split("\t")) for line in lines if "\t" in line]  # else cut short

    def lessons(self) -> list[str]:
        """Lessons that made something."""
        return sorted(path.name for path in self.folder.glob("*") if path.is_file())

    def owns(self, *entry: str) -> bool:
        """True if any lesson made it."""
        return any(entry in self.entries(lesson) for lesson in self.lessons())

    def _write(self, lesson: str, entries: Sequence[Entry]) -> None:
        path = self._file(lesson)
        part = self.folder.parent / f"{self.folder.name}.{lesson}.part"  # never half an ID
        self.folder.mkdir(parents=True, exist_ok=True)
        text = "".join("\t".join(entry) + "\n" for entry in entries)
        part.write_text(text, "utf-8", newline="\n")
        os.replace(part, path)

    def add(self, lesson: str, entries: Sequence[Entry]) -> None:
        """Write down new objects. Raises :class:`LabError` naming them if the disk refuses."""
        try:
            self._write(lesson, [*self.entries(lesson), *entries])
        except OSError as error:
            raise LabError(
                "labkit could not note what it made in {folder} ({reason}); free some space, then "
                "remove by hand: {things}.",
                folder=self.folder,
                reason=error.strerror,
                things=", ".join(entry[1][:40] for entry in entries),
            ) from None

    def keep(self, lesson: str, entries: Sequence[Entry]) -> None:
        """Keep only a lesson's lines of what is still there. Raises :class:`LabError`."""
        try:
            if entries:
                self._write(lesson, entries)
            else:
                self._file(lesson).unlink(missing_ok=True)
        except OSError as error:
            raise LabError(
                "labkit could not update its notes in {folder} ({reason}); the old ones are kept: "
                "free some space and run the %lesson cell again.",
                folder=self.folder,
                reason=error.strerror,
            ) from None
