"""What a lesson reads of machines and disks, live or replayed: for checks, panels and magics."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from labkit.disks import Disk
from labkit.engine import Session
from labkit.errors import LabError
from labkit.messages import _
from labkit.virtualbox.snapshots import Graph

_DAMAGED = "! "  # before the reason why a disk cannot be read, in the place of its digest


def graph(session: Session) -> Graph:
    """Machines, snapshots and media now. Raises :class:`LabError`."""
    session.requires("virtualbox")
    found = Graph.from_json({"machines": [], "media": [], "notes": [], **session.world()})
    found.numbers = session.memory.setdefault("disk numbers", {})
    found.labels()  # numbers them in the order in which they were seen
    return found


def files(session: Session) -> dict[str, int]:
    """The files in the lesson's folder, with their sizes in bytes. Raises :class:`LabError`."""
    session.requires("virtualbox")
    return {file["path"]: file["size"] for file in session.world()["files"]}


def size(session: Session, name: str) -> int:
    """Bytes of a file in the lesson's folder. Raises :class:`LabError` if there is none."""
    known = files(session)
    if name not in known:
        raise LabError("The file {name} is missing: run the cells above this one first.", name=name)
    return known[name]


def disk(session: Session, name: str) -> Disk:
    """A disk file of the lesson's. Raises :class:`LabError` if there is none of that name."""
    name = name.removeprefix("$PWD/")
    known = files(session)
    if name not in known:
        raise LabError(
            "There is no file {name:.60} in the lesson's folder; there are: {known:.300}.",
            name=name,
            known=", ".join(known) or _("none"),
        )
    found = digest(session, name)
    if found.startswith(_DAMAGED):
        raise LabError(found.removeprefix(_DAMAGED))
    return Disk.from_json(session.content(found, lambda: session.memory["disk", found]))


def digest(session: Session, name: str) -> str:
    """A name for what a disk file holds now, which :func:`disk` finds again.

    Or "! " and why it cannot be read.
    """

    def live() -> str:
        try:
            with session.engine("virtualbox").disk(name) as opened:
                about: dict[str, Any] = opened.to_json()
        except LabError as error:
            return f"{_DAMAGED}{error}"
        found = hashlib.sha256(json.dumps(about).encode()).hexdigest()
        session.memory["disk", found] = about
        session.content(found, lambda: about)
        return found

    return str(session.read(f"disk {name}", live))


def guest(session: Session, machine: str) -> list[str]:
    """What the guest of a machine would read at the start of each page of its disk.

    Raises :class:`LabError` if there is no such machine, or it has no disk.
    """
    found = graph(session)
    found.disks(machine)
    return pages(session, found.machine(machine).name)


def pages(session: Session, machine: str) -> list[str]:
    """As :func:`guest`, of a machine known by this name. Raises :class:`LabError`."""
    texts: list[str] = session.read(
        f"guest {machine}", lambda: session.engine("virtualbox").guest(machine)
    )
    return texts
