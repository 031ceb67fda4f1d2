"""VHD, of Virtual PC and the first Hyper-V: a footer and, if it grows, a header and a table, too.

Source: Microsoft, Virtual Hard Disk Image Format Specification 1.0 (2006). All numbers are
big-endian.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import PureWindowsPath

from labkit.disks.blockmap import BlockTable, Extent, ExtentList
from labkit.disks.disk import Disk
from labkit.disks.diskfile import DiskFile
from labkit.disks.header import DiskHeader, FieldTable, Number, Octets
from labkit.disks.values import (
    NIL,
    SECTOR,
    choice,
    guid,
    human,
    is_power_of_two,
    place,
    units,
    wide_words,
    words,
)
from labkit.messages import N_, _

VHD_COOKIE = b"conectix"
_SPARSE = b"cxsparse"
_FREE = 0xFFFFFFFF
_TYPES = {2: N_("fixed"), 3: N_("dynamic"), 4: N_("differencing")}
_HEADER_SIZE = 1024  # bytes
_LOCATORS_AT = 576  # bytes into the header: eight places where the parent may be
_LOCATOR_SIZE = 24  # bytes
_RELATIVE = b"W2ru"  # a path from this file's folder
_ABSOLUTE = b"W2ku"
_LONGEST_PATH = 4096  # bytes


def _moment(seconds: int) -> str:
    """Seconds since 2000-01-01 UTC."""
    return f"{datetime(2000, 1, 1) + timedelta(seconds=seconds)} UTC"


def _geometry(data: bytes) -> str:
    """Cylinders (2 bytes), heads and sectors per track (1 byte each), and the size they make."""
    cylinders = int.from_bytes(data[:2], "big")
    heads = data[2]
    sectors = data[3]
    size = cylinders * heads * sectors * SECTOR
    return f"{cylinders}/{heads}/{sectors} ({size} bytes)"


_FOOTER: FieldTable = {
    Octets(0, 8, N_("signature"), words): N_("the word conectix, after the company that made it"),
    Number(8, "I", N_("features"), hex): N_("bit 1 is always set"),
    Number(12, "I", N_("version"), hex): N_("of the format"),
    Number(16, "Q", N_("header at"), place): N_("where the header of a growing disk is"),
    Number(24, "I", N_("time"), _moment): N_("of its creation"),
    Octets(28, 4, N_("creator"), words): N_(
        "program: vbox VirtualBox, qemu and qem2 QEMU, win Hyper-V, vpc Virtual PC"
    ),
    Number(32, "I", N_("creator version"), hex): N_("of that program"),
    Octets(36, 4, N_("creator system"), words): N_("Wi2k is Windows, and what nearly all write"),
    Number(40, "Q", N_("original size"), human): N_("when it was created"),
    Number(48, "Q", N_("capacity"), human): N_("what the guest sees"),
    Octets(56, 4, N_("geometry"), _geometry): N_(
        "cylinders/heads/sectors; some programs go by their product, not by the capacity"
    ),
    Number(60, "I", N_("type"), choice(_TYPES)): N_(
        "fixed has all its bytes from the start; differencing has a parent"
    ),
    Number(64, "I", N_("checksum"), hex): N_("all bytes added up and inverted"),
    Octets(68, 16, N_("UUID"), guid): N_("of this image, as VBoxManage shows it"),
    Number(84, "B", N_("saved state"), choice({0: N_("no"), 1: N_("yes")})): N_(
        "does a saved machine depend on it?"
    ),
}
_HEADER: FieldTable = {
    Octets(0, 8, N_("header signature"), words): N_("the word cxsparse"),
    Number(8, "Q", N_("next header at"), place): N_("reserved"),
    Number(16, "Q", N_("map at"), place): N_("where the table of blocks (BAT) begins"),
    Number(24, "I", N_("header version"), hex): N_("of this header"),
    Number(28, "I", N_("blocks"), str): N_("in the table, one for each block of the guest"),
    Number(32, "I", N_("block size"), human): N_(
        "the file grows by one block, and its bitmap, at a time"
    ),
    Number(36, "I", N_("header checksum"), hex): N_("all bytes added up and inverted"),
    Octets(40, 16, N_("parent UUID"), guid): N_(
        "of the image that this one changes; zero without a parent"
    ),
    Number(56, "I", N_("parent time"), _moment): N_(
        "the parent's last change back then: is it still unchanged?"
    ),
    Octets(64, 512, N_("parent name"), wide_words): N_("of the parent's file"),
}
_LOCATOR: FieldTable = {
    Octets(0, 4, N_("locator"), words): N_(
        "W2ku is a whole path, W2ru one from this file's folder, both in UTF-16"
    ),
    Number(4, "I", N_("locator space"), str): N_("reserved for the path"),
    Number(8, "I", N_("locator size"), human): N_("of the path"),
    Number(16, "Q", N_("locator at"), place): N_("where the path is"),
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


def _checksum(data: bytes, at: int) -> int:
    """The ones' complement of the sum of all bytes but the 4 of the checksum itself."""
    return ~(sum(data) - sum(data[at : at + 4])) & 0xFFFFFFFF


