"""The fields of a header: where each is in the file, how its value reads, and what it means."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import NamedTuple

from labkit.disks.diskfile import DiskFile
from labkit.messages import N_


class DiskField(NamedTuple):
    """A field as it was read: its place in the file and its size, in bytes; the rest is for people.

    The texts are English, as a recording keeps them; they are translated where they are shown.
    """

    offset: int
    size: int
    name: str
    value: str
    meaning: str


class Number(NamedTuple):
    """A number that a header holds ``offset`` bytes from its beginning; ``code`` as in struct."""

    offset: int
    code: str
    name: str
    shown: Callable[[int], str]


class Octets(NamedTuple):
    """``size`` bytes that a header holds ``offset`` bytes from its beginning."""

    offset: int
    size: int
    name: str
    shown: Callable[[bytes], str]


FieldTable = Mapping[Number | Octets, str]  # the fields of a header, and what each means


class DiskHeader:
    """The header at byte ``at`` of a file: its fields for people, its values by their names.

    ``order``: of the bytes of a number, "<" or ">". LabError if the file ends before.
    """

    def __init__(
        self, file: DiskFile, at: int, order: str, table: FieldTable, what: str = N_("its header")
    ) -> None:
        self.fields: list[DiskField] = []
        self.numbers: dict[str, int] = {}
        self.octets: dict[str, bytes] = {}
        self._file = file
        self._at = at
        self._order = order
        self._what = what
        self.read(table)

    def read(self, table: FieldTable) -> None:
        """Read more fields of it."""
        codes = {row: row.code if isinstance(row, Number) else f"{row.size}s" for row in table}
        sizes = {row: struct.calcsize(self._order + code) for row, code in codes.items()}
        end = max(row.offset + size for row, size in sizes.items())
        data = self._file.need(self._at, end, self._what)
        for row, meaning in table.items():
            (value,) = struct.unpack_from(self._order + codes[row], data, row.offset)
            if isinstance(row, Number):
                self.numbers[row.name] = value
            else:
                self.octets[row.name] = value
            at = self._at + row.offset
            self.fields.append(DiskField(at, sizes[row], row.name, row.shown(value), meaning))

    def __getitem__(self, name: str) -> int:
        return self.numbers[name]

    def get(self, name: str, default: int = 0) -> int:
        """A number that not every header has."""
        return self.numbers.get(name, default)
