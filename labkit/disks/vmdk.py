"""VMDK, VMware's: a text that describes the disk, and extents that hold it, flat or sparse.

A sparse extent has a map of grains. Source: VMware, Virtual Disk Format 5.0 (technical note).
Numbers are little-endian and count sectors of 512 bytes. What VirtualBox adds to the text
(ddb.uuid.…): VirtualBox, src/VBox/Storage/VMDK.cpp.
"""

from __future__ import annotations

import re
from array import array

from labkit.disks.blockmap import BlockTable, Extent
from labkit.disks.disk import Disk
from labkit.disks.diskfile import SECTOR, DiskField, DiskHeader, FieldTable, FilePart
from labkit.disks.values import NIL, YES_OR_NO, bits, choice, human, in_file_order, one_line, units
from labkit.messages import N_, _

DESCRIPTION_BEGINS = re.compile(rb"\s*#\s*Disk DescriptorFile", re.I)
_EXTENT = re.compile(
    r'(RW|RDONLY|NOACCESS)\s+([0-9]{1,15})\s+(\w+)(?:\s+"([^"]*)")?(?:\s+([0-9]{1,15}))?'
)
_WORD = re.compile(r'([\w.]++)\s*+=\s*+"?+([^"]*+)"?+')  # possessive: no line makes it try twice
_LONGEST_TEXT = 1 << 20  # bytes
_MOST_EXTENTS = 4096
_AT_END = (1 << 64) - 1  # the place of a directory that is told in a footer
_ZEROS = 1 << 2  # flags
_SECOND_DIRECTORY = 1 << 1
_PACKED = 1 << 16
_FLAGS = {
    0: N_("newline test"),
    1: N_("has a second directory"),
    2: N_("zero grains"),
    16: N_("compressed"),
    17: N_("markers"),
}
_VARIANTS = {
    "monolithicSparse": N_("dynamic"),
    "monolithicFlat": N_("flat"),
    "twoGbMaxExtentSparse": N_("split"),
    "twoGbMaxExtentFlat": N_("split flat"),
}
_NO_PARENT = "ffffffff"  # a content ID
_MANY_EXTENTS = N_("{name}: names more than {most} extents; copy or make the disk again.")
_NO_EXTENTS = N_("{name}: describes a disk of no extents; copy or make the disk again.")
_OUTSIDE = N_(
    "{name}: names an extent outside its own folder: {file}; it is not opened; "
    "copy the extent beside it and name that."
)
_UNKNOWN = N_(
    "{name}: has an extent of kind {kind}, access {access}, which is recognised but not read "
    "further; convert the disk with `qemu-img convert`."
)
_CUT = N_("{name}: {file} ends in the middle: {size}, not {end}; copy or make the disk again.")
_DIFFERS = N_(
    "{name}: says {length} bytes of {file}, which says {found}; copy or make the disk again."
)
_NOT_SPARSE = N_(
    "{name}: its extent at byte {at} is not a sparse one: it does not begin with KDMV; "
    "copy or make the disk again."
)
_NO_FOOTER = N_(
    "{name}: its footer is missing: the file ends too early; copy or make the disk again."
)
_NO_SENSE = N_(
    "{name}: its header makes no sense: version {version}, {count} grains of {size} sectors; "
    "copy or make the disk again."
)
_COMPRESSION = N_(
    "{name}: has compression {number}, which this reader does not know; "
    "copy or make the disk again."
)


def _sectors(count: int) -> str:
    return human(count * SECTOR)


def _sector(number: int) -> str:
    if number == _AT_END:
        return _("at the end of the file")
    return _("sector {number} ({offset})", number=number, offset=_sectors(number))


