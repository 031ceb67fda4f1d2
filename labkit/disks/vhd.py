"""VHD, of Virtual PC and the first Hyper-V: a footer, and for what grows also a header and a table at the beginning.

Source: Microsoft, Virtual Hard Disk Image Format Specification 1.0 (2006). All numbers are big-endian.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import PureWindowsPath

from labkit.disks import disk as d

COOKIE, SPARSE, FREE = b"conectix", b"cxsparse", 0xFFFFFFFF
TYPES = {2: "fixed", 3: "dynamic", 4: "differencing"}


def moment(seconds: int) -> str:
    """Seconds since 2000-01-01 UTC."""
    return f"{datetime(2000, 1, 1) + timedelta(seconds=seconds)} UTC"


def geometry(data: bytes) -> str:
    """Cylinders (2 bytes), heads and sectors per track (1 byte each), and the size that they make."""
    cylinders, heads, sectors = int.from_bytes(data[:2], "big"), data[2], data[3]
    return f"{cylinders}/{heads}/{sectors} ({cylinders * heads * sectors * d.SECTOR} bytes)"


FOOTER: list[d.Row] = [
    (0, "8s", "signature", d.text, "the word conectix, after the company that made it"),
    (8, "I", "features", hex, "bit 1 is always set"),
    (12, "I", "version", hex, "of the format"),
    (16, "Q", "header at", d.place, "where the header of a growing disk is"),
    (24, "I", "time", moment, "of its creation"),
    (
        28,
        "4s",
        "creator",
        d.text,
        "program: vbox VirtualBox, qemu and qem2 QEMU, win Hyper-V, vpc Virtual PC",
    ),
    (32, "I", "creator version", hex, "of that program"),
    (36, "4s", "creator system", d.text, "Wi2k is Windows, and what nearly all write"),
    (40, "Q", "original size", d.human, "when it was created"),
    (48, "Q", "capacity", d.human, "what the guest sees"),
    (
        56,
        "4s",
        "geometry",
        geometry,
        "cylinders/heads/sectors; some programs go by their product, not by the capacity",
    ),
    (
        60,
        "I",
        "type",
        d.choice(TYPES),
        "fixed has all its bytes from the start; differencing has a parent",
    ),
    (64, "I", "checksum", hex, "all bytes added up and inverted"),
    (68, "16s", "UUID", d.guid, "of this image, as VBoxManage shows it"),
    (84, "B", "saved state", d.choice({0: "no", 1: "yes"}), "does a saved machine depend on it?"),
]
HEADER: list[d.Row] = [
    (0, "8s", "header signature", d.text, "the word cxsparse"),
    (8, "Q", "next header at", d.place, "reserved"),
    (16, "Q", "map at", d.place, "where the table of blocks (BAT) begins"),
    (24, "I", "header version", hex, "of this header"),
    (28, "I", "blocks", str, "in the table, one for each block of the guest"),
    (32, "I", "block size", d.human, "the file grows by one block, and its bitmap, at a time"),
    (36, "I", "header checksum", hex, "all bytes added up and inverted"),
    (40, "16s", "parent UUID", d.guid, "of the image that this one changes; zero without a parent"),
    (56, "I", "parent time", moment, "the parent's last change back then: is it still unchanged?"),
    (64, "512s", "parent name", lambda data: d.text(data, "utf-16-be"), "of the parent's file"),
]
LOCATOR: list[d.Row] = [
    (
        0,
        "4s",
        "locator",
        d.text,
        "W2ku is a whole path, W2ru one from this file's folder, both in UTF-16",
    ),
    (4, "I", "locator space", str, "reserved for the path"),
    (8, "I", "locator size", d.human, "of the path"),
    (16, "Q", "locator at", d.place, "where the path is"),
]


def checksum(data: bytes, at: int) -> int:
    """The ones' complement of the sum of all bytes but the 4 of the checksum itself."""
    return ~(sum(data) - sum(data[at : at + 4])) & 0xFFFFFFFF


