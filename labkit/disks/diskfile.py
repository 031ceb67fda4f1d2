"""The bytes of the file that a disk is kept in; of several files, one after the other."""

from __future__ import annotations

import os
import stat
import struct
import sys
from array import array
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from labkit.disks.values import human, one_line
from labkit.errors import LabError
from labkit.messages import N_, _
from labkit.show.text import clean, shorten

LONGEST_TABLE = 1 << 25  # bytes: no table of a map is longer
_UNREADABLE = N_("{name}: cannot be read: {reason}; check its name and its permissions.")
_TOO_SHORT = N_(
    "{name}: {what} takes {size} at byte {at}, but the file has {length}; "
    "copy or make the disk again."
)
_TOO_LONG = N_(
    "{name}: {what} of {size} is longer than this reader takes; copy or make the disk again."
)


class Elsewhere(LabError):
    """A disk is kept in a file outside its own folder."""


class FilePart(NamedTuple):
    """One of the files: where it begins in the whole, its size in bytes, and the file, open."""

    start: int
    size: int
    file: FileIO


class DiskFile:
    """The bytes of a disk's files, read only; who makes one closes it.

    ``size``: of all files, in bytes. ``identity`` tells the first file from any other.
    Messages about it are templates with a place for its ``{name}``.
    """

    def __init__(self, path: Path) -> None:
        self.name = shorten(clean(path.name or str(path)), 80)
        self.size = 0
        self.parts: list[FilePart] = []
        self.add(path)
        status = os.fstat(self.parts[0].file.fileno())
        self.identity = status.st_dev, status.st_ino

    def wrong(self, message: str, **values: object) -> LabError:
        """One line about this file."""
        return LabError(message, name=self.name, **values)

    def elsewhere(self, message: str, name: str) -> Elsewhere:
        """The same when a part of the disk is in a ``{file}`` that is not beside this one."""
        return Elsewhere(message, name=self.name, file=one_line(name) or _("no name"))

    def check(self, fine: object, message: str, **values: object) -> None:
        """LabError, one line about this file, unless it is fine."""
        if not fine:
            raise self.wrong(message, **values)

    def add(self, path: Path) -> FilePart:
        """Append a file. LabError if it cannot be read, or is no regular file."""
        try:
            # not a folder, nor a pipe that would never answer
            is_file = stat.S_ISREG(os.stat(path).st_mode)
            self.check(is_file, N_("{name}: is not a file; name the file of the disk itself."))
            file = open(path, "rb", buffering=0)  # noqa: SIM115  closed by close()
            part = FilePart(self.size, os.fstat(file.fileno()).st_size, file)
        except (OSError, ValueError) as error:  # ValueError: a NUL in a name
            reason = getattr(error, "strerror", None) or _("its name makes no sense")
            raise self.wrong(_UNREADABLE, reason=reason) from None
        self.size += part.size
        self.parts.append(part)
        return part

    def read_into(self, at: int, view: memoryview) -> None:
        """Fill the view from byte ``at`` on; beyond the end of the files it stays as it is."""
        for part in self.parts:
            low = max(at, part.start)
            high = min(at + len(view), part.start + part.size)
            if low < high:
                self._read_part(part, low, view[low - at : high - at])

    def _read_part(self, part: FilePart, at: int, view: memoryview) -> None:
        try:
            part.file.seek(at - part.start)
            while view and (count := part.file.readinto(view)):
                view = view[count:]
        except (OSError, ValueError) as error:  # ValueError: it was closed
            reason = getattr(error, "strerror", None) or _("closed")
            raise self.wrong(
                N_("{name}: cannot be read ({reason}); open it again."), reason=reason
            ) from None

    def read(self, at: int, size: int) -> bytes:
        """Up to ``size`` bytes; fewer only at the end."""
        data = bytearray(max(0, min(size, self.size - at)))
        self.read_into(at, memoryview(data))
        return bytes(data)

    def need(self, at: int, size: int, what: str) -> bytes:
        """Exactly ``size`` bytes; ``what`` says in English what they are.

        LabError if they are not all there, or are more than any map needs.
        """
        shown = human(size)
        self.check(
            at + size <= self.size,
            _TOO_SHORT,
            what=_(what),
            size=shown,
            at=at,
            length=human(self.size),
        )
        self.check(size <= LONGEST_TABLE, _TOO_LONG, what=_(what), size=shown)
        return self.read(at, size)

    def numbers(self, at: int, count: int, code: str, what: str = N_("its map")) -> Sequence[int]:
        """``count`` integers. LabError as :meth:`need`.

        ``code``: the order "<" or ">", then a code of 4 or 8 bytes, as in :mod:`struct`.
        """
        table = array(code[1], self.need(at, count * struct.calcsize(code), what))
        if (code[0] == ">") == (sys.byteorder == "little"):
            table.byteswap()
        return table

    def close(self) -> None:
        """Close the files."""
        for part in self.parts:
            part.file.close()
