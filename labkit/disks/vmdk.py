"""VMDK, VMware's: a text that describes the disk, and extents that hold it, flat or sparse.

A sparse extent has a map of grains. Source: VMware, Virtual Disk Format 5.0 (technical note).
Numbers are little-endian and count sectors of 512 bytes. What VirtualBox adds to the text
(ddb.uuid.…): VirtualBox, src/VBox/Storage/VMDK.cpp.
"""

from __future__ import annotations

import re
from array import array
from typing import NamedTuple

from labkit.disks.blockmap import BlockTable, Extent, ExtentList, inflated
from labkit.disks.disk import Disk
from labkit.disks.diskfile import DiskFile, FilePart
from labkit.disks.header import DiskField, DiskHeader, FieldTable, Number, Octets
from labkit.disks.regions import Gap
from labkit.disks.values import (
    NIL,
    SECTOR,
    bits,
    choice,
    human,
    in_file_order,
    is_power_of_two,
    one_line,
    units,
)
from labkit.messages import N_, _

VMDK_MAGIC = b"KDMV"
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
_DAMAGED = N_("{name}: its compressed grain at byte {at} is damaged; copy or make the disk again.")


def _sectors(count: int) -> str:
    """A size in sectors as text."""
    return human(count * SECTOR)


def _sector(number: int) -> str:
    """An offset in sectors as text."""
    if number == _AT_END:
        return _("at the end of the file")
    return _("sector {number} ({offset})", number=number, offset=_sectors(number))


