"""A virtual disk in a file: what its header says, where its bytes are, and how to read them.

Offsets and sizes are in bytes unless said otherwise. Nothing is written. Whatever is wrong with a
file is a LabError in one line.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from labkit.disks.blockmap import AllocationMap, Extent, ExtentList, blocks_of, extents_of, merged
from labkit.disks.chain import read_chain
from labkit.disks.diskfile import DiskFile
from labkit.disks.header import DiskField
from labkit.disks.regions import FileLayout, Gap, Region, claims_of, first_regions, lay_out
from labkit.disks.values import human, one_line, units
from labkit.errors import LabError
from labkit.messages import N_, _
from labkit.show.text import clean, shorten

MOST_REGIONS = 1 << 20  # of a file, to be drawn
MOST_BLOCKS = 1 << 22  # in a list
RECORDED = 4096  # pieces of a map, and of a file, in a recording
WIDEST = 44  # characters of a column before the next one is pushed to the right
_SCALARS: dict[str, type[str] | type[int]] = {  # in a recording
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


class Opener(Protocol):
    """Opens a disk."""

    def __call__(self, path: Path, *, raw: bool) -> Disk: ...


class Disk:
    """A virtual disk in a file, made by `open_disk`, or by `from_json` to look at; close it.

    ``block_size``: 0 where guest and file are one to one. ``file_size``: of all its files; offsets
    in a disk of several count on from one file to the next. ``parent``: what the file itself says
    of it, "" for none; ``parent_path``: where that leads, if anywhere. Names of kinds are English,
    as a recording keeps them; they are translated where they are shown.
    """

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
    gap = Gap()

    def __init__(
        self, path: Path, file: DiskFile | None = None, opener: Opener | None = None
    ) -> None:
        self.path = path
        self.file = file
        self.name = shorten(clean(path.name), 80)
        self.fields: list[DiskField] = []
        self.maps: list[AllocationMap] = []
        self.claims: list[Region] = []  # headers and tables
        self.oddities: list[str] = []  # met while reading the header
        self._opener = opener
        self._parent: Disk | None = None
        self._opened: Disk | None = None  # the parent, if it was opened here
        if file:
            self.load(file)
            self.file_size = file.size

    # -- for the readers of formats

    def load(self, file: DiskFile) -> None:
        """Read the header. LabError if it makes no sense."""
        raise NotImplementedError

    def claim(self, kind: str, label: str, size: int, *offsets: int) -> None:
        """Parts of the file that are not the guest's, all of one size."""
        self.claims += [Region(offset, size, kind, label) for offset in offsets]

    def beside(self, name: str) -> bool:
        """Whether the file of that name is in this file's folder, also when links are followed."""
        if not name or ":" in name or "\0" in name:
            return False
        folder = os.path.realpath(self.path.parent)
        return os.path.dirname(os.path.realpath(os.path.join(folder, name))) == folder

    def follow(self, name: str, uuid: str = "") -> None:
        """The parent has that UUID, and is the file of that name, seen from this file's folder."""
        shown = one_line(name)
        self.parent = ", ".join(filter(None, [uuid, shown]))
        self.variant = N_("differencing")
        protocol = ":" in name.partition("/")[0][2:]  # json:, nbd:, …, but C: is a drive
        if shown and "\0" not in name and not protocol:
            self.parent_path = self.path.parent / name

    # -- for everybody

    def wrong(self, message: str, **values: object) -> LabError:
        """One line about this disk, from a template with a place for its ``{name}``."""
        return LabError(message, name=self.name, **values)

    def __enter__(self) -> Disk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, and the parents opened on the way; those given stay their giver's."""
        disk: Disk | None = self
        while disk:
            if disk.file:
                disk.file.close()
            disk = disk._opened

    def set_parent(self, parent: Disk) -> None:
        """Say which disk is the parent. LabError if it has another UUID than this file asks for."""
        if not self.parent:
            raise self.wrong(
                N_("{name}: has no parent, so none can be set: it holds all its data itself.")
            )
        if self.parent_uuid and parent.uuid and parent.uuid != self.parent_uuid:
            raise self.wrong(
                N_(
                    "{name}: its parent has UUID {uuid}, but that of {parent} is {found}; "
                    "give the right one."
                ),
                uuid=self.parent_uuid,
                parent=parent.name,
                found=parent.uuid,
            )
        self._parent = parent

    def above(self) -> Disk:
        """The parent's disk, opened when it is first needed. LabError if it cannot be."""
        if self._parent:
            return self._parent
        if not self.parent_path or not self._opener:
            raise self.wrong(
                N_(
                    "{name}: needs its parent {parent} and does not say where that is; "
                    "give it with set_parent()."
                ),
                parent=self.parent,
            )
        try:
            if not self._opened:
                self._opened = self._opener(self.parent_path, raw=self.parent_raw)
        except LabError as error:
            raise self.wrong(N_("{name}: needs its parent. {error}"), error=error) from None
        self.set_parent(self._opened)
        return self._opened

    def readable_file(self) -> DiskFile:
        """Its file. LabError if no data can be read from it."""
        if not self.file:
            raise self.wrong(
                N_("{name}: only its map was recorded, not its bytes; read the file itself.")
            )
        return self.file

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the guest, through the parents as far as they are needed.

        LabError beyond the capacity, for more than 1 GiB at once, and when a parent is missing,
        has another UUID than it should, is below itself, or is the 200th.
        """
        return read_chain(self, offset, length)

    def extents(self) -> Iterator[Extent]:
        """The whole guest disk in order, neighbours merged where they are so in guest and file.

        LabError at the first entry of the map that points out of the file.
        """
        for piece in merged(extents_of(self.maps, 0, self.capacity)):
            yield piece.extent

    def blocks(self) -> list[int | None]:
        """Per block of the guest where it is in the file, or None; empty where there are none.

        LabError if there are more than 4 Mi of them.
        """
        if not self.block_size:
            return []
        count = units(self.capacity, self.block_size)
        if count > MOST_BLOCKS:
            raise self.wrong(
                N_("{name}: has {count} blocks, too many to list; use extents()."), count=count
            )
        places: list[int | None] = [None] * count
        for piece in blocks_of(self.maps, 0, self.capacity):
            extent = piece.extent
            if extent.at is not None:
                first, skip = divmod(extent.start, self.block_size)
                last = units(extent.start + extent.length, self.block_size)
                for number in range(first, last):
                    places[number] = extent.at - skip + (number - first) * self.block_size
        return places

    @cached_property
    def allocated(self) -> int:
        """Bytes of guest data in blocks that this file holds."""
        pieces = blocks_of(self.maps, 0, self.capacity)
        return sum(piece.extent.length for piece in pieces if piece.extent.at is not None)

    @cached_property
    def layout(self) -> FileLayout:
        """The file by what its parts are for. LabError if it has too many parts."""
        claims = list(self.claims)
        claims += islice(claims_of(self.maps, self.capacity), MOST_REGIONS + 1)
        if len(claims) > MOST_REGIONS:
            raise self.wrong(
                N_("{name}: has more than {most} pieces, too many to draw; use extents()."),
                most=MOST_REGIONS,
            )
        return lay_out(claims, self.file_size, self.gap, self.share)

    def regions(self) -> list[Region]:
        """The file from its first byte to its last, without gaps; LabError as `layout`."""
        return self.layout.regions

    @cached_property
    def notes(self) -> list[str]:
        """What is odd about the file, one line each."""
        notes = list(self.oddities)
        try:
            layout = self.layout
            for _extent in self.extents():  # does each place exist?
                pass
        except LabError as error:
            return [*notes, _("The map cannot be drawn: {error}", error=error)]
        if self._is_unknown():
            notes.append(_("qemu-img does not tell where in this file the guest's blocks are."))
        if layout.twice:
            message = N_(
                "{n} piece(s) of the file are used twice, first at byte {at}: is the map damaged?"
            )
            notes.append(_(message, n=layout.twice, at=layout.twice_at))
        return notes

    def _is_unknown(self) -> bool:
        return any(source.is_unknown() for source in self.maps)

    def summary(self) -> str:
        """One line: what it is and how much of it is in the file."""
        about = {
            "what": " ".join(filter(None, [self.format, _(self.variant)])),
            "capacity": human(self.capacity),
            "amount": self._amount(),
            "file": human(self.file_size),
        }
        if not self.parent:
            return _("{what}, capacity {capacity}, {amount}, file {file}", **about)
        return _(
            "{what}, capacity {capacity}, {amount}, file {file}, parent {parent}",
            **about,
            parent=_(self.parent),
        )

    def _amount(self) -> str:
        size = self.block_size
        if not size:
            return _("guest and file one to one")
        count = units(self.capacity, size)
        if self._is_unknown():
            return _("{count} {kind} of {size}", count=count, kind=_(self.kind), size=human(size))
        return _(
            "{used} of {count} {kind} of {size} allocated",
            used=units(self.allocated, size),
            count=count,
            kind=_(self.kind),
            size=human(size),
        )

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

    __repr__ = __str__

    def to_json(self) -> dict[str, Any]:
        """Plain values, at most 4096 pieces of the map and of the file.

        LabError if the map cannot be followed.
        """
        regions = first_regions(self.regions(), RECORDED)
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
            disk = Disk(Path(str(data["name"])))
            for name, kind in _SCALARS.items():
                setattr(disk, name, kind(data[name]))
            disk.notes = [str(note) for note in data["notes"]]
            disk.fields = [DiskField(**field) for field in data["fields"]]
            disk.maps = [ExtentList(*(Extent(*extent) for extent in data["map"]))]
            disk.layout = FileLayout([Region(**region) for region in data["regions"]])
        except (KeyError, TypeError, ValueError) as error:
            reason = clean(str(error))
            raise LabError(
                "This is no record of a disk ({error}); record it again.", error=reason
            ) from None
        return disk
