"""A lesson's folder as it is: its files, and the machines and media that VirtualBox has in it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from labkit.virtualbox.inventory import read_home
from labkit.virtualbox.program import VirtualBox
from labkit.virtualbox.snapshots import Graph

HOME = ".virtualbox"  # the VirtualBox home in it
SETTINGS = (".vbox", ".nvram")  # files that come and go with their machine
_PASSING = re.compile(r"\.(?:log(?:\.\d+)?|dat|part)$|-prev$|\.vbox-tmp$")  # VirtualBox's notes
_UUID = re.compile(r"\{[0-9a-f-]{36}\}")


class Folder:
    """The folder at ``path``; ``virtualbox`` works in it, if the lesson uses it."""

    def __init__(self, path: Path, virtualbox: VirtualBox | None) -> None:
        self.path, self.virtualbox = path, virtualbox

    def files(self) -> Iterator[Path]:
        """All files of the lesson, sorted, without what VirtualBox notes for itself."""
        for path in sorted(self.path.rglob("*")):
            passing = _PASSING.search(path.name) or self.path / HOME in path.parents
            if path.is_file() and not passing:
                yield path

    def name(self, file: Path) -> str:
        """A file as a lesson calls it."""
        return file.relative_to(self.path).as_posix()

    def shown(self, text: str) -> str:
        """A text with $PWD for the folder."""
        return text.replace(str(self.path), "$PWD")

    def fingerprint(self) -> str:
        """Another one after each change: a hash over all files."""
        found = hashlib.sha256()
        for path in [*self.files(), self.path / HOME / "VirtualBox.xml"]:
            if not path.exists():
                continue
            about = path.stat()
            if path.suffix in (".vbox", ".xml"):  # written again now and then, with the same words
                found.update(f"{path}\0{path.read_bytes()!r}\0".encode())
            else:
                found.update(f"{path}\0{about.st_size}\0{about.st_mtime_ns}\0".encode())
        return found.hexdigest()

    def graph(self, ask: bool = True) -> Graph:
        """Machines, snapshots and media; if to ``ask``, with what runs now. Raises LabError."""
        if not self.virtualbox:
            return Graph([], [])
        return read_home(self.virtualbox.home, self.virtualbox.running() if ask else ())

    def disk_files(self, machine: str) -> list[Path]:
        """The files of a machine's first disk, that of the current state first. Raises LabError."""
        return [Path(medium.location) for medium in self.graph(ask=False).disks(machine)]

    def world(self) -> dict[str, Any]:
        """Machines, media (as :meth:`Graph.to_json`), and files with their size in bytes.

        Paths begin with $PWD.
        """
        files = [
            {"path": self.name(path), "size": path.stat().st_size}
            for path in self.files()
            if path.suffix not in SETTINGS
        ]
        files.sort(key=_without_uuids)
        world = json.dumps(self.graph().to_json() | {"files": files})
        here = json.dumps(str(self.path))[1:-1]  # as it stands within a text of JSON
        relative: dict[str, Any] = json.loads(world.replace(here, "$PWD"))
        return relative


def _without_uuids(file: Mapping[str, Any]) -> tuple[list[str], int]:
    """To sort files by: UUIDs in their names are random."""
    return _UUID.sub("{}", str(file["path"])).split("/"), file["size"]
