"""Appliances and settings from elsewhere, looked at before VirtualBox acts on what they name.

VirtualBox takes paths in them as they stand, and writes or removes the files that they lead to.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PureWindowsPath
from xml.etree.ElementTree import Element

from labkit.errors import LabError

# The attributes of an appliance whose files VirtualBox would write, or remove with the machine.
PATH_ATTRIBUTES = {"href", "snapshotFolder", "stateFile", "path", "location", "tracefile"}
DESCRIPTOR = 16 << 20  # bytes; a real one has some 10 KiB


def examine_appliance(appliance: Path) -> None:
    """Raise :class:`LabError` if VirtualBox would use files outside the new machine's folder.

    VirtualBox (7.2) puts a disk where ``href`` says and snapshots where ``snapshotFolder`` says, be
    it above the machine's folder or anywhere on the computer, deletes the ``stateFile`` of somebody
    else with the machine, and keeps the other paths for when the machine starts.
    """
    from defusedxml import ElementTree

    try:
        root = ElementTree.fromstring(_descriptor(appliance), forbid_dtd=True)
    except OSError as error:
        raise LabError(
            "{file:.60} cannot be read ({reason}).", file=appliance.name, reason=error.strerror
        ) from None
    except (tarfile.TarError, ElementTree.ParseError, ValueError, LookupError):
        # What defusedxml raises itself are ValueErrors.
        raise LabError(
            "{file:.60} is damaged, or no appliance: that is a plain tar (ustar) whose first "
            "file is a sound .ovf. Get it once more, or pack it again in that order.",
            file=appliance.name,
        ) from None
    for _element, name, value in _leading_away(root):
        if name.rpartition("}")[2] in PATH_ATTRIBUTES:
            raise LabError(
                "{file:.60} is not imported: with it VirtualBox would use {path!r}, outside "
                "the new machine's folder. Do not trust whoever made it.",
                file=appliance.name,
                path=value[:60],
            )


@lru_cache  # they are looked at before every command
def examine_settings(path: Path, folder: Path, changed: int) -> None:
    """Raise :class:`LabError` if settings name files outside ``folder``.

    ``changed`` is the time of their last change, of any unit: with a new one they are read again.
    Any attribute may be a path, but for names (those of groups begin with /) and what a guest has
    said. What is no XML is left to VirtualBox, which does not take it either.
    """
    from defusedxml import ElementTree

    try:
        root = ElementTree.parse(path, forbid_dtd=True).getroot()
    except (OSError, ElementTree.ParseError):
        return
    except (ValueError, LookupError):  # defusedxml's own are ValueErrors
        raise LabError(
            "{file:.60} has parts that no settings of VirtualBox have: run the %lesson cell to "
            "start over without it.",
            file=path.name,
        ) from None
    for element, name, value in _leading_away(root):
        if name == "name" or element.tag.endswith("}GuestProperty"):
            continue
        foreign = os.name == "posix" and PureWindowsPath(value).drive  # of another computer
        if foreign or not (path.parent / value).resolve().is_relative_to(folder):
            raise LabError(
                "{file:.60} names {path!r}, outside this lesson's folder, and VirtualBox would "
                "use it: run the %lesson cell to start over without it.",
                file=path.name,
                path=value[:60],
            )


def _descriptor(appliance: Path) -> bytes:
    """The OVF of an appliance, which in an archive must come first.

    VirtualBox (7.2) looks for it behind other files, too; so that it and we can read no two
    different ones out of one archive, the first block must say it. Of one that is too long the end
    is missing, so it is not sound. Raises :class:`ValueError` or :class:`tarfile.TarError`.
    Source: DMTF DSP0243, "OVF package": a tar in USTAR format whose first file is the descriptor.
    """
    with appliance.open("rb") as file:
        if appliance.suffix.lower() == ".ovf":  # that is how VirtualBox decides
            return file.read(DESCRIPTOR)
        block = file.read(tarfile.BLOCKSIZE)
        first = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        is_file = first.type in (tarfile.REGTYPE, tarfile.AREGTYPE)
        if not is_file or first.size < 0 or not first.name.lower().endswith(".ovf"):
            raise ValueError("something else comes first")
        return file.read(min(DESCRIPTOR, first.size))


def _leading_away(root: Element) -> Iterator[tuple[Element, str, str]]:
    """Attributes that may lead out of the folder of their file: element, name, value."""
    for element in root.iter():
        for name, value in element.items():
            path = PureWindowsPath(value)  # knows the separators of all systems
            if path.anchor or ".." in path.parts:
                yield element, name, value
