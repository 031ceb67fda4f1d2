"""QCOW2, QEMU's own: two levels of tables, reference counts, snapshots inside, compression, a parent by name.

Source: QEMU, docs/interop/qcow2.rst. All numbers are big-endian.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

from labkit.disks import disk as d

FEATURES = {
    0: "dirty",
    1: "corrupt",
    2: "data in another file",
    3: "compression type",
    4: "extended L2 entries",
}
KNOWN = 0b1011  # the features that do not keep this reader from reading
OFFSET, COMPRESSED = 0x00FF_FFFF_FFFF_FE00, 1 << 62  # bits 9 to 55, and bit 62, of an entry
EXTENSIONS = {
    0xE2792ACA: "parent format",
    0x6803F857: "feature names",
    0x23852875: "bitmaps",
    0x0537BE77: "encryption header",
    0x44415441: "data file",
}
ROWS: list[d.Row] = [
    (0, "4s", "signature", d.magic, "the letters QFI and the byte FB"),
    (4, "I", "version", str, "2, or 3 since QEMU 1.1"),
    (8, "Q", "parent name at", d.place, "where the name of the backing file is; 0 without one"),
    (16, "I", "parent name size", d.human, "of the name of the backing file"),
    (20, "I", "cluster bits", str, "a cluster has 2 to the power of this many bytes"),
    (24, "Q", "capacity", d.human, "what the guest sees"),
    (32, "I", "encryption", d.choice({0: "none", 1: "AES", 2: "LUKS"}), "of the clusters"),
    (36, "I", "L1 entries", str, "in the table of tables"),
    (40, "Q", "map at", d.place, "where the table of tables (L1) begins"),
    (
        48,
        "Q",
        "refcounts at",
        d.place,
        "where the table of reference counts begins: how often is each cluster used?",
    ),
    (56, "I", "refcount clusters", str, "of the table of reference counts"),
    (60, "I", "snapshots", str, "kept inside this file"),
    (64, "Q", "snapshots at", d.place, "where their table begins"),
]
ROWS_3: list[d.Row] = [
    (72, "Q", "features", d.bits(FEATURES), "who does not know one of these must not open it"),
    (80, "Q", "compatible features", d.bits({0: "lazy refcounts"}), "may be ignored"),
    (
        88,
        "Q",
        "autoclear features",
        d.bits({0: "bitmaps", 1: "raw data file"}),
        "cleared by who does not know them",
    ),
    (96, "I", "refcount order", str, "a reference count has 2 to the power of this many bits"),
    (100, "I", "header size", d.human, "of the fields so far; more may follow"),
]
COMPRESSION: list[d.Row] = [
    (104, "B", "compression", d.choice({0: "zlib", 1: "zstd"}), "of compressed clusters")
]


@dataclass(kw_only=True, repr=False)
class Clusters(d.Map):
    """L2 entries: a place in the file with flags, or that of packed bytes and their length in sectors."""

    zeros: bool
    zstd: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        self.bits = (
            71 - self.block.bit_length()
        )  # of a packed entry: below these its place, above its length

    def entry(self, value: int) -> tuple[str, int | None]:
        if value & COMPRESSED:
            return "compressed", value & ((1 << self.bits) - 1)
        if value & 1 and self.zeros:
            return "zero", None
        return ("data", value & OFFSET) if value & OFFSET else ("parent", None)

    def packed(self, block: int) -> tuple[int, int]:
        """The rest of a first sector, and the further sectors."""
        further, at = divmod(self.value(block) & (COMPRESSED - 1), 1 << self.bits)
        return at, (further + 1) * d.SECTOR - at % d.SECTOR

    def inflate(self, block: int) -> bytes:
        at, size = self.packed(block)
        data, wrong = (
            self.strip.read(at, size),
            self.strip.wrong(f"its compressed cluster at byte {at} is damaged"),
        )
        if not self.zstd:
            try:
                return zlib.decompressobj(-15).decompress(
                    data, self.block
                )  # at most a cluster, however it is packed
            except zlib.error:
                raise wrong from None
        try:
            import zstandard
        except ImportError:
            raise self.strip.wrong(
                "is compressed with zstd", "`pip install zstandard`, then again"
            ) from None
        try:
            with zstandard.ZstdDecompressor(max_window_size=1 << 23).stream_reader(data) as reader:
                return reader.read(self.block)
        except zstandard.ZstdError:
            raise wrong from None


class Qcow2(d.Disk):
    """A QCOW2 image of version 2 or 3. Encryption, a data file of its own and extended L2 entries are refused."""

    format, kind = "QCOW2", "clusters"
    share = 511  # packed clusters begin anywhere in a sector

    def load(self, strip: d.Strip) -> None:
        head = self.parse(0, ROWS, ">")
        version, order = head["version"], head["cluster bits"]
        strip.check(
            version in (2, 3) and 9 <= order <= 21,
            f"its header makes no sense: version {version}, clusters of 2^{order} bytes",
        )
        head |= self.parse(0, ROWS_3, ">") if version == 3 else {"features": 0, "header size": 72}
        if head["header size"] > 104:
            head |= self.parse(0, COMPRESSION, ">")
        features, zstd = head["features"], head.get("compression", 0)
        refused = ["encryption"] if head["encryption"] else []
        refused += [
            FEATURES.get(bit, f"feature {bit}")
            for bit in range(64)
            if (features & ~KNOWN) >> bit & 1
        ]
        if zstd > 1 or zstd != features >> 3 & 1:
            refused.append(f"compression {zstd}")
        self.block_size = 1 << order
        names = dict(self._extensions(strip, head["header size"], self.block_size))
        data = names.get("data file", b"").decode("utf-8", "replace")
        if features >> 2 & 1 and data and not self.beside(data):
            raise strip.elsewhere("keeps its data", data, "data")
        if refused:
            raise strip.wrong(
                f"is a QCOW2 with {refused[0]}, which this reader does not know",
                "`qemu-img convert` makes a plain one of it",
            )
        self.said += [
            f"It is marked {FEATURES[bit]}: `qemu-img check` tells more."
            for bit in (0, 1)
            if features >> bit & 1
        ]
        self.capacity, size, self.variant = head["capacity"], self.block_size, "dynamic"
        used = d.units(self.capacity, size * size // 8)
        strip.check(
            used <= head["L1 entries"],
            f"its map has {head['L1 entries']} tables, too few for a capacity of {self.capacity}",
        )
        table = array("Q", (entry & OFFSET for entry in strip.numbers(head["map at"], used, ">Q")))
        self.maps = [
            Clusters(
                strip=strip,
                length=self.capacity,
                block=size,
                table=table,
                per=size // 8,
                code=">Q",
                empty={},
                step=size,
                end=d.units(strip.size, size) * size,
                zeros=version > 2,
                zstd=bool(zstd),
            )
        ]
        if head["parent name at"]:
            self.follow_at(head["parent name at"], head["parent name size"])
            self.parent_raw = names.get("parent format") == b"raw"
        counts = strip.numbers(
            head["refcounts at"], head["refcount clusters"] * size // 8, ">Q", "its refcounts"
        )
        strip.check(
            (len(counts) - counts.count(0)) * size <= d.TABLES,
            "has more reference counts than this reader takes",
        )
        self.claim("header", "header", size, 0)
        self.claim("map", "L1 table", head["L1 entries"] * 8, head["map at"])
        self.claim("map", "L2 tables", size, *filter(None, table))
        counts_at = [head["refcounts at"], *filter(None, counts)]
        self.claim("other", "reference counts", size, *(at & ~511 for at in counts_at))
        if head["snapshots"]:
            self.gap = "other", "of snapshots, or not used"
            self.said.append(
                f"It keeps {head['snapshots']} snapshot(s) inside: `qemu-img snapshot -l` lists them."
            )

    def _extensions(self, strip: d.Strip, at: int, size: int) -> Iterator[tuple[str, bytes]]:
        """What follows the header in its cluster, each a multiple of 8 bytes: name and data."""
        cluster = strip.read(0, size)
        for _ in range(64):  # there are five kinds
            kind, length = (int.from_bytes(cluster[n : n + 4], "big") for n in (at, at + 4))
            if not kind or at + 8 > size:
                return
            strip.check(
                length <= len(cluster) - at - 8,
                f"its header extension at byte {at} is longer than its cluster",
            )
            name, data = (
                EXTENSIONS.get(kind, f"extension {kind:#x}"),
                cluster[at + 8 : at + 8 + length],
            )
            shown = d.text(data) if name in ("parent format", "data file") else d.human(length)
            self.fields.append(d.Field(at, 8 + length, name, shown, "an extension of the header"))
            yield name, data
            at += 8 + d.units(length, 8) * 8