@dataclass(kw_only=True, repr=False)
class Blocks(d.Map):
    """The table of blocks, in sectors. Before each block a bitmap says which of its sectors were written."""

    clear: str  # kind of the sectors that were not

    def fine(self, piece: d.Extent) -> Iterator[d.Extent]:
        start, length, _, at = piece
        count = length // d.SECTOR
        assert at is not None
        marks = self.strip.need(at - self.bitmap, self.bitmap, "a bitmap")[: d.units(count, 8)]
        if not marks.strip(b"\xff"):  # nearly always
            yield piece
            return
        for run in re.finditer(
            "0+|1+", f"{int.from_bytes(marks, 'big'):0{len(marks) * 8}b}"[:count]
        ):
            begin, size, written = run.start() * d.SECTOR, len(run[0]) * d.SECTOR, run[0][0] == "1"
            yield d.Extent(
                start + begin,
                size,
                "data" if written else self.clear,
                at + begin if written else None,
            )


class Vhd(d.Disk):
    """A VHD: fixed, dynamic, or differencing."""

    format = "VHD"

    def load(self, strip: d.Strip) -> None:
        last, first = strip.read(strip.size - d.SECTOR, d.SECTOR), strip.read(0, d.SECTOR)
        at = strip.size - d.SECTOR if last[:8] == COOKIE else 0
        if at and checksum(last, 64) != int.from_bytes(last[64:68], "big") and first[:8] == COOKIE:
            at = 0  # that is what the copy at the beginning is for
        if not at:
            self.said.append(
                "Its footer at the end is missing or damaged; this is the copy at the beginning."
            )
        foot = self.parse(at, FOOTER, ">", "its footer")
        if checksum(strip.read(at, d.SECTOR), 64) != foot["checksum"]:
            self.said.append("The checksum of its footer is wrong.")
        self.capacity, self.uuid = foot["capacity"], d.guid(foot["UUID"])
        strip.check(foot["type"] in TYPES, f"its footer makes no sense: type {foot['type']}")
        self.variant = TYPES[foot["type"]]
        if at:
            self.claim("header", "footer", d.SECTOR, at)
        if self.variant == "fixed":
            strip.check(
                self.capacity <= at,
                f"ends in the middle: it should have {self.capacity} bytes before its footer",
            )
            self.maps = [d.Known(d.Extent(0, self.capacity, "data", 0))]
            return
        where = foot["header at"]
        head = self.parse(where, HEADER, ">")
        if checksum(strip.need(where, 1024, "its header"), 36) != head["header checksum"]:
            self.said.append("The checksum of its header is wrong.")
        self.block_size, count = head["block size"], head["blocks"]
        strip.check(
            head["header signature"] == SPARSE
            and d.power(self.block_size, d.SECTOR, 1 << 31)
            and self.capacity <= self.block_size * count,
            f"its header makes no sense: {count} blocks of {self.block_size} bytes for a capacity of {self.capacity}",
        )
        self.claim("header", "copy of the footer", d.SECTOR, 0)
        self.claim("header", "header", 1024, where)
        self.claim("map", "map of blocks", 4 * count, head["map at"])
        if self.variant == "differencing":
            self._parents(strip, where + 576, d.guid(head["parent UUID"]), head["parent name"])
        table, bitmap = (
            strip.numbers(head["map at"], count, ">I"),
            d.units(self.block_size, 8 * d.SECTOR**2) * d.SECTOR,
        )
        self.maps = [
            Blocks(
                strip=strip,
                length=self.capacity,
                block=self.block_size,
                table=table,
                empty={FREE: "parent"},
                base=bitmap,
                unit=d.SECTOR,
                bitmap=bitmap,
                clear="parent" if self.parent else "zero",
            )
        ]

    def _parents(self, strip: d.Strip, at: int, uuid: str, name: bytes) -> None:
        """The parent's UUID and name, and the first place it is said to be at where there is a file."""
        self.parent_uuid, found = uuid if uuid != d.NIL else "", list[str]()
        for n in range(8):
            if strip.need(at + 24 * n, 4, "its header") != bytes(4):
                row = self.parse(at + 24 * n, LOCATOR, ">")
                if row["locator"] in (b"W2ru", b"W2ku"):
                    self.claim(
                        "header", "where the parent is", row["locator size"], row["locator at"]
                    )
                    path = strip.need(
                        row["locator at"], min(row["locator size"], 4096), "its parent's path"
                    )
                    found.insert(
                        0 if row["locator"] == b"W2ru" else len(found),
                        path.decode("utf-16-le", "replace").partition("\0")[0],
                    )
        folder = self.path.parent
        names = [PureWindowsPath(path).as_posix() if "\\" in path else path for path in found]
        self.follow(
            next((path for path in names if os.path.isfile(folder / path)), (names or [""])[0])
        )
        self.parent = ", ".join(filter(None, [self.parent_uuid, d.text(name, "utf-16-be")]))
