"""The map of a disk: where in the file each of the guest's bytes is.

A map is read one table at a time, so memory does not grow with the disk.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from labkit.disks.diskfile import DiskFile
from labkit.disks.values import human, units
from labkit.messages import N_

ALL_TABLES = 1 << 27  # bytes of a map: that of 1 TiB in blocks of 64 KiB
_TOO_MANY = N_(
    "{name}: has {count} tables of {size}, more than this reader takes; "
    "copy or make the disk again."
)
_OUTSIDE = N_(
    "{name}: its map puts guest byte {start} at byte {at}, outside the file of {length}; "
    "copy or make the disk again."
)
_DAMAGED = N_("{name}: its compressed block at byte {at} is damaged; copy or make the disk again.")


class Extent(NamedTuple):
    """A stretch of the guest's bytes.

    ``kind`` is "data", found ``at`` that byte of the file; "compressed", packed there; "zero",
    zeros by the map's own word; "parent", not in this file: the parent's bytes or, without a
    parent, zeros; "unknown" where nobody says. The last three have no ``at``.
    """

    start: int
    length: int
    kind: str
    at: int | None

    def between(self, low: int, high: int) -> Extent | None:
        """Its part between two of the guest's bytes."""
        begin = max(self.start, low)
        end = min(self.start + self.length, high)
        if begin >= end:
            return None
        at = self.at
        if at is not None and self.kind == "data":
            at += begin - self.start
        return Extent(begin, end - begin, self.kind, at)


class AllocationMap:
    """The map of the ``length`` guest bytes from ``first`` on.

    ``bitmap``: bytes kept before each block in the file.
    """

    first: int = 0
    length: int = 0
    bitmap: int = 0

    def pieces(self, start: int, stop: int) -> Iterator[Extent]:
        """All pieces that have any of the guest's bytes from start to stop, whole and in order."""
        raise NotImplementedError

    def is_unknown(self) -> bool:
        """Whether nobody says where in the file something is."""
        return False

    def by_sectors(self, piece: Extent) -> Iterable[Extent]:
        """A piece, taken apart by what is known of its sectors."""
        return (piece,)

    def check(self, piece: Extent) -> None:
        """LabError if a piece is outside the file."""

    def packed(self, start: int) -> tuple[int, int]:
        """Where the packed bytes of the block at that guest byte are, and how many there are."""
        raise NotImplementedError

    def unpacked(self, extent: Extent) -> bytes:
        """The guest's bytes of a compressed extent. LabError if they are damaged."""
        raise NotImplementedError


class ExtentList(AllocationMap):
    """A map of pieces that are known from the start: of a flat disk, or as somebody else says."""

    def __init__(self, *known: Extent) -> None:
        self.known = known
        self.length = known[-1].start + known[-1].length if known else 0

    def pieces(self, start: int, stop: int) -> Iterator[Extent]:
        for piece in self.known:
            if piece.start < stop and start < piece.start + piece.length:
                yield piece

    def is_unknown(self) -> bool:
        return any(piece.kind == "unknown" for piece in self.known)


