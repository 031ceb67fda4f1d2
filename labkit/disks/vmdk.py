"""VMDK, VMware's: a text that describes the disk, and extents that hold it: flat, or sparse with a map of grains.

Source: VMware, Virtual Disk Format 5.0 (technical note). Numbers are little-endian and count sectors of 512 bytes.
What VirtualBox adds to the text (ddb.uuid.…): VirtualBox, src/VBox/Storage/VMDK.cpp.
"""

from __future__ import annotations

import re
import zlib
from array import array

from labkit.disks import disk as d

MAGIC, AT_END = b"KDMV", (1 << 64) - 1
DESCRIPTOR = re.compile(rb"\s*#\s*Disk DescriptorFile", re.I)
EXTENT = re.compile(
    r'(RW|RDONLY|NOACCESS)\s+([0-9]{1,15})\s+(\w+)(?:\s+"([^"]*)")?(?:\s+([0-9]{1,15}))?'
)
WORD = re.compile(r'([\w.]++)\s*+=\s*+"?+([^"]*+)"?+')  # possessive: no line makes it try twice
TEXT, FILES = 1 << 20, 4096  # bytes of a description; extents
FLAGS = {
    0: "newline test",
    1: "has a second directory",
    2: "zero grains",
    16: "compressed",
    17: "markers",
}
VARIANTS = {
    "monolithicSparse": "dynamic",
    "monolithicFlat": "flat",
    "twoGbMaxExtentSparse": "split",
    "twoGbMaxExtentFlat": "split flat",
}


def sectors(count: int) -> str:
    """A size in sectors as text."""
    return d.human(count * d.SECTOR)


def sector(number: int) -> str:
    """An offset in sectors as text."""
    return "at the end of the file" if number == AT_END else f"sector {number} ({sectors(number)})"


ROWS: list[d.Row] = [
    (0, "4s", "signature", d.magic, "the letters KDMV"),
    (4, "I", "version", str, "of the format"),
    (8, "I", "flags", d.bits(FLAGS), "what else it has"),
    (12, "Q", "capacity", sectors, "of this extent"),
    (20, "Q", "grain size", sectors, "the file grows by one grain at a time"),
    (28, "Q", "description at", sector, "where the text is; 0 without one"),
    (36, "Q", "description size", sectors, "kept for the text"),
    (44, "I", "table entries", str, "grains in a grain table"),
    (48, "Q", "second directory at", sector, "a copy, with tables of its own"),
    (56, "Q", "directory at", sector, "where the table of grain tables begins"),
    (64, "Q", "overhead", sectors, "before the first grain"),
    (72, "B", "unclean", d.choice({0: "no", 1: "yes"}), "was it not closed?"),
    (73, "4s", "newlines", d.magic, "0x0A200D0A unless a transfer as text has damaged the file"),
    (77, "H", "compression", d.choice({0: "none", 1: "deflate"}), "of the grains"),
]
MEANINGS = {
    "CID": "changes whenever the content does",
    "parentCID": "of the parent back then; ffffffff: none",
    "createType": "how the disk is spread over files",
    "parentFileNameHint": "the parent's file",
    "ddb.uuid.image": "of this image, as VBoxManage shows it",
    "ddb.uuid.parent": "of the parent, VirtualBox's own way",
    "ddb.adapterType": "of the disk controller",
    "ddb.virtualHWVersion": "of the virtual machine",
}


class Grains(d.Map):
    """Grain tables. A packed grain comes after 12 bytes: its first sector of the guest (8), and its size."""

    def packed(self, block: int) -> tuple[int, int]:
        at = self.base + self.value(block) * d.SECTOR
        return at + 12, int.from_bytes(self.strip.read(at + 8, 4), "little")

    def inflate(self, block: int) -> bytes:
        at, size = self.packed(block)
        if size <= 2 * self.block:
            try:
                return zlib.decompressobj().decompress(self.strip.read(at, size), self.block)
            except zlib.error:
                pass
        raise self.strip.wrong(f"its compressed grain at byte {at - 12} is damaged")


