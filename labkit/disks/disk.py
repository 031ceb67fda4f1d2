"""What all virtual disks share: a header of fields, a map from the guest's bytes to the file's, and parents.

Offsets and sizes are in bytes unless said otherwise. Nothing is written, and a map is read one table at a time, so
memory does not grow with the disk. Whatever is wrong with a file is a LabError in one line.
"""

from __future__ import annotations

import os
import stat
import struct
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, cast
from uuid import UUID

from labkit.errors import LabError
from labkit.show.text import clean, shorten

SECTOR = 512  # bytes
TABLE, TABLES = (
    1 << 25,
    1 << 27,
)  # bytes: longest table of a map, and all of it (1 TiB of blocks of 64 KiB)
PIECES = 1 << 20  # of a file, to be drawn
DEEP = 200  # disks in a chain of parents, as in libvirt (VIR_STORAGE_MAX_CHAIN_DEPTH); each is an open file
READ, SHOWN = 1 << 30, 4096  # bytes of one read; pieces of a map or strip in JSON
NIL = str(UUID(int=0))


class Elsewhere(LabError):
    """A disk is kept in a file outside its own folder."""


class Field(NamedTuple):
    """A field of a header: where it is in the file (bytes), what it holds as text, and what that means."""

    offset: int
    size: int
    name: str
    value: str
    meaning: str


class Extent(NamedTuple):
    """A stretch of the guest's bytes.

    kind: "data", found `at` that byte of the file; "compressed", packed there; "zero", zeros by the map's own word;
    "parent", not in this file: the parent's bytes or, without a parent, zeros. The last two have no `at`.
    """

    start: int
    length: int
    kind: str
    at: int | None


class Region(NamedTuple):
    """A stretch of the file; kind: "header", "map", "data", "other" or "free"."""

    offset: int
    size: int
    kind: str
    label: str


Row = tuple[
    int, str, str, Callable[[Any], str], str
]  # offset, struct code, name, value as text, meaning


