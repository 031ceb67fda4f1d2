"""The ledger: what labkit made on an engine, so that cleaning removes that and nothing else.

A label alone would not do: what a student builds on a lesson's image inherits its labels.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from labkit.commands import LabError

Entry = tuple[str, ...]  # (kind, id) or ("tag", name, image id)


def home() -> Path:
    """labkit's own folder (``LABKIT_HOME``, else ``~/.labkit``)."""
    return Path(os.environ.get("LABKIT_HOME") or Path.home() / ".labkit")


class Ledger:
    """One text file a lesson, one object a line; appended to at once, so a lesson cut short can be cleaned."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def entries(self, lesson: str) -> list[Entry]:
        """What a lesson made, oldest first."""
        path = self.folder / lesson
        return [tuple(line.split("\t")) for line in path.read_text("utf-8").splitlines()] if path.is_file() else []

    def lessons(self) -> list[str]:
        """Lessons that made something."""
        return sorted(path.name for path in self.folder.iterdir() if path.is_file()) if self.folder.is_dir() else []

    def owns(self, *entry: str) -> bool:
        """True if any lesson made it."""
        return any(entry == known for lesson in self.lessons() for known in self.entries(lesson))

    def add(self, lesson: str, entries: Sequence[Entry]) -> None:
        """Write down new objects. Raises :class:`LabError` naming them if the disk refuses."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with open(self.folder / lesson, "a", encoding="utf-8") as file:
                file.writelines("\t".join(entry) + "\n" for entry in entries)
        except OSError as error:
            raise LabError(f"labkit could not note what it made in {self.folder} ({error.strerror}); free some space, "
                           f"then remove by hand: {', '.join(entry[1][:40] for entry in entries)}.") from None

    def keep(self, lesson: str, entries: Sequence[Entry]) -> None:
        """Replace a lesson's lines by those of what is still there."""
        if entries:
            part = self.folder.parent / f"{self.folder.name}.{lesson}.part"
            part.write_text("".join("\t".join(entry) + "\n" for entry in entries), "utf-8")
            os.replace(part, self.folder / lesson)
        else:
            (self.folder / lesson).unlink(missing_ok=True)
