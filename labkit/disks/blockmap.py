"""The map of a disk: where in the file each of the guest's bytes is, and what else is in the file.

A map is read one table at a time, so memory does not grow with the disk.
"""

from __future__ import annotations

import struct
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


class Region(NamedTuple):
    """A stretch of the file, in bytes; ``kind``: "header", "map", "data", "other" or "free".

    The label is English, as a recording keeps it; it is translated where it is shown.
    """

    offset: int
    size: int
    kind: str
    label: str


class AllocationMap:
    """The map of the ``length`` guest bytes from ``first`` on.

    Its pieces are ``known`` from the start, as of a flat disk, unless a subclass reads them.
    ``bitmap``: bytes kept before each block in the file.
    """

    first: int = 0
    bitmap: int = 0
    known: tuple[Extent, ...] = ()

    def __init__(self, *known: Extent) -> None:
        self.known = known
        self.length = known[-1].start + known[-1].length if known else 0

    def pieces(self, start: int, stop: int) -> Iterator[Extent]:
        """All pieces that have any of the guest's bytes from start to stop, whole and in order."""
        for piece in self.known:
            if piece.start < stop and start < piece.start + piece.length:
                yield piece

    def parts(self, piece: Extent) -> Iterable[Extent]:
        """What the guest finds in a piece. LabError at a place outside the file."""
        return (piece,)

    def stored_size(self, piece: Extent) -> int:
        """How many bytes of the file a piece takes."""
        return piece.length


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
        if place := self.table[index]:
            return self.file.numbers(place, self.per, self.code, N_("a table of the map"))
        return ()

    def pieces(self, start: int, stop: int) -> Iterator[Extent]:
        low = (start - self.first) // self.block
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

    def _extent(self, begin: int, end: int, kind: str, at: int | None) -> Extent:
        return Extent(self.first + begin * self.block, (end - begin) * self.block, kind, at)

    def parts(self, piece: Extent) -> Iterable[Extent]:
        if piece.at is not None:
            end = piece.at + (piece.length if piece.kind == "data" else 1)
            about = {"start": piece.start, "at": piece.at, "length": human(self.file.size)}
            self.file.check(end <= self.end, _OUTSIDE, **about)
        return (piece,)


def blocks_of(
    maps: Iterable[AllocationMap], start: int, stop: int
) -> Iterator[tuple[AllocationMap, Extent]]:
    """The guest's bytes in whole blocks as the file has them, from that of ``start`` to stop."""
    for source in maps:
        low = max(start, source.first)
        high = min(stop, source.first + source.length)
        if low < high:
            for piece in source.pieces(low, high):
                yield source, piece._replace(length=min(piece.length, high - piece.start))


def extents_of(maps: Iterable[AllocationMap], start: int, stop: int) -> Iterator[Extent]:
    """What the guest finds in these blocks. LabError at a place outside the file.

    Neighbours that are so in the guest and in the file are joined; compressed ones stay alone.
    """
    last: Extent | None = None
    for source, block in blocks_of(maps, start, stop):
        for extent in source.parts(block):
            if (
                last
                and last.kind == extent.kind != "compressed"
                and (last.at is None or last.at + last.length == extent.at)
            ):
                last = last._replace(length=last.length + extent.length)
                continue
            if last:
                yield last
            last = extent
    if last:
        yield last


def claims_of(maps: Iterable[AllocationMap], capacity: int) -> Iterator[Region]:
    """What the maps put into the file, in the guest's order."""
    for source, block in blocks_of(maps, 0, capacity):
        if block.at is not None:
            if source.bitmap:
                at = block.at - source.bitmap
                yield Region(at, source.bitmap, "map", N_("bitmap of sectors"))
            yield Region(block.at, source.stored_size(block), "data", N_("guest data"))


def lay_out(
    claims: Iterable[Region], file_size: int, gap: tuple[str, str], share: int
) -> tuple[list[Region], list[int]]:
    """The file without gaps by what its parts are claimed for, and where pieces lie on others.

    Of what two claim, the first one has it; what nobody claims is a ``gap``, by kind and label.
    ``share``: bytes that neighbours may have in common without being used twice.
    """
    regions: list[Region] = []
    twice: list[int] = []
    done = 0  # bytes of the file, so far
    begin = -1  # of the claim before
    for claim in sorted(claims, key=lambda claim: (claim.offset, claim.size)):
        if claim.size and (claim.offset < done - share or claim.offset == begin):
            twice.append(claim.offset)
        begin = claim.offset
        end = min(begin + claim.size, file_size)
        start = max(begin, done)
        if start >= end:
            continue
        if start > done:
            regions.append(Region(done, start - done, *gap))
        if regions and regions[-1][2:] == claim[2:]:  # the same kind and label
            regions[-1] = regions[-1]._replace(size=end - regions[-1].offset)
        else:
            regions.append(Region(start, end - start, claim.kind, claim.label))
        done = end
    if done < file_size:
        regions.append(Region(done, file_size - done, *gap))
    return regions, twice