def human(size: int) -> str:
    """A size in bytes as text; one without decimals is exact."""
    unit = min(max(size.bit_length() - 1, 0) // 10, 6)
    number, word = (
        size / (1 << 10 * unit),
        ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")[unit],
    )
    return f"{size >> 10 * unit} {word}" if size % (1 << 10 * unit) == 0 else f"{number:.1f} {word}"


def place(offset: int) -> str:
    """An offset as a hex dump shows it; all ones mean none."""
    return "none" if offset == (1 << 64) - 1 else f"{offset:#x} ({human(offset)})"


def magic(data: bytes) -> str:
    """Bytes in the order of the file."""
    return "0x" + data.hex().upper()


def line(said: str) -> str:
    """What a file says, safe to print, in one line of at most 200 characters."""
    return shorten(clean(said), 200)


def text(data: bytes, code: str = "utf-8") -> str:
    """Text up to its first NUL, in one safe line."""
    return line(data.decode(code, "replace").partition("\0")[0])


def guid(data: bytes) -> str:
    """A UUID whose first three fields are little-endian, as VirtualBox (RTUUID) and Microsoft (GUID) store it."""
    return str(UUID(bytes_le=data))


def choice(names: dict[int, str]) -> Callable[[int], str]:
    """Text for a number that stands for one of several things."""
    return lambda number: names.get(number, f"unknown ({number})")


def bits(names: dict[int, str]) -> Callable[[int], str]:
    """Text for a number whose bits each mean something."""
    return lambda number: ", ".join(
        [f"{number:#x}", *(name for bit, name in names.items() if number >> bit & 1)]
    )


def power(number: int, low: int, high: int) -> bool:
    """Is it a power of two from low to high?"""
    return low <= number <= high and not number & (number - 1)


def units(size: int, unit: int) -> int:
    """How many units hold it; the last one need not be full."""
    return -(-size // unit)


class Strip:
    """The bytes of one file or, for a disk of several, of all of them one after the other."""

    def __init__(self, path: Path) -> None:
        self.name, self.size, self.files = (
            shorten(clean(path.name or str(path)), 80),
            0,
            list[tuple[int, int, Any]](),
        )
        self.add(path)
        info = os.fstat(self.files[0][2].fileno())
        self.id = info.st_dev, info.st_ino  # tells it from any other

    def wrong(self, what: str, advice: str = "copy or make the disk again") -> LabError:
        """One line about this file."""
        return LabError(f"{self.name}: {what}; {advice}.")

    def elsewhere(self, says: str, name: str, part: str) -> Elsewhere:
        """The same when a part of the disk is in a file that is not beside this one."""
        return Elsewhere(
            f"{self.name}: {says} outside its own folder: {line(name) or 'no name'}; it is not opened; "
            f"copy the {part} beside it and name that."
        )

    def check(self, fine: object, what: str, advice: str = "copy or make the disk again") -> None:
        """LabError, one line about this file, unless it is fine."""
        if not fine:
            raise self.wrong(what, advice)

    def add(self, path: Path) -> tuple[int, int]:
        """Append a file: its start in the strip, and its size. LabError if it cannot be."""
        try:
            regular = stat.S_ISREG(
                os.stat(path).st_mode
            )  # not a folder, nor a pipe that would never answer
            self.check(regular, "is not a file", "name the file of the disk itself")
            file = open(path, "rb", buffering=0)  # noqa: SIM115  closed by close()
            start, size = self.size, os.fstat(file.fileno()).st_size
        except (OSError, ValueError) as error:  # ValueError: a NUL in a name
            reason = getattr(error, "strerror", None) or "its name makes no sense"
            raise LabError(
                f"{self.name}: cannot be read: {reason}; check its name and its permissions."
            ) from None
        self.size += size
        self.files.append((start, size, file))
        return start, size

    def into(self, at: int, view: memoryview) -> None:
        """Fill the view; beyond the end of the strip it stays as it is."""
        for start, size, file in self.files:
            low, high = max(at, start), min(at + len(view), start + size)
            if low < high:
                try:
                    file.seek(low - start)
                    while low < high and (count := file.readinto(view[low - at : high - at])):
                        low += count
                except (OSError, ValueError) as error:  # ValueError: it was closed
                    raise self.wrong(
                        f"cannot be read ({getattr(error, 'strerror', None) or 'closed'})",
                        "open it again",
                    ) from None

    def read(self, at: int, size: int) -> bytes:
        """Up to `size` bytes; fewer only at the end."""
        data = bytearray(max(0, min(size, self.size - at)))
        self.into(at, memoryview(data))
        return bytes(data)

    def need(self, at: int, size: int, what: str) -> bytes:
        """Exactly `size` bytes. LabError if they are not all there, or more than any map needs."""
        self.check(
            at + size <= self.size,
            f"{what} takes {human(size)} at byte {at}, but the file has {human(self.size)}",
        )
        self.check(size <= TABLE, f"{what} of {human(size)} is longer than this reader takes")
        return self.read(at, size)

    def numbers(self, at: int, count: int, code: str, what: str = "its map") -> Sequence[int]:
        """`count` integers; `code` is "<" or ">" and a code of 4 or 8 bytes, as in struct. LabError as `need`."""
        table = array(code[1], self.need(at, count * struct.calcsize(code), what))
        if (code[0] == ">") == (sys.byteorder == "little"):
            table.byteswap()
        return table

    def close(self) -> None:
        """Close the files."""
        for _, _, file in self.files:
            file.close()


@dataclass(kw_only=True, repr=False)
class Map:
    """Where `length` guest bytes from `first` on are, by an entry for each block of `block` bytes.

    The entries are in `table`; or, if they have a `code`, in tables of `per` entries at the places that are in `table`.
    Each is one of `empty`, or a place: so many times `unit` bytes after byte `base` of the strip.
    """

    strip: Strip
    first: int = 0
    length: int
    block: int
    table: Sequence[int]  # a place of 0 is a table that is not there
    code: str = ""  # as in struct
    per: int = 0
    empty: dict[int, str]  # the kinds of entries that are no place
    full: str = "data"  # the kind of those that are
    base: int = 0
    unit: int = 1
    step: int = 0  # how much an entry grows from a block to the next in the file; 0: never in a row
    bitmap: int = 0  # bytes kept before each block
    end: int = 0  # where in the strip its data must end; 0: where that does

    def __post_init__(self) -> None:
        self.per, self.end = self.per or len(self.table), self.end or self.strip.size
        self._last: tuple[int, Sequence[int]] = (
            0,
            (),
        )  # where the table read last is, and its entries
        if self.code:
            count, size = (
                len(self.table) - self.table.count(0),
                self.per * struct.calcsize(self.code),
            )
            self.strip.check(
                count * size <= TABLES,
                f"has {count} tables of {human(size)}, more than this reader takes",
            )

    def entry(self, value: int) -> tuple[str, int | None]:
        """Kind and place of an entry of a table."""
        kind = self.empty.get(value)
        return (kind, None) if kind else (self.full, self.base + value * self.unit)

    def entries(self, index: int) -> Sequence[int]:
        """The index-th `per` entries; none if their table is not there."""
        if not self.code:
            return self.table
        at = self.table[index]
        if at != self._last[0]:
            self._last = (
                at,
                self.strip.numbers(at, self.per, self.code, "a table of the map") if at else (),
            )
        return self._last[1]

    def value(self, block: int) -> int:
        """The entry of a block whose table is there."""
        return self.entries(block // self.per)[block % self.per]

    def pieces(self, start: int, stop: int) -> Iterator[Extent]:
        """What is between two guest bytes, in whole blocks."""
        size, first, at = self.block, self.first, cast("int | None", None)
        low, high = (start - first) // size, units(stop - first, size)
        while low < high:
            index, skip = divmod(low, self.per)
            end = min(high, low - skip + self.per)
            begin, kind, at, expected, step = low, "parent", None, -1, 0
            for n, value in enumerate(self.entries(index)[skip : skip + end - low], low):
                if value == expected:  # nearly always, and cheap
                    expected += step
                    continue
                if n > begin:
                    yield Extent(first + begin * size, (n - begin) * size, kind, at)
                begin, (kind, at) = n, self.entry(value)
                step = self.step if kind == "data" else 0
                expected = value + step if step or at is None else -1
            yield Extent(first + begin * size, (end - begin) * size, kind, at)
            low = end

    def fine(self, piece: Extent) -> Iterator[Extent]:
        """A piece of data by what is known of its sectors."""
        yield piece

    def packed(self, block: int) -> tuple[int, int]:
        """Where the bytes of a compressed block are, and how many."""
        raise NotImplementedError

    def inflate(self, block: int) -> bytes:
        """The guest's bytes of a compressed block. LabError if they are damaged."""
        raise NotImplementedError


class Known(Map):
    """A map of few pieces, which are known from the start: of a flat disk, or as recorded."""

    def __init__(self, *pieces: Extent) -> None:
        self.known, self.end = pieces, 1 << 65
        self.length = pieces[-1].start + pieces[-1].length if pieces else 0

    def pieces(self, start: int, stop: int) -> Iterator[Extent]:
        return (
            piece
            for piece in self.known
            if piece.start < stop and start < piece.start + piece.length
        )


def merged(pieces: Iterator[tuple[Map, Extent]]) -> Iterator[tuple[Map, Extent]]:
    """Join neighbours that are so in the guest and in the file; compressed ones are each on their own."""
    last: tuple[Map, Extent] | None = None
    for source, piece in pieces:
        if last:
            start, length, kind, at = last[1]
            if kind == piece.kind != "compressed" and (at is None or at + length == piece.at):
                last = last[0], Extent(start, length + piece.length, kind, at)
                continue
            yield last
        last = source, piece
    if last:
        yield last


SCALARS: dict[str, Callable[[Any], Any]] = {
    "format": str,
    "variant": str,
    "kind": str,
    "capacity": int,
    "allocated": int,
    "file_size": int,
    "block_size": int,
    "uuid": str,
    "parent": str,
}


class Disk:
    """A virtual disk in a file; a context manager. Made by `open_disk`, or by `from_json` to be looked at.

    `allocated`: guest bytes in blocks this file holds. `block_size`: bytes, 0 where guest and file are one to one.
    `file_size`: of all its files; offsets in a disk of several count on from one file to the next. `parent`: what
    the file itself says of it, "" for none; `parent_path`: where that leads, if anywhere.
    """

    format = variant = uuid = parent = parent_uuid = ""
    kind = "blocks"  # what the format calls them
    capacity = block_size = file_size = 0
    share = 0  # bytes that neighbours in the file may share
    gap = "free", "not used"  # what is nobody's
    parent_path: Path | None = None
    parent_raw = False  # the file says that its parent is raw, whatever it looks like
    unread: LabError | None = None  # why no data can be read
    _above: Disk | None = None  # the parent, and the same if it was opened here
    _opened: Disk | None = None

    def __init__(self, path: Path, strip: Strip | None = None) -> None:
        self.path, self.strip, self.name = path, strip, shorten(clean(path.name), 80)
        self.fields, self.maps = list[Field](), list[Map]()
        self.claims = list[Region]()  # headers and tables
        self.said = list[str]()  # oddities met while reading the header
        if strip:
            self.load(strip)
            self.file_size = strip.size

    def load(self, strip: Strip) -> None:
        """Read the header. LabError if it makes no sense."""
        raise NotImplementedError

    # -- for the readers of formats

    def parse(
        self, at: int, rows: Sequence[Row], order: str, what: str = "its header"
    ) -> dict[str, Any]:
        """Read fields at byte `at` of the file into `fields`, and return their values by name."""
        assert self.strip
        size = max(offset + struct.calcsize(order + code) for offset, code, *_ in rows)
        data, values = self.strip.need(at, size, what), {}
        for offset, code, name, show, meaning in rows:
            (values[name],) = struct.unpack_from(order + code, data, offset)
            self.fields.append(
                Field(at + offset, struct.calcsize(order + code), name, show(values[name]), meaning)
            )
        return values

    def claim(self, kind: str, label: str, size: int, *offsets: int) -> None:
        """Parts of the file that are not the guest's, all of one size."""
        self.claims += [Region(offset, size, kind, label) for offset in offsets]

    def beside(self, name: str) -> bool:
        """Whether the file of that name is in this file's folder, also when links are followed."""
        folder = os.path.realpath(self.path.parent)
        return (
            bool(name)
            and not {":", "\0"} & {*name}
            and (os.path.dirname(os.path.realpath(os.path.join(folder, name))) == folder)
        )

    def follow(self, name: str, uuid: str = "") -> None:
        """The parent has that UUID, and is the file of that name, seen from this file's folder."""
        shown = line(name)
        self.parent, self.variant = ", ".join(filter(None, [uuid, shown])), "differencing"
        if (
            shown and "\0" not in name and ":" not in name.partition("/")[0][2:]
        ):  # not json:, nbd:, …
            self.parent_path = self.path.parent / name

    def follow_at(self, at: int, size: int) -> None:
        """The same where the name is in the file."""
        assert self.strip
        self.follow(
            self.strip.need(at, min(size, 1023), "its parent's name").decode("utf-8", "replace")
        )

    # -- for everybody

    def __enter__(self) -> Disk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, and the parents opened on the way; those given by `set_parent` are the giver's."""
        disk: Disk | None = self
        while disk:
            if disk.strip:
                disk.strip.close()
            disk = disk._opened

    def set_parent(self, parent: Disk) -> None:
        """Say which disk is the parent. LabError if it has another UUID than this file asks for."""
        if not self.parent:
            raise LabError(
                f"{self.name}: has no parent, so none can be set: it holds all its data itself."
            )
        if self.parent_uuid and parent.uuid and parent.uuid != self.parent_uuid:
            raise LabError(
                f"{self.name}: its parent has UUID {self.parent_uuid}, but that of {parent.name} "
                f"is {parent.uuid}; give the right one."
            )
        self._above = parent

    def _walk(self, start: int, stop: int, fine: bool = True) -> Iterator[tuple[Map, Extent]]:
        """What the maps say of the guest's bytes from start to stop; LabError for a place out of the file.

        Without `fine` in whole blocks as they are in the file, wherever that is.
        """
        for source in self.maps:
            low, high = max(start, source.first), min(stop, source.first + source.length)
            for whole in source.pieces(low, high) if low < high else ():
                for first, length, kind, at in (
                    source.fine(whole) if fine and whole.kind == "data" else (whole,)
                ):
                    begin, end = max(first, low), min(first + length, high)
                    if begin >= end:
                        continue
                    if at is not None:
                        at, last = (
                            (at + begin - first, at + end - first)
                            if kind == "data"
                            else (at, at + 1)
                        )
                        if fine and last > source.end:
                            raise source.strip.wrong(
                                f"its map puts guest byte {begin} at byte {at}, outside the "
                                f"file of {human(self.file_size)}"
                            )
                    yield source, Extent(begin, end - begin, kind, at)

    def extents(self) -> Iterator[Extent]:
        """The whole guest disk in order, neighbours merged where they are so in the guest and in the file.

        LabError at the first entry of the map that points out of the file.
        """
        return (piece for _, piece in merged(self._walk(0, self.capacity)))

    def blocks(self) -> list[int | None]:
        """Per block of the guest where it is in the file, or None; empty where there are no blocks."""
        if not self.block_size:
            return []
        count = units(self.capacity, self.block_size)
        if count > 1 << 22:
            raise LabError(f"{self.name}: has {count} blocks, too many to list; use extents().")
        found: list[int | None] = [None] * count
        for _, (start, length, _, at) in self._walk(0, self.capacity, fine=False):
            if at is not None:
                first, skip = divmod(start, self.block_size)
                for n in range(first, units(start + length, self.block_size)):
                    found[n] = at - skip + (n - first) * self.block_size
        return found

    @cached_property
    def allocated(self) -> int:
        """Bytes of guest data in blocks that this file holds."""
        return sum(
            piece.length
            for _, piece in self._walk(0, self.capacity, fine=False)
            if piece.at is not None
        )

    def _claimed(self) -> Iterator[Region]:
        """What is in the file, in no order."""
        yield from self.claims
        for source, (start, size, kind, at) in self._walk(0, self.capacity, fine=False):
            if at is not None:
                if source.bitmap:
                    yield Region(at - source.bitmap, source.bitmap, "map", "bitmap of sectors")
                if kind == "compressed":
                    begin, size = source.packed((start - source.first) // source.block)
                    size += begin - at
                yield Region(at, size, "data", "guest data")

    @cached_property
    def _laid(self) -> tuple[list[Region], int, int]:
        """The file's regions; how many pieces lie on others, and where the first does."""
        claims = [*islice(self._claimed(), PIECES + 1)]
        if len(claims) > PIECES:
            raise LabError(
                f"{self.name}: has more than {PIECES} pieces, too many to draw; use extents()."
            )
        regions, twice, where, at, begin = list[Region](), 0, 0, 0, -1
        for offset, size, kind, label in sorted(claims, key=lambda claim: claim[:2]):
            end = min(offset + size, self.file_size)
            if size and (offset < at - self.share or offset == begin):
                twice, where = twice + 1, where or offset
            begin, offset = offset, max(offset, at)
            if offset >= end:
                continue
            if offset > at:
                regions.append(Region(at, offset - at, *self.gap))
            if regions and regions[-1][2:] == (kind, label):
                offset = regions.pop().offset
            regions.append(Region(offset, end - offset, kind, label))
            at = end
        if at < self.file_size:
            regions.append(Region(at, self.file_size - at, *self.gap))
        return regions, twice, where

    def regions(self) -> list[Region]:
        """The file as a strip from its first byte to its last, without gaps; what two claim is the first one's."""
        return self._laid[0]

    @cached_property
    def notes(self) -> list[str]:
        """What is odd about the file, one line each."""
        try:
            _, twice, where = self._laid
            for _ in self.extents():  # does each place exist?
                pass
        except LabError as error:
            return [*self.said, f"The map cannot be drawn: {error}"]
        also = f"{twice} piece(s) of the file are used twice, first at byte {where}: is the map damaged?"
        return [*self.said, also] if twice else [*self.said]

    def _parent(self) -> Disk:
        """The parent's disk, opened when it is first needed."""
        if self._above:
            return self._above
        if not self.parent_path:
            raise LabError(
                f"{self.name}: needs its parent {self.parent} and does not say where that is; "
                "give it with set_parent()."
            )
        from labkit.disks import open_disk

        try:
            self._opened = self._opened or open_disk(self.parent_path, raw=self.parent_raw)
        except LabError as error:
            raise LabError(f"{self.name}: needs its parent. {error}") from None
        self.set_parent(self._opened)
        return self._opened

    def _fill(self, view: memoryview, start: int) -> Iterator[tuple[int, int]]:
        """Put the guest's bytes from `start` on into the view; where in the view those of the parent are missing."""
        assert self.strip
        for source, (begin, size, kind, at) in merged(self._walk(start, start + len(view))):
            low, high = begin - start, begin - start + size
            if kind == "parent" and self.parent:
                yield low, high
            elif kind == "data" and at is not None:
                self.strip.into(at, view[low:high])
            elif kind == "compressed":
                block, skip = divmod(begin - source.first, source.block)
                data = source.inflate(block)[skip : skip + size]
                self.strip.check(len(data) == size, f"its compressed block at byte {at} is damaged")
                view[low:high] = data

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the guest, through the parents as far as they are needed.

        LabError beyond the capacity, for more than 1 GiB at once, and when a parent is missing, has another UUID than
        it should, is below itself, or is the 200th.
        """
        if min(offset, length) < 0 or offset + length > self.capacity or length > READ:
            raise LabError(
                f"{self.name}: cannot read {length} bytes at {offset}: it has {self.capacity} bytes; "
                f"ask for bytes it has, and for at most {human(READ)} at once."
            )
        out, disk, holes, seen = bytearray(length), self, [(0, length)], set[tuple[int, int]]()
        while holes:
            if not disk.strip:
                raise LabError(
                    f"{disk.name}: only its map was recorded, not its bytes; read the file itself."
                )
            if disk.unread:
                raise disk.unread
            if disk.strip.id in seen or len(seen) == DEEP:
                what = "go round in a circle" if disk.strip.id in seen else f"are more than {DEEP}"
                raise LabError(f"{self.name}: its parents {what}; copy or make the chain again.")
            seen.add(disk.strip.id)
            holes = [
                (low + begin, low + end)
                for low, high in holes
                for begin, end in disk._fill(memoryview(out)[low:high], offset + low)
            ]
            if holes:
                disk = disk._parent()  # beyond the end of a smaller one are zeros
        return bytes(out)

    def summary(self) -> str:
        """One line: what it is and how much of it is in the file."""
        amount, size = "guest and file one to one", self.block_size
        if size:
            used, count = units(self.allocated, size), units(self.capacity, size)
            amount = f"{used} of {count} {self.kind} of {human(size)} allocated"
        return (
            f"{self.format} {self.variant}, capacity {human(self.capacity)}, {amount}, "
            f"file {human(self.file_size)}" + f", parent {self.parent}" * bool(self.parent)
        )

    def __str__(self) -> str:
        rows = [
            ("byte", "field", "value", "meaning"),
            *((str(field.offset), field.name, field.value, field.meaning) for field in self.fields),
        ]
        wide = [min(max(len(row[n]) for row in rows), 44) for n in range(3)]
        lines = [
            f"{row[0]:>{wide[0]}}  {row[1]:<{wide[1]}}  {row[2]:<{wide[2]}}  {row[3]}".rstrip()
            for row in rows
        ]
        return "\n".join([self.summary(), *(lines if self.fields else ()), *self.notes])

    __repr__ = __str__

    def to_json(self) -> dict[str, Any]:
        """Plain values, at most 4096 pieces of the map and of the strip. LabError if the map cannot be followed."""
        regions, pieces = self.regions(), [*islice(self.extents(), SHOWN)]
        if len(regions) > SHOWN:
            rest = regions[SHOWN - 1 :]
            size = sum(region.size for region in rest)
            regions = [
                *regions[: SHOWN - 1],
                Region(rest[0].offset, size, "other", f"{len(rest)} more pieces"),
            ]
        short = bool(pieces) and pieces[-1].start + pieces[-1].length < self.capacity
        return {
            "name": self.name,
            **{name: getattr(self, name) for name in SCALARS},
            "notes": self.notes,
            "fields": [field._asdict() for field in self.fields],
            "map": [*map(list, pieces)],
            "map_truncated": short,
            "regions": [region._asdict() for region in regions],
        }

    @staticmethod
    def from_json(data: dict[str, Any]) -> Disk:
        """What `to_json` wrote as a disk to look at, whose `read` raises a LabError. LabError if it is malformed."""
        try:
            disk = Disk(Path(str(data["name"])))
            for name, kind in SCALARS.items():
                setattr(disk, name, kind(data[name]))
            disk.fields = [Field(**row) for row in data["fields"]]
            disk.notes = [*map(str, data["notes"])]
            disk._laid = [Region(**row) for row in data["regions"]], 0, 0
            disk.maps = [Known(*(Extent(*row) for row in data["map"]))]
        except (KeyError, TypeError, ValueError) as error:
            raise LabError(
                f"This is no record of a disk ({clean(str(error))}); record it again."
            ) from None
        return disk
