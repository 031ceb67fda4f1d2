"""VHD, of Virtual PC and the first Hyper-V: a footer and, if it grows, a header and a table, too.

Source: Microsoft, Virtual Hard Disk Image Format Specification 1.0 (2006). All numbers are
big-endian.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from labkit.disks.blockmap import AllocationMap, BlockTable, Extent
from labkit.disks.disk import Disk
from labkit.disks.diskfile import SECTOR, FieldTable
from labkit.disks.values import NIL, YES_OR_NO, choice, guid, human, place, units, words
from labkit.messages import N_, _

_FREE = 0xFFFFFFFF
_TYPES = {2: N_("fixed"), 3: N_("dynamic"), 4: N_("differencing")}
_HEADER_SIZE = 1024  # bytes
_wide_words = partial(words, encoding="utf-16-be")
_PATHS = ("W2ru", "W2ku")  # locators of this kind are a path in UTF-16


def _moment(seconds: int) -> str:
    """Seconds since 2000-01-01 UTC."""
    return f"{datetime(2000, 1, 1) + timedelta(seconds=seconds)} UTC"


def _geometry(data: bytes) -> str:
    """Cylinders (2 bytes), heads and sectors per track (1 byte each), and the size they make."""
    cylinders, heads, sectors = struct.unpack(">HBB", data)
    size = cylinders * heads * sectors * SECTOR
    return f"{cylinders}/{heads}/{sectors} ({size} bytes)"


_FOOTER: FieldTable = {
    (0, "8s", N_("signature"), words): N_("the word conectix, after the company that made it"),
    (8, "I", N_("features"), hex): N_("bit 1 is always set"),
    (12, "I", N_("version"), hex): N_("of the format"),
    (16, "Q", N_("header at"), place): N_("where the header of a growing disk is"),
    (24, "I", N_("time"), _moment): N_("of its creation"),
    (28, "4s", N_("creator"), words): N_(
        "program: vbox VirtualBox, qemu and qem2 QEMU, win Hyper-V, vpc Virtual PC"
    ),
    (32, "I", N_("creator version"), hex): N_("of that program"),
    (36, "4s", N_("creator system"), words): N_("Wi2k is Windows, and what nearly all write"),
    (40, "Q", N_("original size"), human): N_("when it was created"),
    (48, "Q", N_("capacity"), human): N_("what the guest sees"),
    (56, "4s", N_("geometry"), _geometry): N_(
        "cylinders/heads/sectors; some programs go by their product, not by the capacity"
    ),
    (60, "I", N_("type"), choice(_TYPES)): N_(
        "fixed has all its bytes from the start; differencing has a parent"
    ),
    (64, "I", N_("checksum"), hex): N_("all bytes added up and inverted"),
    (68, "16s", N_("UUID"), guid): N_("of this image, as VBoxManage shows it"),
    (84, "B", N_("saved state"), YES_OR_NO): N_("does a saved machine depend on it?"),
}
_HEADER: FieldTable = {
    (0, "8s", N_("header signature"), words): N_("the word cxsparse"),
    (8, "Q", N_("next header at"), place): N_("reserved"),
    (16, "Q", N_("map at"), place): N_("where the table of blocks (BAT) begins"),
    (24, "I", N_("header version"), hex): N_("of this header"),
    (28, "I", N_("blocks"), str): N_("in the table, one for each block of the guest"),
    (32, "I", N_("block size"), human): N_(
        "the file grows by one block, and its bitmap, at a time"
    ),
    (36, "I", N_("header checksum"), hex): N_("all bytes added up and inverted"),
    (40, "16s", N_("parent UUID"), guid): N_(
        "of the image that this one changes; zero without a parent"
    ),
    (56, "I", N_("parent time"), _moment): N_(
        "the parent's last change back then: is it still unchanged?"
    ),
    (64, "512s", N_("parent name"), _wide_words): N_("of the parent's file"),
}
_LOCATOR: FieldTable = {
    (0, "4s", N_("locator"), words): N_(
        "W2ku is a whole path, W2ru one from this file's folder, both in UTF-16"
    ),
    (4, "I", N_("locator space"), str): N_("reserved for the path"),
    (8, "I", N_("locator size"), human): N_("of the path"),
    (16, "Q", N_("locator at"), place): N_("where the path is"),
}
_BAD_FOOTER = N_("{name}: its footer makes no sense: type {type}; copy or make the disk again.")
_CUT = N_(
    "{name}: ends in the middle: it should have {capacity} bytes before its footer; "
    "copy or make the disk again."
)
_NO_SENSE = N_(
    "{name}: its header makes no sense: {count} blocks of {size} bytes for a capacity of "
    "{capacity}; copy or make the disk again."
)


@dataclass(kw_only=True, repr=False)
class _BlocksWithBitmaps(BlockTable):
    """The table of blocks, in sectors. Before each block a bitmap says which of its sectors count.

    ``unwritten`` is the kind of those that do not.
    """

    unwritten: str

    def parts(self, piece: Extent) -> Iterator[Extent]:
        if piece.at is None:
            yield piece
            return
        count = units(piece.length, SECTOR)
        size = units(count, 8)
        bitmap = self.file.need(piece.at - self.bitmap, self.bitmap, N_("a bitmap"))[:size]
        digits = f"{int.from_bytes(bitmap, 'big'):0{size * 8}b}"  # one of each sector
        for run in re.finditer("0+|1+", digits[:count]):
            skip = run.start() * SECTOR
            length = min(len(run[0]) * SECTOR, piece.length - skip)
            if run[0].startswith("1"):
                part = Extent(piece.start + skip, length, "data", piece.at + skip)
                yield from super().parts(part)
            else:
                yield Extent(piece.start + skip, length, self.unwritten, None)


class Vhd(Disk):
    """A VHD: fixed, dynamic, or differencing."""

    magic = b"conectix"
    byte_order = ">"
    format = "VHD"

    def load(self) -> None:
        at = max(self.file.size - SECTOR, 0)
        if self.file.read(at, 8) != self.magic:
            at = 0
            self.oddities.append(
                _("Its footer at the end is missing or damaged; this is the copy at the beginning.")
            )
        foot = self.read_header(at, _FOOTER, N_("its footer"))
        self.capacity = foot["capacity"]
        self.uuid = foot.texts["UUID"]
        self.file.check(foot["type"] in _TYPES, _BAD_FOOTER, type=foot["type"])
        self.variant = _TYPES[foot["type"]]
        if at:
            self.claim("header", N_("footer"), SECTOR, at)
        if self.variant == "fixed":
            self.file.check(self.capacity <= at, _CUT, capacity=self.capacity)
            self.maps = [AllocationMap(Extent(0, self.capacity, "data", 0))]
        else:
            self._load_growing(foot["header at"])

    def _load_growing(self, header_at: int) -> None:
        head = self.read_header(header_at, _HEADER)
        self.block_size = head["block size"]
        count = head["blocks"]
        self.require_blocks(count, head.texts["header signature"] == "cxsparse", _NO_SENSE)
        self.claim("header", N_("copy of the footer"), SECTOR, 0)
        self.claim("header", N_("header"), _HEADER_SIZE, header_at)
        self.claim("map", N_("map of blocks"), 4 * count, head["map at"])
        if self.variant == "differencing":
            self.parent_uuid = head.texts["parent UUID"].replace(NIL, "")
            self.parent = ", ".join(filter(None, [self.parent_uuid, head.texts["parent name"]]))
            self._read_locators(header_at)
        # a bit for each sector of the block, in whole sectors
        bitmap = units(self.block_size, SECTOR * 8 * SECTOR) * SECTOR
        self.maps = [
            _BlocksWithBitmaps(
                file=self.file,
                length=self.capacity,
                block=self.block_size,
                table=self.file.numbers(head["map at"], count, ">I"),
                empty={_FREE: "parent"},
                base=bitmap,
                unit=SECTOR,
                bitmap=bitmap,
                unwritten="parent" if self.parent else "zero",
            )
        ]

    def _read_locators(self, header_at: int) -> None:
        """Where the parent is said to be; nothing here follows that."""
        for at in range(header_at + 576, header_at + 768, 24):  # there is room for eight
            if self.file.need(at, 4, N_("its header")) != bytes(4):
                locator = self.read_header(at, _LOCATOR)
                if locator.texts["locator"] in _PATHS:
                    size = locator["locator size"]
                    self.claim("header", N_("where the parent is"), size, locator["locator at"])
