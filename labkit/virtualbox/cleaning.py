"""Remove machines and files that are new in a lesson's folder, and nothing that others stand on."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from labkit.commands import Result
from labkit.messages import _
from labkit.virtualbox.folder import SETTINGS, Folder

Run = Callable[[Sequence[str]], Result]
Refused = tuple[str, str]  # what had to stay, and why


class Wanted(NamedTuple):
    """What is to go: what is not in ``since``, called one of ``names`` if given."""

    since: Container[str]
    names: Container[str] | None

    def called(self, name: str) -> bool:
        """Whether a thing of that name is meant."""
        return self.names is None or name in self.names


def remove_new(folder: Folder, run: Run, wanted: Wanted) -> list[str]:
    """Remove what is wanted, with VBoxManage where it knows of it; say what had to stay."""
    refused: dict[str, str] = {}
    while True:  # clones stand on machines, disks on disks: once more while that helps
        left = dict([*_machines(folder, run, wanted), *_files(folder, run, wanted)])
        if left.keys() == refused.keys():
            return [_("{name} stays: {why}", name=name, why=why) for name, why in left.items()]
        refused = left


def _machines(folder: Folder, run: Run, wanted: Wanted) -> Iterator[Refused]:
    """Remove machines; which could not go yet, and why."""
    graph = folder.graph(ask=False)
    for machine in reversed(graph.machines):
        if machine.uuid in wanted.since or not wanted.called(machine.name):
            continue
        if clones := [clone.name for clone in graph.machines if machine in graph.origins(clone)]:
            # half of the machine would go otherwise
            yield machine.name, _("{clones} stands on it.", clones=", ".join(clones))
            continue
        result = run(["VBoxManage", "unregistervm", machine.uuid, "--delete"])
        if result.code:
            yield machine.name, _reason(result)


def _files(folder: Folder, run: Run, wanted: Wanted) -> Iterator[Refused]:
    """Remove files; which could not go yet, and why."""
    known = _known_media(folder)
    for file in _doomed(folder, wanted):
        if file not in known:
            file.unlink(missing_ok=True)
            continue
        path = folder.name(file)
        result = run(["VBoxManage", "closemedium", "disk", f"$PWD/{path}", "--delete"])
        if result.code and file.exists():
            yield path, _reason(result)


def _reason(result: Result) -> str:
    return result.err.strip().partition("\n")[0]


def _doomed(folder: Folder, wanted: Wanted) -> list[Path]:
    """The files that are to go; settings go with their machine, unless that was never one."""
    machines = {machine.name for machine in folder.graph(ask=False).machines}
    doomed: list[Path] = []
    for file in folder.files():
        path = folder.name(file)
        owner, _slash, rest = path.partition("/")
        lost = bool(rest) and owner not in machines  # of a machine made without --register
        if path in wanted.since or (file.suffix in SETTINGS and not lost):
            continue
        if wanted.called(path) or (lost and wanted.called(owner)):
            doomed.append(file)
    return doomed


def _known_media(folder: Folder) -> set[Path]:
    """The disks that VirtualBox knows; its settings lack what it only opened."""
    if not folder.virtualbox:
        return set()
    listed = folder.virtualbox.ask(["list", "hdds"])
    return {Path(place) for place in re.findall(r"^Location: +(.*)", listed, re.M)}