class Vmdk(d.Disk):
    """A VMDK in one file or several. An extent outside the folder of its description is not opened."""

    format, kind = "VMDK", "grains"

    def load(self, strip: d.Strip) -> None:
        self._words: dict[str, str] = {}
        if strip.read(0, 4) == MAGIC:
            self._sparse(strip, 0, 0, strip.size)
        else:
            self._describe(strip, 0, strip.size)
            self._extents(strip)
        words = self._words
        kind, uuid = words.get("createType") or "dynamic", words.get("ddb.uuid.parent", d.NIL)
        self.variant, self.uuid = VARIANTS.get(kind, kind), words.get("ddb.uuid.image", "")
        self.parent_uuid = uuid if uuid != d.NIL else ""
        if self.parent_uuid or words.get("parentCID", "ffffffff").lower() != "ffffffff":
            self.follow(words.get("parentFileNameHint", ""), self.parent_uuid)
            self.parent = self.parent or "not named"

    def _describe(self, strip: d.Strip, at: int, size: int) -> None:
        """Read the text: lines of key = value, and of extents."""
        raw = strip.need(at, min(size, TEXT), "its description").partition(b"\0")[0]
        self.claim("header", "description", size, at)
        self._lines: list[tuple[str, int, str, str, int]] = []
        for line in re.finditer(rb"[^\r\n]+", raw):
            words, start = line[0].decode("utf-8", "replace").strip(), at + line.start()
            if (found := WORD.fullmatch(words)) and found[1] not in self._words:
                key, value = found[1], d.line(found[2])
                self._words[key] = value if key != "parentFileNameHint" else found[2]
                if key in MEANINGS:
                    self.fields.append(d.Field(start, len(line[0]), key, value, MEANINGS[key]))
            elif found := EXTENT.match(words):
                strip.check(len(self._lines) < FILES, f"names more than {FILES} extents")
                access, count, kind, name, offset = found.groups("")
                length = int(count) * d.SECTOR
                self._lines.append((kind, length, name, access, int(offset or 0) * d.SECTOR))
                self.fields.append(
                    d.Field(
                        start,
                        len(line[0]),
                        f"extent {d.line(kind)}",
                        d.line(name),
                        f"an extent of {d.human(length)}, access {access}",
                    )
                )

    def _extents(self, strip: d.Strip) -> None:
        """Open the extents that the text names, in turn."""
        seen = dict[str, tuple[int, int]]()
        strip.check(self._lines, "describes a disk of no extents")
        for kind, length, name, access, offset in self._lines:
            first = self.capacity
            if kind == "ZERO":
                self.maps.append(d.Known(d.Extent(first, length, "zero", None)))
                self.capacity += length
                continue
            if {"/", "\\"} & {*name} or not self.beside(name):
                raise strip.elsewhere("names an extent", name, "extent")
            strip.check(
                kind in ("FLAT", "VMFS", "SPARSE") and access != "NOACCESS",
                f"has an extent of kind {kind}, access {access}, which is recognised but not read further",
                "convert the disk with `qemu-img convert`",
            )
            if name not in seen:
                seen[name] = strip.add(self.path.parent / name)
            base, size = seen[name]
            if kind == "SPARSE":
                self._sparse(strip, first, base, size)
                found = self.capacity - first
                strip.check(
                    found == length, f"says {length} bytes of {d.line(name)}, which says {found}"
                )
            else:
                strip.check(
                    offset + length <= size,
                    f"{d.line(name)} ends in the middle: {d.human(size)}, not {d.human(offset + length)}",
                )
                self.maps.append(d.Known(d.Extent(first, length, "data", base + offset)))
                self.capacity += length

    def _sparse(self, strip: d.Strip, first: int, base: int, size: int) -> None:
        """Read the header of a sparse extent, which is where the strip is at `base`."""
        head = self.parse(base, ROWS, "<")
        if self.maps:  # the fields of one extent are enough
            del self.fields[-len(ROWS) :]
        strip.check(
            head["signature"] == MAGIC,
            f"its extent at byte {base} is not a sparse one: it does not begin with KDMV",
        )
        if head["description at"] and not base:
            self._describe(
                strip, head["description at"] * d.SECTOR, head["description size"] * d.SECTOR
            )
        if (
            head["directory at"] == AT_END
        ):  # of a stream: written last, so it is in a footer (5.0, Stream-Optimized)
            self.claim("header", "footer", 3 * d.SECTOR, base + size - 3 * d.SECTOR)
            strip.check(size >= 4 * d.SECTOR, "its footer is missing: the file ends too early")
            head = self.parse(base + size - 2 * d.SECTOR, ROWS, "<")
            self.gap = "other", "markers and padding"
        grain, per = head["grain size"], head["table entries"]
        strip.check(
            head["signature"] == MAGIC
            and head["version"] in (1, 2, 3)
            and d.power(grain, 8, 1 << 17)
            and 1 <= per <= 1 << 16,
            f"its header makes no sense: version {head['version']}, {per} grains of {grain} sectors",
        )
        packed = head["flags"] >> 16 & 1
        strip.check(
            packed <= head["compression"] <= 1,
            f"has compression {head['compression']}, which this reader does not know",
        )
        block, length, directory = (
            grain * d.SECTOR,
            head["capacity"] * d.SECTOR,
            base + head["directory at"] * d.SECTOR,
        )
        entries = strip.numbers(directory, d.units(length, block * per), "<I")
        tables = array("Q", (entry and base + entry * d.SECTOR for entry in entries))
        empty = {0: "parent", 1: "zero"} if head["flags"] & 4 else {0: "parent"}
        self.maps.append(
            Grains(
                strip=strip,
                first=first,
                length=length,
                block=block,
                table=tables,
                per=per,
                code="<I",
                empty=empty,
                full="compressed" if packed else "data",
                base=base,
                unit=d.SECTOR,
                step=grain,
                end=base + size,
            )
        )
        self.block_size, self.capacity = block, first + length
        self.claim("header", "header", d.SECTOR, base)
        self.claim("map", "grain directory", 4 * len(tables), directory)
        self.claim("map", "grain tables", 4 * per, *filter(None, tables))
        if head["flags"] & 2 and 0 < head["second directory at"] < head["directory at"] != AT_END:
            at, end = (
                base + head[name] * d.SECTOR for name in ("second directory at", "directory at")
            )
            self.claim("map", "copy of the map", end - at, at)
