"""QCOW2, QEMU's own: tables on two levels, reference counts, snapshots inside, compression.

Source: QEMU, docs/interop/qcow2.rst. All numbers are big-endian.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass

from labkit.disks.blockmap import ALL_TABLES, BlockTable, Extent
from labkit.disks.disk import Disk
from labkit.disks.diskfile import SECTOR, DiskField, DiskHeader, FieldTable
from labkit.disks.values import bits, choice, human, in_file_order, place, units, words
from labkit.messages import N_, _

_DIRTY = 0
_CORRUPT = 1
_DATA_FILE = 2
_COMPRESSION_TYPE = 3
_FEATURES = {
    _DIRTY: N_("dirty"),
    _CORRUPT: N_("corrupt"),
    _DATA_FILE: N_("data in another file"),
    _COMPRESSION_TYPE: N_("compression type"),
    4: N_("extended L2 entries"),
}
_READABLE = {_DIRTY, _CORRUPT, _COMPRESSION_TYPE}  # in spite of these features
_PLACE = 0x00FF_FFFF_FFFF_FE00  # bits 9 to 55 of an entry
_COMPRESSED = 1 << 62
_EXTENSIONS = {
    0xE2792ACA: N_("parent format"),
    0x6803F857: N_("feature names"),
    0x23852875: N_("bitmaps"),
    0x0537BE77: N_("encryption header"),
    0x44415441: N_("data file"),
}
_MOST_EXTENSIONS = 64  # there are five kinds
_LONGEST_NAME = 1023  # bytes of the parent's
_HEADER: FieldTable = {
    (0, "4s", N_("signature"), in_file_order): N_("the letters QFI and the byte FB"),
    (4, "I", N_("version"), str): N_("2, or 3 since QEMU 1.1"),
    (8, "Q", N_("parent name at"), place): N_(
        "where the name of the backing file is; 0 without one"
    ),
    (16, "I", N_("parent name size"), human): N_("of the name of the backing file"),
    (20, "I", N_("cluster bits"), str): N_("a cluster has 2 to the power of this many bytes"),
    (24, "Q", N_("capacity"), human): N_("what the guest sees"),
    (32, "I", N_("encryption"), choice({0: N_("none"), 1: "AES", 2: "LUKS"})): N_(
        "of the clusters"
    ),
    (36, "I", N_("L1 entries"), str): N_("in the table of tables"),
    (40, "Q", N_("map at"), place): N_("where the table of tables (L1) begins"),
    (48, "Q", N_("refcounts at"), place): N_(
        "where the table of reference counts begins: how often is each cluster used?"
    ),
    (56, "I", N_("refcount clusters"), str): N_("of the table of reference counts"),
    (60, "I", N_("snapshots"), str): N_("kept inside this file"),
    (64, "Q", N_("snapshots at"), place): N_("where their table begins"),
}
_HEADER_3: FieldTable = {
    (72, "Q", N_("features"), bits(_FEATURES)): N_(
        "who does not know one of these must not open it"
    ),
    (80, "Q", N_("compatible features"), bits({0: N_("lazy refcounts")})): N_("may be ignored"),
    (88, "Q", N_("autoclear features"), bits({0: N_("bitmaps"), 1: N_("raw data file")})): N_(
        "cleared by who does not know them"
    ),
    (96, "I", N_("refcount order"), str): N_(
        "a reference count has 2 to the power of this many bits"
    ),
    (100, "I", N_("header size"), human): N_("of the fields so far; more may follow"),
}
_COMPRESSION: FieldTable = {
    (104, "B", N_("compression"), choice({0: "zlib", 1: "zstd"})): N_("of compressed clusters"),
}
_NO_SENSE = N_(
    "{name}: its header makes no sense: version {version}, clusters of 2^{bits} bytes; "
    "copy or make the disk again."
)
_OUTSIDE = N_(
    "{name}: keeps its data outside its own folder: {file}; it is not opened; "
    "copy the data beside it and name that."
)
_UNKNOWN = N_(
    "{name}: is a QCOW2 with {feature}, which this reader does not know; "
    "`qemu-img convert` makes a plain one of it."
)
_LONG_EXTENSION = N_(
    "{name}: its header extension at byte {at} is longer than its cluster; "
    "copy or make the disk again."
)
_FEW_TABLES = N_(
    "{name}: its map has {count} tables, too few for a capacity of {capacity}; "
    "copy or make the disk again."
)
_MANY_COUNTS = N_(
    "{name}: has more reference counts than this reader takes; copy or make the disk again."
)


@dataclass(kw_only=True, repr=False)
class _Clusters(BlockTable):
    """L2 entries: a place in the file with flags, or that of packed bytes and their length."""

    zeros: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        # of a packed entry: below these bits its place, above its length in further sectors
        self.place_bits = 71 - self.block.bit_length()

    def entry(self, value: int) -> tuple[str, int | None]:
        if value & _COMPRESSED:
            return "compressed", value & ((1 << self.place_bits) - 1)
        if value & 1 and self.zeros:
            return "zero", None
        if value & _PLACE:
            return "data", value & _PLACE
        return "parent", None

    def stored_size(self, piece: Extent) -> int:
        if piece.kind != "compressed":
            return piece.length
        table, number = divmod(piece.start // self.block, self.per)
        (value,) = self.file.numbers(self.table[table] + 8 * number, 1, self.code)
        further, at = divmod(value & (_COMPRESSED - 1), 1 << self.place_bits)
        return (further + 1) * SECTOR - at % SECTOR


class Qcow2(Disk):
    """A QCOW2 image of version 2 or 3.

    Encryption, a data file of its own and extended L2 entries are refused.
    """

    magic = b"QFI\xfb"
    byte_order = ">"
    format = "QCOW2"
    variant = N_("dynamic")
    kind = N_("clusters")
    share = SECTOR - 1  # packed clusters begin anywhere in a sector

    def load(self) -> None:
        file = self.file
        head = self.read_header(0, _HEADER)
        version = head["version"]
        order = head["cluster bits"]
        file.check(version in (2, 3) and 9 <= order <= 21, _NO_SENSE, version=version, bits=order)
        if version == 3:
            head |= self.read_header(0, _HEADER_3)
        header_size = head.get("header size", 72)  # bytes
        if header_size > 104:
            head |= self.read_header(0, _COMPRESSION)
        self.block_size = 1 << order
        self.capacity = head["capacity"]
        extensions = dict(self._extensions(header_size))
        features = {bit for bit in range(64) if head.get("features", 0) >> bit & 1}
        data_file = extensions.get("data file", b"").decode("utf-8", "replace")
        if _DATA_FILE in features and data_file:
            self.require_beside(data_file, _OUTSIDE)
        unknown = _unknown(head["encryption"], features, head.get("compression", 0))
        file.check(not unknown, _UNKNOWN, feature=unknown)
        for bit in (_DIRTY, _CORRUPT):
            if bit in features:
                message = N_("It is marked {feature}: `qemu-img check` tells more.")
                self.oddities.append(_(message, feature=_(_FEATURES[bit])))
        if head["snapshots"]:
            self.gap = "other", N_("of snapshots, or not used")
            message = N_("It keeps {n} snapshot(s) inside: `qemu-img snapshot -l` lists them.")
            self.oddities.append(_(message, n=head["snapshots"]))
        self._load_map(head)
        if head["parent name at"]:
            size = min(head["parent name size"], _LONGEST_NAME)
            name = file.need(head["parent name at"], size, N_("its parent's name"))
            self.follow(name.decode("utf-8", "replace"))
            self.parent_raw = extensions.get("parent format") == b"raw"

    def _extensions(self, at: int) -> Iterator[tuple[str, bytes]]:
        """What follows the header in its cluster, each a multiple of 8 bytes: name and data."""
        cluster = self.file.read(0, self.block_size)
        for _number in range(_MOST_EXTENSIONS):
            kind = int.from_bytes(cluster[at : at + 4], "big")
            length = int.from_bytes(cluster[at + 4 : at + 8], "big")
            if not kind or at + 8 > self.block_size:
                return
            self.file.check(length <= len(cluster) - at - 8, _LONG_EXTENSION, at=at)
            name = _EXTENSIONS.get(kind) or _("extension {kind:#x}", kind=kind)
            data = cluster[at + 8 : at + 8 + length]
            value = words(data) if name in ("parent format", "data file") else human(length)
            meaning = N_("an extension of the header")
            self.fields.append(DiskField(at, 8 + length, name, value, meaning))
            yield name, data
            at += 8 + units(length, 8) * 8

    def _load_map(self, head: DiskHeader) -> None:
        """The tables of the map, and those of the reference counts."""
        file = self.file
        size = self.block_size
        per = size // 8  # entries of a table, which fills a cluster
        count = units(self.capacity, size * per)
        room = head["L1 entries"]
        file.check(count <= room, _FEW_TABLES, count=room, capacity=self.capacity)
        entries = file.numbers(head["map at"], count, ">Q")
        tables = array("Q", [entry & _PLACE for entry in entries])
        self.maps = [
            _Clusters(
                file=file,
                length=self.capacity,
                block=size,
                table=tables,
                per=per,
                code=">Q",
                empty={},
                step=size,
                end=units(file.size, size) * size,
                zeros=head["version"] > 2,
            )
        ]
        self.claim("header", N_("header"), size, 0)
        self.claim("map", N_("L1 table"), room * 8, head["map at"])
        self.claim("map", N_("L2 tables"), size, *filter(None, tables))
        at = head["refcounts at"]
        counts = file.numbers(at, head["refcount clusters"] * size // 8, ">Q", N_("its refcounts"))
        places = [at, *filter(None, counts)]
        file.check((len(places) - 1) * size <= ALL_TABLES, _MANY_COUNTS)
        sectors = [place - place % SECTOR for place in places]
        self.claim("other", N_("reference counts"), size, *sectors)


def _unknown(encryption: int, features: set[int], compression: int) -> str:
    """The first of its features that this reader does not know; "" if it knows all."""
    if encryption:
        return _("encryption")
    if unknown := features - _READABLE:
        bit = min(unknown)
        return _(_FEATURES[bit]) if bit in _FEATURES else _("feature {bit}", bit=bit)
    if compression != int(_COMPRESSION_TYPE in features):
        return _("compression {number}", number=compression)
    return ""