_HEADER: FieldTable = {
    (0, "4s", N_("signature"), in_file_order): N_("the letters KDMV"),
    (4, "I", N_("version"), str): N_("of the format"),
    (8, "I", N_("flags"), bits(_FLAGS)): N_("what else it has"),
    (12, "Q", N_("capacity"), _sectors): N_("of this extent"),
    (20, "Q", N_("grain size"), _sectors): N_("the file grows by one grain at a time"),
    (28, "Q", N_("description at"), _sector): N_("where the text is; 0 without one"),
    (36, "Q", N_("description size"), _sectors): N_("kept for the text"),
    (44, "I", N_("table entries"), str): N_("grains in a grain table"),
    (48, "Q", N_("second directory at"), _sector): N_("a copy, with tables of its own"),
    (56, "Q", N_("directory at"), _sector): N_("where the table of grain tables begins"),
    (64, "Q", N_("overhead"), _sectors): N_("before the first grain"),
    (72, "B", N_("unclean"), YES_OR_NO): N_("was it not closed?"),
    (73, "4s", N_("newlines"), in_file_order): N_(
        "0x0A200D0A unless a transfer as text has damaged the file"
    ),
    (77, "H", N_("compression"), choice({0: N_("none"), 1: "deflate"})): N_("of the grains"),
}
_MEANINGS = {  # of the words of the description
    "CID": N_("changes whenever the content does"),
    "parentCID": N_("of the parent back then; ffffffff: none"),
    "createType": N_("how the disk is spread over files"),
    "parentFileNameHint": N_("the parent's file"),
    "ddb.uuid.image": N_("of this image, as VBoxManage shows it"),
    "ddb.uuid.parent": N_("of the parent, VirtualBox's own way"),
    "ddb.adapterType": N_("of the disk controller"),
    "ddb.virtualHWVersion": N_("of the virtual machine"),
}


class _Grains(BlockTable):
    """Grain tables. A packed grain follows 12 bytes: its first sector (8), and its size."""

    def stored_size(self, piece: Extent) -> int:
        if piece.kind == "compressed" and piece.at is not None:
            return 12 + int.from_bytes(self.file.read(piece.at + 8, 4), "little")
        return piece.length


