"""What is on this machine for the course, and how to get what is missing."""

from __future__ import annotations

import sys
from pathlib import Path

from labkit.docker.engine import Docker
from labkit.errors import LabError
from labkit.lesson import lessons_folder
from labkit.virtualbox.engine import Bench
from labkit.virtualbox.program import VirtualBox


def _virtualbox() -> str:
    virtualbox = VirtualBox(Path(), Path.cwd())
    return str(virtualbox) + (  # whose answer also tells of the driver
        ""
        if virtualbox.driver
        else "; its kernel driver is not loaded, so machines cannot be started"
    )


def examine() -> list[tuple[bool, str]]:
    """(fine, one line) for each thing the lessons can use. Raises :class:`LabError` outside the course."""
    found = [(sys.version_info >= (3, 11), f"Python {sys.version.split()[0]}")]
    try:
        found.append((True, f"{Docker.find()}: lessons run live"))
    except LabError as error:
        found.append((False, f"{error} Until then the lessons on Docker replay their recordings."))
    for look in (_virtualbox, lambda: f"qemu-img: {Bench.program('qemu-img')}"):
        try:
            found.append((True, look()))
        except LabError as error:
            found.append(
                (
                    False,
                    f"{error} Until then the lessons on machines and disks replay their recordings.",
                )
            )
    recorded = sorted(path.parent.name for path in lessons_folder().glob("*/recording.json"))
    found.append(
        (bool(recorded), f"recordings of {len(recorded)} lessons: {', '.join(recorded) or 'none'}")
    )
    return found