@dataclass(kw_only=True, repr=False)
class BlockTable(AllocationMap):
    """A map that is a table in the file, with an entry for each block of the guest.

    An entry is one of ``empty``, or a place: so many times ``unit`` bytes after byte ``base``.
    The entries are ``table``; or, if they have a ``code``, they are in tables of ``per`` entries
    each, which are at the places in ``table`` (0: that one is not there).
    """

    file: DiskFile
    first: int = 0
    length: int
    block: int  # bytes
    table: Sequence[int]
    empty: dict[int, str]  # the kinds of entries that are no place
    full: str = "data"  # the kind of those that are
    code: str = ""  # as in struct
    per: int = 0
    base: int = 0
    unit: int = 1
    step: int = 0  # how an entry grows to the next block in the file; 0: no two are in a row
    bitmap: int = 0
    end: int = 0  # the byte of the file where its data must end; 0: where that does

    def __post_init__(self) -> None:
        self.per = self.per or len(self.table)
        self.end = self.end or self.file.size
        self._last_place = 0  # of the table read last, and its entries
        self._last_entries: Sequence[int] = ()
        if self.code:
            count = len(self.table) - self.table.count(0)
            size = self.per * struct.calcsize(self.code)
            fits = count * size <= ALL_TABLES
            self.file.check(fits, _TOO_MANY, count=count, size=human(size))

    def entry(self, value: int) -> tuple[str, int | None]:
        """Kind and place of an entry."""
        kind = self.empty.get(value)
        if kind:
            return kind, None
        return self.full, self.base + value * self.unit

    def entries(self, index: int) -> Sequence[int]:
        """The index-th ``per`` entries; none if their table is not there."""
        if not self.code:
            return self.table
        place = self.table[index]
        if place != self._last_place:
            what = N_("a table of the map")
            self._last_entries = (
                self.file.numbers(place, self.per, self.code, what) if place else ()
            )
            self._last_place = place
        return self._last_entries

    def number(self, start: int) -> int:
        """Which block a guest byte is in."""
        return (start - self.first) // self.block

    def value(self, start: int) -> int:
        """The entry of the block at a guest byte, if its table is there."""
        number = self.number(start)
        return self.entries(number // self.per)[number % self.per]

    def pieces(self, start: int, stop: int) -> Iterator[Extent]:
        low = self.number(start)
        high = units(stop - self.first, self.block)
        while low < high:
            skip = low % self.per
            end = min(high, low - skip + self.per)  # of the blocks in this table
            entries = self.entries(low // self.per)
            if entries:
                yield from self._runs(low, entries[skip : skip + end - low])
            else:
                yield self._extent(low, end, "parent", None)
            low = end

    def _runs(self, begin: int, values: Sequence[int]) -> Iterator[Extent]:
        """The blocks from ``begin`` on by their entries, joined where they are in a row."""
        end = begin + len(values)
        kind = ""
        at: int | None = None
        expected = -1  # the entry that goes on with the run
        step = 0
        for number, value in enumerate(values, begin):
            if value == expected:  # nearly always, and cheap
                expected += step
                continue
            if number > begin:
                yield self._extent(begin, number, kind, at)
            begin = number
            kind, at = self.entry(value)
            step = self.step if kind == "data" else 0
            expected = value + step if step or at is None else -1
        yield self._extent(begin, end, kind, at)

    def unpacked(self, extent: Extent) -> bytes:
        skip = (extent.start - self.first) % self.block
        data = self.inflate(extent.start)[skip : skip + extent.length]
        self.file.check(len(data) == extent.length, _DAMAGED, at=extent.at)
        return data

    def inflate(self, start: int) -> bytes:
        """All bytes of the compressed block at a guest byte. LabError if they are damaged."""
        raise NotImplementedError

    def _extent(self, begin: int, end: int, kind: str, at: int | None) -> Extent:
        size = self.block
        return Extent(self.first + begin * size, (end - begin) * size, kind, at)

    def check(self, piece: Extent) -> None:
        if piece.at is None:
            return
        end = piece.at + (piece.length if piece.kind == "data" else 1)
        if end > self.end:
            length = human(self.file.size)
            raise self.file.wrong(_OUTSIDE, start=piece.start, at=piece.at, length=length)


def inflated(data: bytes, most: int, *, raw: bool = False) -> bytes | None:
    """Deflated data, at most so many bytes of it, whatever it becomes; None if it is damaged.

    ``raw``: without the header of zlib (RFC 1950).
    """
    try:
        return zlib.decompressobj(-15 if raw else 15).decompress(data, most)
    except zlib.error:
        return None


class MappedExtent(NamedTuple):
    """An extent, and the map that has it."""

    source: AllocationMap
    extent: Extent


def blocks_of(maps: Iterable[AllocationMap], start: int, stop: int) -> Iterator[MappedExtent]:
    """The guest's bytes from start to stop in whole blocks as the file has them, wherever."""
    for source in maps:
        low = max(start, source.first)
        high = min(stop, source.first + source.length)
        if low < high:
            for piece in source.pieces(low, high):
                if part := piece.between(low, high):
                    yield MappedExtent(source, part)


def extents_of(maps: Iterable[AllocationMap], start: int, stop: int) -> Iterator[MappedExtent]:
    """What the guest finds from start to stop. LabError at a place outside the file."""
    for source in maps:
        low = max(start, source.first)
        high = min(stop, source.first + source.length)
        if low < high:
            for whole in source.pieces(low, high):
                for piece in source.by_sectors(whole):
                    if part := piece.between(low, high):
                        source.check(part)
                        yield MappedExtent(source, part)


def merged(pieces: Iterable[MappedExtent]) -> Iterator[MappedExtent]:
    """Join neighbours that are so in the guest and in the file; compressed ones stay alone."""
    last: MappedExtent | None = None
    for piece in pieces:
        if last and _continues(last.extent, piece.extent):
            joined = last.extent._replace(length=last.extent.length + piece.extent.length)
            last = MappedExtent(last.source, joined)
            continue
        if last:
            yield last
        last = piece
    if last:
        yield last


def _continues(extent: Extent, following: Extent) -> bool:
    if extent.kind != following.kind or extent.kind == "compressed":
        return False
    return extent.at is None or extent.at + extent.length == following.at