class Vmdk(Disk):
    """A VMDK in one file or several. An extent outside its description's folder is not opened."""

    magic = b"KDMV"
    byte_order = "<"
    format = "VMDK"
    kind = N_("grains")

    def load(self) -> None:
        file = self.file
        self._words: dict[str, str] = {}
        self._lines: list[tuple[str, ...]] = []  # of extents: access, sectors, kind, file, offset
        if file.read(0, 4) == self.magic:
            self._load_sparse(file.parts[0])
        else:
            self._read_description(0, file.size)
            self._load_extents()
        kind = self._words.get("createType") or "dynamic"
        self.variant = _VARIANTS.get(kind, kind)
        self.uuid = self._words.get("ddb.uuid.image", "")
        self.parent_uuid = self._words.get("ddb.uuid.parent", "").replace(NIL, "")
        parent_content = self._words.get("parentCID", _NO_PARENT).lower()
        if self.parent_uuid or parent_content != _NO_PARENT:
            self.follow(self._words.get("parentFileNameHint", ""))
            self.parent = self.parent or N_("not named")

    def _read_description(self, at: int, size: int) -> None:
        """Read the text: lines of key = value, and of extents."""
        data = self.file.need(at, min(size, _LONGEST_TEXT), N_("its description"))
        self.claim("header", N_("description"), size, at)
        for match in re.finditer(rb"[^\r\n]+", data.partition(b"\0")[0]):
            line = match[0].decode("utf-8", "replace").strip()
            word = _WORD.fullmatch(line)
            place = at + match.start(), len(match[0])
            if word and word[1] not in self._words:
                key, value = word.groups()
                shown = one_line(value)
                self._words[key] = value if key == "parentFileNameHint" else shown
                if key in _MEANINGS:
                    self.fields.append(DiskField(*place, key, shown, _MEANINGS[key]))
            elif extent := _EXTENT.match(line):
                few = len(self._lines) < _MOST_EXTENTS
                self.file.check(few, _MANY_EXTENTS, most=_MOST_EXTENTS)
                self._lines.append(extent.groups(""))
                access, sectors, kind, name, _offset = extent.groups("")
                title = _("extent {kind}", kind=one_line(kind))
                length = _sectors(int(sectors))
                meaning = _("an extent of {size}, access {access}", size=length, access=access)
                self.fields.append(DiskField(*place, title, one_line(name), meaning))

    def _load_extents(self) -> None:
        """Open the extents that the description names, in turn."""
        file = self.file
        file.check(self._lines, _NO_EXTENTS)
        opened: dict[str, FilePart] = {}
        for access, sectors, kind, name, offset in self._lines:
            length = int(sectors) * SECTOR
            if kind == "ZERO":
                self.add_flat(length, "zero", None)
                continue
            self.require_beside(name, _OUTSIDE, forbidden=":\0/\\")
            readable = kind in ("FLAT", "VMFS", "SPARSE") and access != "NOACCESS"
            file.check(readable, _UNKNOWN, kind=kind, access=access)
            if name not in opened:
                opened[name] = file.add(self.path.parent / name)
            part = opened[name]
            about = {"file": one_line(name), "length": length, "size": human(part.size)}
            if kind == "SPARSE":
                before = self.capacity
                self._load_sparse(part)
                found = self.capacity - before
                file.check(found == length, _DIFFERS, found=found, **about)
            else:
                start = int(offset or 0) * SECTOR
                end = start + length
                file.check(end <= part.size, _CUT, end=human(end), **about)
                self.add_flat(length, "data", part.start + start)

    def _load_sparse(self, part: FilePart) -> None:
        """Read the header of a sparse extent, and its map."""
        file = self.file
        base = part.start
        if self.maps:  # the fields of one extent are enough
            head = DiskHeader(file, base, self.byte_order, _HEADER)
        else:
            head = self.read_header(base, _HEADER)
        file.check(file.read(base, 4) == self.magic, _NOT_SPARSE, at=base)
        if head["description at"] and not base:
            self._read_description(
                head["description at"] * SECTOR, head["description size"] * SECTOR
            )
        if head["directory at"] == _AT_END:
            # the footer of a stream, which is written last (5.0, Stream-Optimized)
            end = base + part.size
            self.claim("header", N_("footer"), 3 * SECTOR, end - 3 * SECTOR)
            file.check(part.size >= 4 * SECTOR, _NO_FOOTER)
            self.gap = "other", N_("markers and padding")
            head = self.read_header(end - 2 * SECTOR, _HEADER)
        file.check(
            head.texts["signature"] == in_file_order(self.magic)
            and head["version"] in (1, 2, 3)
            and 8 <= head["grain size"] <= 1 << 17
            and head["grain size"].bit_count() == 1  # a power of two
            and 1 <= head["table entries"] <= 1 << 16,
            _NO_SENSE,
            version=head["version"],
            count=head["table entries"],
            size=head["grain size"],
        )
        least = 1 if head["flags"] & _PACKED else 0
        compression = head["compression"]
        file.check(least <= compression <= 1, _COMPRESSION, number=compression)
        self._load_grains(part, head)

    def _load_grains(self, part: FilePart, head: DiskHeader) -> None:
        """Read the directory of a sparse extent."""
        base = part.start
        flags = head["flags"]
        per = head["table entries"]
        length = head["capacity"] * SECTOR
        self.block_size = head["grain size"] * SECTOR
        directory = base + head["directory at"] * SECTOR
        entries = self.file.numbers(directory, units(length, self.block_size * per), "<I")
        tables = array("Q", [base + entry * SECTOR if entry else 0 for entry in entries])
        self.maps.append(
            _Grains(
                file=self.file,
                first=self.capacity,
                length=length,
                block=self.block_size,
                table=tables,
                per=per,
                code="<I",
                empty={0: "parent", 1: "zero"} if flags & _ZEROS else {0: "parent"},
                full="compressed" if flags & _PACKED else "data",
                base=base,
                unit=SECTOR,
                step=head["grain size"],
                end=base + part.size,
            )
        )
        self.capacity += length
        self.claim("header", N_("header"), SECTOR, base)
        self.claim("map", N_("grain directory"), 4 * len(tables), directory)
        self.claim("map", N_("grain tables"), 4 * per, *filter(None, tables))
        second = base + head["second directory at"] * SECTOR
        # a copy of directory and tables is shown where it is in front of the first
        if flags & _SECOND_DIRECTORY and base < second < directory:
            self.claim("map", N_("copy of the map"), directory - second, second)