@dataclass(kw_only=True, repr=False)
class _BlocksWithBitmaps(BlockTable):
    """The table of blocks, in sectors. Before each block a bitmap says which of its sectors count.

    ``unwritten`` is the kind of those that do not.
    """

    unwritten: str

    def by_sectors(self, piece: Extent) -> Iterable[Extent]:
        if piece.kind != "data" or piece.at is None:
            return (piece,)
        count = piece.length // SECTOR
        size = units(count, 8)
        bitmap = self.file.need(piece.at - self.bitmap, self.bitmap, N_("a bitmap"))[:size]
        if not bitmap.strip(b"\xff"):  # nearly always
            return (piece,)
        digits = f"{int.from_bytes(bitmap, 'big'):0{size * 8}b}"  # one of each sector
        return self._runs_of_sectors(piece, piece.at, digits[:count])

    def _runs_of_sectors(self, piece: Extent, at: int, digits: str) -> Iterator[Extent]:
        for run in re.finditer("0+|1+", digits):
            begin = run.start() * SECTOR
            size = len(run[0]) * SECTOR
            if run[0].startswith("1"):
                yield Extent(piece.start + begin, size, "data", at + begin)
            else:
                yield Extent(piece.start + begin, size, self.unwritten, None)


class Vhd(Disk):
    """A VHD: fixed, dynamic, or differencing."""

    format = "VHD"

    def load(self, file: DiskFile) -> None:
        footer_at = self._find_footer(file)
        foot = DiskHeader(file, footer_at, ">", _FOOTER, N_("its footer"))
        self.fields = foot.fields
        if _checksum(file.read(footer_at, SECTOR), 64) != foot["checksum"]:
            self.oddities.append(_("The checksum of its footer is wrong."))
        self.capacity = foot["capacity"]
        self.uuid = guid(foot.octets["UUID"])
        file.check(foot["type"] in _TYPES, _BAD_FOOTER, type=foot["type"])
        self.variant = _TYPES[foot["type"]]
        if footer_at:
            self.claim("header", N_("footer"), SECTOR, footer_at)
        if self.variant == "fixed":
            self._load_fixed(file, footer_at)
        else:
            self._load_growing(file, foot["header at"])

    def _find_footer(self, file: DiskFile) -> int:
        """Where the footer is: at the end or, if that one is damaged, its copy at the beginning."""
        at = file.size - SECTOR
        last = file.read(at, SECTOR)
        sound = _checksum(last, 64) == int.from_bytes(last[64:68], "big")
        has_copy = file.read(0, SECTOR).startswith(VHD_COOKIE)
        if not last.startswith(VHD_COOKIE) or (has_copy and not sound):
            at = 0
        if at == 0:
            self.oddities.append(
                _("Its footer at the end is missing or damaged; this is the copy at the beginning.")
            )
        return at

    def _load_fixed(self, file: DiskFile, footer_at: int) -> None:
        file.check(self.capacity <= footer_at, _CUT, capacity=self.capacity)
        self.maps = [ExtentList(Extent(0, self.capacity, "data", 0))]

    def _load_growing(self, file: DiskFile, header_at: int) -> None:
        head = DiskHeader(file, header_at, ">", _HEADER)
        self.fields += head.fields
        data = file.need(header_at, _HEADER_SIZE, N_("its header"))
        if _checksum(data, 36) != head["header checksum"]:
            self.oddities.append(_("The checksum of its header is wrong."))
        self.block_size = head["block size"]
        count = head["blocks"]
        file.check(
            head.octets["header signature"] == _SPARSE
            and is_power_of_two(self.block_size, SECTOR, 1 << 31)
            and self.capacity <= self.block_size * count,
            _NO_SENSE,
            count=count,
            size=self.block_size,
            capacity=self.capacity,
        )
        self.claim("header", N_("copy of the footer"), SECTOR, 0)
        self.claim("header", N_("header"), _HEADER_SIZE, header_at)
        self.claim("map", N_("map of blocks"), 4 * count, head["map at"])
        if self.variant == "differencing":
            self._find_parent(file, header_at, head)
        # a bit for each sector of the block, in whole sectors
        bitmap = units(self.block_size, SECTOR * 8 * SECTOR) * SECTOR
        self.maps = [
            _BlocksWithBitmaps(
                file=file,
                length=self.capacity,
                block=self.block_size,
                table=file.numbers(head["map at"], count, ">I"),
                empty={_FREE: "parent"},
                base=bitmap,
                unit=SECTOR,
                bitmap=bitmap,
                unwritten="parent" if self.parent else "zero",
            )
        ]

    def _find_parent(self, file: DiskFile, header_at: int, head: DiskHeader) -> None:
        """The parent's UUID and name, and the first place it is said to be at that has a file."""
        uuid = guid(head.octets["parent UUID"])
        self.parent_uuid = uuid if uuid != NIL else ""
        paths = self._parent_paths(file, header_at)
        there = [path for path in paths if os.path.isfile(self.path.parent / path)]
        self.follow((there or paths or [""])[0])
        name = wide_words(head.octets["parent name"])
        self.parent = ", ".join(filter(None, [self.parent_uuid, name]))

    def _parent_paths(self, file: DiskFile, header_at: int) -> list[str]:
        """Where the locators say that the parent is, paths from this file's folder first."""
        paths: list[str] = []
        for number in range(8):
            at = header_at + _LOCATORS_AT + number * _LOCATOR_SIZE
            if file.need(at, 4, N_("its header")) == bytes(4):
                continue
            locator = DiskHeader(file, at, ">", _LOCATOR)
            self.fields += locator.fields
            if locator.octets["locator"] not in (_RELATIVE, _ABSOLUTE):
                continue
            path_at = locator["locator at"]
            size = locator["locator size"]
            self.claim("header", N_("where the parent is"), size, path_at)
            data = file.need(path_at, min(size, _LONGEST_PATH), N_("its parent's path"))
            path = data.decode("utf-16-le", "replace").partition("\0")[0]
            if "\\" in path:
                path = PureWindowsPath(path).as_posix()
            if locator.octets["locator"] == _RELATIVE:
                paths.insert(0, path)
            else:
                paths.append(path)
        return paths
