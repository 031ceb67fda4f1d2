"""A virtual disk in a file: what its header says, and where its bytes are.

Offsets and sizes are in bytes unless said otherwise. Nothing is written. Whatever is wrong with a
file is a LabError in one line.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from labkit.disks.blockmap import (
    AllocationMap,
    Extent,
    Region,
    blocks_of,
    claims_of,
    extents_of,
    lay_out,
)
from labkit.disks.diskfile import SECTOR, DiskField, DiskFile, DiskHeader, FieldTable
from labkit.disks.values import human, one_line, units
from labkit.errors import LabError
from labkit.messages import N_, _
from labkit.show.text import clean

MOST_REGIONS = 1 << 20  # of a file, to be drawn
RECORDED = 4096  # pieces of a map, and of a file, in a recording
WIDEST = 44  # characters of a column before the next one is pushed to the right
DEEPEST = 200  # disks in a chain; as in libvirt (VIR_STORAGE_MAX_CHAIN_DEPTH)
# of a disk, in a recording, in this order
_NUMBERS = ("capacity", "allocated", "file_size", "block_size")
_SCALARS = ("format", "variant", "kind", *_NUMBERS, "uuid", "parent")
_NOT_READ = N_(
    "{name}: keeps its data in a way that is not read here; "
    "`qemu-img convert -O qcow2` makes a disk of it that can be read."
)
_NO_PARENT = N_("{name}: needs its parent {parent}; give it with set_parent().")
_DEEP = N_("{name}: its parents are more than {most}; copy or make the chain again.")
_MANY_PIECES = N_("{name}: has more than {most} pieces, too many to draw; use extents().")


class Elsewhere(LabError):
    """A disk is kept in a file outside its own folder."""


class Disk:
    """A virtual disk in a file, made by `open_disk`, or by `from_json` to look at; close it.

    A format is a subclass, recognised by its ``magic`` at byte ``magic_at`` of the file; its
    numbers have that ``byte_order``, "<" or ">".

    ``block_size``: 0 where guest and file are one to one. ``file_size``: of all its files; offsets
    in a disk of several count on from one file to the next. ``parent``: what the file itself says
    of it, "" for none; ``parent_path``: where that leads, if anywhere. Names of kinds are English,
    as a recording keeps them; they are translated where they are shown.
    """

    magic = b""
    magic_at = 0
    byte_order = ""
    format = ""
    variant = ""
    uuid = ""
    parent = ""
    parent_uuid = ""
    parent_path: Path | None = None
    parent_raw = False  # the file says that its parent is raw, whatever it looks like
    kind = N_("blocks")  # what the format calls them
    capacity = 0
    block_size = 0
    file_size = 0
    share = 0  # bytes that neighbours in the file may share
    gap = "free", N_("not used")  # kind and label of what nobody claims

    def __init__(self, path: Path, file: DiskFile) -> None:
        self.path = path
        self.file = file
        self.name = file.name
        self.fields: list[DiskField] = []
        self.maps: list[AllocationMap] = []
        self.claims: list[Region] = []  # headers and tables
        self.oddities: list[str] = []  # met while reading the header
        self._parent: Disk | None = None
        self.load()
        self.file_size = file.size

    def load(self) -> None:
        """Read the header of a format; a record has none. LabError if it makes no sense."""

    def read_header(self, at: int, table: FieldTable, what: str = N_("its header")) -> DiskHeader:
        """Read the numbers and texts of a header, and note its fields to be shown."""
        head = DiskHeader(self.file, at, self.byte_order, table, what)
        self.fields += head.fields
        return head

    def require_blocks(self, count: int, fine: bool, message: str, **values: object) -> None:
        """LabError unless it is ``fine`` and ``count`` blocks of a size there is hold the capacity.

        A block has a power of two of bytes, from 512 to 2 GiB.
        """
        self.file.check(
            fine
            and SECTOR <= self.block_size <= 1 << 31
            and self.block_size.bit_count() == 1
            and self.capacity <= self.block_size * count,
            message,
            count=count,
            size=self.block_size,
            capacity=self.capacity,
            **values,
        )

    def claim(self, kind: str, label: str, size: int, *offsets: int) -> None:
        """Parts of the file that are not the guest's, all of one size."""
        self.claims += [Region(offset, size, kind, label) for offset in offsets]

    def add_flat(self, length: int, kind: str, at: int | None) -> None:
        """Go on with so many bytes of the guest, in a row from byte ``at`` of the file."""
        self.maps.append(AllocationMap(Extent(self.capacity, length, kind, at)))
        self.capacity += length

    def require_beside(self, name: str, message: str, forbidden: str = ":\0") -> None:
        """:class:`Elsewhere` with that message about a ``{file}`` outside this one's folder.

        Links are followed. No name may have one of the ``forbidden`` characters.
        """
        folder = os.path.realpath(self.path.parent)
        plain = name and not set(forbidden).intersection(name)
        if not plain or os.path.dirname(os.path.realpath(os.path.join(folder, name))) != folder:
            raise Elsewhere(message, name=self.name, file=one_line(name) or _("no name"))

    def follow(self, name: str) -> None:
        """The parent is the file of that name, seen from this file's folder."""
        shown = one_line(name)
        self.parent = ", ".join(filter(None, [self.parent_uuid, shown]))
        self.variant = N_("differencing")
        protocol = ":" in name.partition("/")[0][2:]  # json:, nbd:, …, but C: is a drive
        if shown and "\0" not in name and not protocol:
            self.parent_path = self.path.parent / name

    def __enter__(self) -> Disk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a parent stays its giver's."""
        self.file.close()

    def set_parent(self, parent: Disk) -> None:
        """Say which disk is the parent. LabError if it has another UUID than this file asks for."""
        if self.parent_uuid and parent.uuid and parent.uuid != self.parent_uuid:
            raise LabError(
                "{name}: its parent has UUID {uuid}, but that of {parent} is {found}; "
                "give the right one.",
                name=self.name,
                uuid=self.parent_uuid,
                parent=parent.name,
                found=parent.uuid,
            )
        self._parent = parent

    def read(self, offset: int, length: int, *, above: int = 0) -> bytes:
        """Bytes of the guest, zeros beyond its end; what is not here is read from the parent.

        ``above``: how many disks stand on this one. LabError where bytes are compressed, or nobody
        says where they are; when a parent is needed that was not set, or that is the 200th.
        """
        data = bytearray(length)
        for extent in extents_of(self.maps, offset, offset + length):
            readable = self.file.parts and extent.kind in ("parent", "data", "zero")
            self.file.check(readable, _NOT_READ)
            low = max(extent.start, offset)
            high = min(extent.start + extent.length, offset + length)
            piece = b""
            if low < high and extent.kind == "parent" and self.parent:
                piece = self._read_parent(low, high - low, above + 1)
            elif low < high and extent.kind == "data":
                piece = self.file.read((extent.at or 0) + low - extent.start, high - low)
            data[low - offset : low - offset + len(piece)] = piece
        return bytes(data)

    def _read_parent(self, offset: int, length: int, above: int) -> bytes:
        if not self._parent:
            raise LabError(_NO_PARENT, name=self.name, parent=self.parent)
        self.file.check(above < DEEPEST, _DEEP, most=DEEPEST)
        return self._parent.read(offset, length, above=above)

    def extents(self) -> Iterator[Extent]:
        """The whole guest disk in order, neighbours merged where they are so in guest and file.

        LabError at the first entry of the map that points out of the file.
        """
        return extents_of(self.maps, 0, self.capacity)

    @cached_property
    def allocated(self) -> int:
        """Bytes of guest data in blocks that this file holds."""
        pieces = blocks_of(self.maps, 0, self.capacity)
        return sum(extent.length for _source, extent in pieces if extent.at is not None)

    @cached_property
    def layout(self) -> tuple[list[Region], list[int]]:
        """What each part of the file is for, and where some lie on others; LabError if too many."""
        claims = list(self.claims)
        claims += islice(claims_of(self.maps, self.capacity), MOST_REGIONS + 1)
        self.file.check(len(claims) <= MOST_REGIONS, _MANY_PIECES, most=MOST_REGIONS)
        return lay_out(claims, self.file_size, self.gap, self.share)

    def regions(self) -> list[Region]:
        """The file from its first byte to its last, without gaps; LabError as `layout`."""
        return self.layout[0]

    @cached_property
    def notes(self) -> list[str]:
        """What is odd about the file, one line each."""
        try:
            _regions, twice = self.layout
            for _extent in self.extents():  # does each place exist?
                pass
        except LabError as error:
            return [*self.oddities, _("The map cannot be drawn: {error}", error=error)]
        notes = list(self.oddities)
        if twice:
            message = N_(
                "{n} piece(s) of the file are used twice, first at byte {at}: is the map damaged?"
            )
            notes.append(_(message, n=len(twice), at=twice[0]))
        return notes

    def summary(self) -> str:
        """One line: what it is and how much of it is in the file."""
        about = {
            "what": " ".join(filter(None, [self.format, _(self.variant)])),
            "capacity": human(self.capacity),
            "amount": self._amount(),
            "file": human(self.file_size),
            "parent": _(self.parent),
        }
        if not self.parent:
            return _("{what}, capacity {capacity}, {amount}, file {file}", **about)
        return _("{what}, capacity {capacity}, {amount}, file {file}, parent {parent}", **about)

    def _amount(self) -> str:
        if not self.block_size:
            return _("guest and file one to one")
        about = {
            "count": units(self.capacity, self.block_size),
            "kind": _(self.kind),
            "size": human(self.block_size),
        }
        if any(extent.kind == "unknown" for source in self.maps for extent in source.known):
            return _("{count} {kind} of {size}", **about)
        used = units(self.allocated, self.block_size)
        return _("{used} of {count} {kind} of {size} allocated", used=used, **about)

    def table(self) -> list[tuple[str, str, str, str]]:
        """The fields of its header as a table to show, after its head."""
        rows = [(_("byte"), _("field"), _("value"), _("meaning"))]
        for field in self.fields:
            rows.append((str(field.offset), _(field.name), _(field.value), _(field.meaning)))
        return rows

    def __str__(self) -> str:
        lines = [self.summary()]
        if self.fields:
            rows = self.table()
            wide = [min(max(len(row[column]) for row in rows), WIDEST) for column in range(3)]
            for byte, name, value, meaning in rows:
                cells = f"{byte:>{wide[0]}}  {name:<{wide[1]}}  {value:<{wide[2]}}"
                lines.append(f"{cells}  {meaning}".rstrip())
        return "\n".join([*lines, *self.notes])

    def to_json(self) -> dict[str, Any]:
        """Plain values, at most 4096 pieces of map and file. LabError if the map makes no sense."""
        regions = self.regions()
        if len(regions) > RECORDED:  # the last one then stands for all that follow
            rest = regions[RECORDED - 1 :]
            size = sum(region.size for region in rest)
            label = _("{n} more pieces", n=len(rest))
            regions = [*regions[: RECORDED - 1], Region(rest[0].offset, size, "other", label)]
        extents = list(islice(self.extents(), RECORDED))
        end = extents[-1].start + extents[-1].length if extents else self.capacity
        return {
            "name": self.name,
            **{name: getattr(self, name) for name in _SCALARS},
            "notes": self.notes,
            "fields": [field._asdict() for field in self.fields],
            "map": [list(extent) for extent in extents],
            "map_truncated": end < self.capacity,
            "regions": [region._asdict() for region in regions],
        }

    @staticmethod
    def from_json(data: dict[str, Any]) -> Disk:
        """What `to_json` wrote, as a disk whose bytes cannot be read. LabError if malformed."""
        try:
            name = str(data["name"])
            disk = Disk(Path(name), DiskFile(name))
            for key in _SCALARS:
                setattr(disk, key, (int if key in _NUMBERS else str)(data[key]))
            disk.notes = [str(note) for note in data["notes"]]
            disk.fields = [DiskField(**field) for field in data["fields"]]
            disk.maps = [AllocationMap(*(Extent(*extent) for extent in data["map"]))]
            disk.layout = [Region(**region) for region in data["regions"]], []
        except (KeyError, TypeError, ValueError) as error:
            raise LabError(
                "This is no record of a disk ({error}); record it again.", error=clean(str(error))
            ) from None
        return disk
