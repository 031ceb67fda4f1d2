"""The bytes of the file, or files, that a disk is kept in, and the fields of its headers."""

from __future__ import annotations

import os
import stat
import struct
import sys
from array import array
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from labkit.disks.values import human
from labkit.errors import LabError
from labkit.messages import N_, _
from labkit.show.text import clean, shorten

SECTOR = 512  # bytes
LONGEST_TABLE = 1 << 25  # bytes: no table of a map is longer
_TOO_SHORT = N_(
    "{name}: {what} takes {size} at byte {at}, but the file has {length}; "
    "copy or make the disk again."
)
_TOO_LONG = N_(
    "{name}: {what} of {size} is longer than this reader takes; copy or make the disk again."
)


class FilePart(NamedTuple):
    """One of the files: where it begins in the whole, its size in bytes, and the file, open."""

    start: int
    size: int
    file: BinaryIO


class DiskFile:
    """The bytes of a disk's files, one after the other, read only; who adds one closes it.

    ``size``: of all files, in bytes. Messages are templates with a place for its ``{name}``.
    """

    def __init__(self, name: str) -> None:
        self.name = shorten(clean(name), 80)
        self.size = 0
        self.parts: list[FilePart] = []

    def check(self, fine: object, message: str, **values: object) -> None:
        """LabError, one line about this file, unless it is fine."""
        if not fine:
            raise LabError(message, name=self.name, **values)

    def add(self, path: Path) -> FilePart:
        """Append a file. LabError if it cannot be read, or is no regular file."""
        try:
            # not a folder, nor a pipe that would never answer
            is_file = stat.S_ISREG(os.stat(path).st_mode)
            self.check(is_file, N_("{name}: is not a file; name the file of the disk itself."))
            file = open(path, "rb")  # noqa: SIM115  closed by close()
            part = FilePart(self.size, os.fstat(file.fileno()).st_size, file)
        except (OSError, ValueError) as error:  # ValueError: a NUL in a name
            raise LabError(
                "{name}: cannot be read: {reason}; check its name and its permissions.",
                name=self.name,
                reason=getattr(error, "strerror", None) or _("its name makes no sense"),
            ) from None
        self.size += part.size
        self.parts.append(part)
        return part

    def read(self, at: int, size: int) -> bytes:
        """Up to ``size`` bytes; fewer only at the end."""
        data = b""
        for part in self.parts:
            low = max(at, part.start)
            high = min(at + size, part.start + part.size)
            if low < high:
                try:
                    part.file.seek(low - part.start)
                    piece = part.file.read(high - low)
                except OSError as error:
                    raise LabError(
                        "{name}: cannot be read ({reason}); open it again.",
                        name=self.name,
                        reason=error.strerror,
                    ) from None
                data += piece.ljust(high - low, b"\0")  # it may have been cut since it was opened
        return data

    def need(self, at: int, size: int, what: str) -> bytes:
        """Exactly ``size`` bytes; ``what`` says in English what they are.

        LabError if they are not all there, or are more than any map needs.
        """
        about = {"what": _(what), "size": human(size), "at": at, "length": human(self.size)}
        self.check(at + size <= self.size, _TOO_SHORT, **about)
        self.check(size <= LONGEST_TABLE, _TOO_LONG, **about)
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


class DiskField(NamedTuple):
    """A field as it was read: its place in the file and its size, in bytes; the rest is for people.

    The texts are English, as a recording keeps them; they are translated where they are shown.
    """

    offset: int
    size: int
    name: str
    value: str
    meaning: str


# Fields by what they mean: the byte of the header, the code as in struct, name, value as text.
FieldTable = Mapping[tuple[int, str, str, Callable[..., str]], str]


class DiskHeader(dict[str, int]):
    """The numbers of the header at byte ``at`` of a file. LabError if the file ends before.

    ``order``: of the bytes of a number, "<" or ">". ``fields`` are for people, ``texts`` are their
    values by name.
    """

    def __init__(
        self, file: DiskFile, at: int, order: str, table: FieldTable, what: str = N_("its header")
    ) -> None:
        super().__init__()
        self.fields: list[DiskField] = []
        self.texts: dict[str, str] = {}
        end = max(offset + struct.calcsize(order + code) for offset, code, _name, _shown in table)
        data = file.need(at, end, what)
        for (offset, code, name, shown), meaning in table.items():
            (value,) = struct.unpack_from(order + code, data, offset)
            if not code.endswith("s"):
                self[name] = value
            text = shown(value)
            self.texts[name] = text
            size = struct.calcsize(order + code)
            self.fields.append(DiskField(at + offset, size, name, text, meaning))
