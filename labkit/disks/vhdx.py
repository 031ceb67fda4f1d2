"""VHDX, of Hyper-V since 2012: two headers in turn, a table of regions, metadata by GUID, a table of blocks, a log.

Source: Microsoft, [MS-VHDX] Virtual Hard Disk v2 (VHDX) File Format. All numbers are little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cache
from typing import Any

from labkit.disks import disk as d

MIB = 1 << 20
HEADERS, REGIONS = (64 << 10, 128 << 10), (192 << 10, 256 << 10)  # byte offsets; section 2.2
BAT, METADATA = (
    "2dc27766-f623-4200-9d64-115e9bfd4a08",
    "8b7ca206-4790-4b9a-b8fe-575f050f886e",
)  # section 2.2.3.2
HEADER: list[d.Row] = [
    (0, "4s", "signature", d.text, "the word head; there are two headers, the newer one counts"),
    (4, "I", "checksum", hex, "CRC-32C of the header"),
    (8, "Q", "sequence number", str, "the greater is the newer header"),
    (16, "16s", "file write GUID", d.guid, "changes when the file is first written to"),
    (32, "16s", "data write GUID", d.guid, "changes when the guest's data is; children name it"),
    (48, "16s", "log GUID", d.guid, "zero: nothing is left in the log"),
    (64, "H", "log version", str, "of its format"),
    (66, "H", "version", str, "of the format"),
    (68, "I", "log size", d.human, "what was meant to be written when the power went"),
    (72, "Q", "log at", d.place, "where the log begins"),
]
FILE: list[d.Row] = [
    (0, "8s", "file signature", d.text, "the word vhdxfile"),
    (8, "512s", "creator", lambda data: d.text(data, "utf-16-le"), "the program that made it"),
]
FLAGS = d.bits({0: "fixed", 1: "has a parent"})
ITEMS: dict[str, d.Row] = {  # section 2.6.2
    "caa16737-fa36-4d43-b3b6-33f0aa44e76b": (
        0,
        "Q",
        "block size",
        lambda n: f"{d.human(n & 0xFFFFFFFF)}, {FLAGS(n >> 32)}",
        "the file grows by one block at a time; then flags",
    ),
    "2fa54224-cd1b-4876-b211-5dbed83bf4b8": (0, "Q", "capacity", d.human, "what the guest sees"),
    "beca12ab-b2e6-4523-93ef-c309e000c746": (
        0,
        "16s",
        "UUID",
        d.guid,
        "of the disk that the guest sees",
    ),
    "8141bf1d-a96f-4709-ba47-f233a8faab5f": (
        0,
        "I",
        "sector size",
        d.human,
        "as the guest sees it",
    ),
    "cda348c7-445d-4471-9cc9-e9885251c556": (
        0,
        "I",
        "physical sector size",
        d.human,
        "as the guest sees it",
    ),
}
LOCATOR = "a8d35f2d-b30b-454d-abf7-d3d84834ab0c"


@cache
def _remainder(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ 0x82F63B78 * (byte & 1)
    return byte


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), RFC 3720 appendix B.4."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _remainder((crc ^ byte) & 255)
    return crc ^ 0xFFFFFFFF


class Blocks(d.Map):
    """The table of blocks: after every `per` of them comes an entry for a bitmap of their sectors.

    The last 3 bits of an entry are a state: 0 not here, 1 to 3 zeros, 6 and 7 here (section 2.5.1.1).
    """

    def entry(self, value: int) -> tuple[str, int | None]:
        state = value & 7
        return ("data", value >> 20 << 20) if state > 3 else ("zero" if state else "parent", None)

    def entries(self, index: int) -> Sequence[int]:
        return self.table[index * (self.per + 1) :][: self.per]


class Vhdx(d.Disk):
    """A VHDX. Of a differencing one, and of one with a log that must be replayed, no data is read: it says why."""

    format = "VHDX"

    def load(self, strip: d.Strip) -> None:
        self.parse(0, FILE, "<")
        found = [
            (int.from_bytes(data[8:16], "little"), at)
            for at in HEADERS
            if (data := strip.read(at, 4096))[:4] == b"head" and _sound(data)
        ]
        strip.check(found, "has no sound header: the checksums of both are wrong")
        head = self.parse(max(found)[1], HEADER, "<")
        strip.check(
            head["version"] == 1,
            f"is a VHDX of version {head['version']}, which this reader does not know",
        )
        self.claim("header", "file type", 64 << 10, 0)
        self.claim("header", "headers", 64 << 10, *HEADERS)
        self.claim("header", "tables of regions", 64 << 10, *REGIONS)
        self.claim("other", "log", head["log size"], head["log at"])
        places = self._regions(strip)
        strip.check(BAT in places and METADATA in places, "has no table of blocks, or no metadata")
        (table_at, table_size), metadata = places[BAT], places[METADATA]
        self.claim("map", "map of blocks", table_size, table_at)
        self.claim("header", "metadata", metadata[1], metadata[0])
        values: dict[str, Any] = {
            "block size": 0,
            "capacity": 0,
            "sector size": 0,
            "UUID": bytes(16),
        }
        values |= self._metadata(strip, *metadata)
        flags, size = divmod(values["block size"], 1 << 32)
        self.capacity, sector = values["capacity"], values["sector size"]
        strip.check(
            d.power(size, MIB, 256 * MIB) and sector in (512, 4096) and self.capacity <= 64 << 40,
            f"its metadata makes no sense: blocks of {size} bytes, sectors of {sector}, "
            f"a capacity of {self.capacity}",
        )
        self.block_size, self.uuid = size, d.guid(values["UUID"]).replace(d.NIL, "")
        self.variant = "differencing" if flags & 2 else "fixed" if flags & 1 else "dynamic"
        count, ratio = d.units(self.capacity, size), (sector << 23) // size
        entries = (
            count + max(count - 1, 0) // ratio
        )  # section 2.5; a last bitmap says nothing of blocks
        strip.check(
            entries * 8 <= table_size,
            f"its map of {d.human(table_size)} is too short for a capacity of {self.capacity}",
        )
        self.maps = [
            Blocks(
                strip=strip,
                length=self.capacity,
                block=size,
                table=strip.numbers(table_at, entries, "<Q"),
                per=ratio,
                empty={},
                step=size,
            )
        ]
        if d.guid(head["log GUID"]) != d.NIL:
            self.said.append(
                "It was not closed: its log must be replayed before its map and data can be trusted."
            )
            self.unread = strip.wrong(
                "its log must be replayed first", "`qemu-img check -r all` does it"
            )
        if flags & 2:
            self.parent = self.parent or "not named"
            self.unread = strip.wrong(
                "is a differencing VHDX, which is recognised but not read further",
                "merge it with its parent in Hyper-V",
            )

    def _regions(self, strip: d.Strip) -> dict[str, tuple[int, int]]:
        """Place and size of each region by its GUID (section 2.2.3)."""
        at = next(
            (
                at
                for at in REGIONS
                if strip.read(at, 4) == b"regi" and at + (64 << 10) <= strip.size
            ),
            0,
        )
        strip.check(at, "has no table of regions")
        data, places = (
            strip.read(at, 64 << 10),
            {},
        )  # its checksum is left: it would take longer than the rest
        for n in range(min(int.from_bytes(data[8:12], "little"), 2047)):
            key, start, size, required = struct.unpack_from("<16sQII", data, 16 + 32 * n)
            known, here = {BAT: "map", METADATA: "metadata"}.get(d.guid(key)), at + 16 + 32 * n
            name = known or d.guid(key)
            strip.check(
                known or not required & 1, f"needs a region {name} that this reader does not know"
            )
            self.fields.append(
                d.Field(here, 32, f"region {name}", d.place(start), f"of {d.human(size)}")
            )
            places[d.guid(key)] = start, size
        return places

    def _metadata(self, strip: d.Strip, at: int, size: int) -> dict[str, Any]:
        """The items of the metadata region by name (section 2.6)."""
        table, values = strip.need(at, min(size, 64 << 10), "its metadata"), dict[str, Any]()
        strip.check(table[:8] == b"metadata", "its metadata does not begin with that word")
        for n in range(min(int.from_bytes(table[10:12], "little"), len(table) // 32 - 1)):
            key, start, length, flags = struct.unpack_from("<16sIII", table, 32 + 32 * n)
            if d.guid(key) in ITEMS:
                values |= self.parse(at + start, [ITEMS[d.guid(key)]], "<", "its metadata")
            elif d.guid(key) == LOCATOR:
                self._locate(
                    at + start, strip.need(at + start, min(length, MIB), "its parent's name")
                )
            else:
                strip.check(
                    not flags & 4, f"needs metadata {d.guid(key)} that this reader does not know"
                )
        return values

    def _locate(self, at: int, data: bytes) -> None:
        """The parent locator: pairs of key and value in UTF-16 (section 2.6.2.6)."""
        pairs = {}
        for n in range(min(int.from_bytes(data[18:20], "little"), 64, (len(data) - 20) // 12)):
            key, value, *sizes = struct.unpack_from("<IIHH", data, 20 + 12 * n)
            name, said = (
                data[start : start + size].decode("utf-16-le", "replace")
                for start, size in zip((key, value), sizes, strict=True)
            )
            pairs[name] = said
            self.fields.append(
                d.Field(at + value, sizes[1], d.line(name), d.line(said), "how to find the parent")
            )
        path = pairs.get("relative_path") or pairs.get("absolute_win32_path", "")
        self.follow(path.replace("\\", "/"), d.line(pairs.get("parent_linkage", "").strip("{}")))


def _sound(data: bytes) -> bool:
    """Is the checksum at byte 4 that of the rest?"""
    return crc32c(data[:4] + bytes(4) + data[8:]) == int.from_bytes(data[4:8], "little")