_HEADER: FieldTable = {
    Octets(0, 4, N_("signature"), in_file_order): N_("the letters KDMV"),
    Number(4, "I", N_("version"), str): N_("of the format"),
    Number(8, "I", N_("flags"), bits(_FLAGS)): N_("what else it has"),
    Number(12, "Q", N_("capacity"), _sectors): N_("of this extent"),
    Number(20, "Q", N_("grain size"), _sectors): N_("the file grows by one grain at a time"),
    Number(28, "Q", N_("description at"), _sector): N_("where the text is; 0 without one"),
    Number(36, "Q", N_("description size"), _sectors): N_("kept for the text"),
    Number(44, "I", N_("table entries"), str): N_("grains in a grain table"),
    Number(48, "Q", N_("second directory at"), _sector): N_("a copy, with tables of its own"),
    Number(56, "Q", N_("directory at"), _sector): N_("where the table of grain tables begins"),
    Number(64, "Q", N_("overhead"), _sectors): N_("before the first grain"),
    Number(72, "B", N_("unclean"), choice({0: N_("no"), 1: N_("yes")})): N_("was it not closed?"),
    Octets(73, 4, N_("newlines"), in_file_order): N_(
        "0x0A200D0A unless a transfer as text has damaged the file"
    ),
    Number(77, "H", N_("compression"), choice({0: N_("none"), 1: "deflate"})): N_("of the grains"),
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

    def packed(self, start: int) -> tuple[int, int]:
        at = self.base + self.value(start) * SECTOR
        return at + 12, int.from_bytes(self.file.read(at + 8, 4), "little")

    def inflate(self, start: int) -> bytes:
        at, size = self.packed(start)
        data = None
        if size <= 2 * self.block:
            data = inflated(self.file.read(at, size), self.block)
        if data is None:
            raise self.file.wrong(_DAMAGED, at=at - 12)
        return data


class _ExtentLine(NamedTuple):
    """A line of the description: sizes in bytes."""

    kind: str
    length: int
    file: str
    access: str
    offset: int


class Vmdk(Disk):
    """A VMDK in one file or several. An extent outside its description's folder is not opened."""

    format = "VMDK"
    kind = N_("grains")

    def load(self, file: DiskFile) -> None:
        self._words: dict[str, str] = {}
        self._lines: list[_ExtentLine] = []
        if file.read(0, 4) == VMDK_MAGIC:
            self._load_sparse(file, file.parts[0])
        else:
            self._read_description(file, 0, file.size)
            self._load_extents(file)
        kind = self._words.get("createType") or "dynamic"
        self.variant = _VARIANTS.get(kind, kind)
        self.uuid = self._words.get("ddb.uuid.image", "")
        parent_uuid = self._words.get("ddb.uuid.parent", NIL)
        self.parent_uuid = parent_uuid if parent_uuid != NIL else ""
        parent_content = self._words.get("parentCID", _NO_PARENT).lower()
        if self.parent_uuid or parent_content != _NO_PARENT:
            self.follow(self._words.get("parentFileNameHint", ""), self.parent_uuid)
            self.parent = self.parent or N_("not named")

    # -- the description

    def _read_description(self, file: DiskFile, at: int, size: int) -> None:
        """Read the text: lines of key = value, and of extents."""
        data = file.need(at, min(size, _LONGEST_TEXT), N_("its description"))
        self.claim("header", N_("description"), size, at)
        for match in re.finditer(rb"[^\r\n]+", data.partition(b"\0")[0]):
            line = match[0].decode("utf-8", "replace").strip()
            start = at + match.start()
            word = _WORD.fullmatch(line)
            if word and word[1] not in self._words:
                self._add_word(word[1], word[2], start, len(match[0]))
            elif extent := _EXTENT.match(line):
                file.check(len(self._lines) < _MOST_EXTENTS, _MANY_EXTENTS, most=_MOST_EXTENTS)
                self._add_line(extent, start, len(match[0]))

    def _add_word(self, key: str, value: str, start: int, size: int) -> None:
        shown = one_line(value)
        self._words[key] = value if key == "parentFileNameHint" else shown
        if key in _MEANINGS:
            self.fields.append(DiskField(start, size, key, shown, _MEANINGS[key]))

    def _add_line(self, extent: re.Match[str], start: int, size: int) -> None:
        access, count, kind, name, offset = extent.groups("")
        length = int(count) * SECTOR
        self._lines.append(_ExtentLine(kind, length, name, access, int(offset or 0) * SECTOR))
        title = _("extent {kind}", kind=one_line(kind))
        meaning = _("an extent of {size}, access {access}", size=human(length), access=access)
        self.fields.append(DiskField(start, size, title, one_line(name), meaning))

    # -- the extents

    def _load_extents(self, file: DiskFile) -> None:
        """Open the extents that the description names, in turn."""
        file.check(self._lines, _NO_EXTENTS)
        opened: dict[str, FilePart] = {}
        for line in self._lines:
            if line.kind == "ZERO":
                self._add_known(line.length, "zero", None)
                continue
            self._check_extent(file, line)
            if line.file not in opened:
                opened[line.file] = file.add(self.path.parent / line.file)
            part = opened[line.file]
            if line.kind == "SPARSE":
                self._load_sparse_line(file, part, line)
            else:
                self._load_flat_line(file, part, line)

    def _check_extent(self, file: DiskFile, line: _ExtentLine) -> None:
        """LabError if its file may not be opened, or is none that can be read."""
        if "/" in line.file or "\\" in line.file or not self.beside(line.file):
            raise file.elsewhere(_OUTSIDE, line.file)
        readable = line.kind in ("FLAT", "VMFS", "SPARSE") and line.access != "NOACCESS"
        file.check(readable, _UNKNOWN, kind=line.kind, access=line.access)

    def _load_flat_line(self, file: DiskFile, part: FilePart, line: _ExtentLine) -> None:
        end = line.offset + line.length
        if end > part.size:
            name = one_line(line.file)
            raise file.wrong(_CUT, file=name, size=human(part.size), end=human(end))
        self._add_known(line.length, "data", part.start + line.offset)

    def _load_sparse_line(self, file: DiskFile, part: FilePart, line: _ExtentLine) -> None:
        before = self.capacity
        self._load_sparse(file, part)
        length = self.capacity - before
        if length != line.length:
            name = one_line(line.file)
            raise file.wrong(_DIFFERS, length=line.length, file=name, found=length)

    def _add_known(self, length: int, kind: str, at: int | None) -> None:
        self.maps.append(ExtentList(Extent(self.capacity, length, kind, at)))
        self.capacity += length

    # -- a sparse extent

    def _load_sparse(self, file: DiskFile, part: FilePart) -> None:
        """Read the header and the map of a sparse extent."""
        base = part.start
        head = DiskHeader(file, base, "<", _HEADER)
        if not self.maps:  # the fields of one extent are enough
            self.fields += head.fields
        file.check(head.octets["signature"] == VMDK_MAGIC, _NOT_SPARSE, at=base)
        if head["description at"] and not base:
            self._read_description(
                file, head["description at"] * SECTOR, head["description size"] * SECTOR
            )
        if head["directory at"] == _AT_END:
            head = self._read_footer(file, part)
        self._check_header(file, head)
        self._load_grains(file, part, head)

    def _read_footer(self, file: DiskFile, part: FilePart) -> DiskHeader:
        """The footer of a stream, which is written last (5.0, Stream-Optimized)."""
        end = part.start + part.size
        self.claim("header", N_("footer"), 3 * SECTOR, end - 3 * SECTOR)
        file.check(part.size >= 4 * SECTOR, _NO_FOOTER)
        self.gap = Gap("other", N_("markers and padding"))
        footer = DiskHeader(file, end - 2 * SECTOR, "<", _HEADER)
        self.fields += footer.fields
        return footer

    def _check_header(self, file: DiskFile, head: DiskHeader) -> None:
        grain = head["grain size"]
        per = head["table entries"]
        file.check(
            head.octets["signature"] == VMDK_MAGIC
            and head["version"] in (1, 2, 3)
            and is_power_of_two(grain, 8, 1 << 17)
            and 1 <= per <= 1 << 16,
            _NO_SENSE,
            version=head["version"],
            count=per,
            size=grain,
        )
        least = 1 if head["flags"] & _PACKED else 0
        compression = head["compression"]
        file.check(least <= compression <= 1, _COMPRESSION, number=compression)

    def _load_grains(self, file: DiskFile, part: FilePart, head: DiskHeader) -> None:
        """Read the directory of a sparse extent."""
        base = part.start
        flags = head["flags"]
        per = head["table entries"]
        length = head["capacity"] * SECTOR
        self.block_size = head["grain size"] * SECTOR
        directory = base + head["directory at"] * SECTOR
        entries = file.numbers(directory, units(length, self.block_size * per), "<I")
        tables = array("Q", [base + entry * SECTOR if entry else 0 for entry in entries])
        empty = {0: "parent"}
        if flags & _ZEROS:
            empty[1] = "zero"
        self.maps.append(
            _Grains(
                file=file,
                first=self.capacity,
                length=length,
                block=self.block_size,
                table=tables,
                per=per,
                code="<I",
                empty=empty,
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
        self._claim_copy(base, head)

    def _claim_copy(self, base: int, head: DiskHeader) -> None:
        """The second directory and its tables, where they are in front of the first."""
        second = head["second directory at"]
        first = head["directory at"]
        if head["flags"] & _SECOND_DIRECTORY and 0 < second < first != _AT_END:
            size = (first - second) * SECTOR
            self.claim("map", N_("copy of the map"), size, base + second * SECTOR)
