"""VDI, VirtualBox's own: a header, a table with a number for each block of the guest, the blocks.

These are in the order in which they came. Source: VirtualBox, src/VBox/Storage/VDICore.h (the
structures) and VDI.cpp. All numbers are little-endian.
"""

from __future__ import annotations

from labkit.disks.blockmap import BlockTable
from labkit.disks.disk import Disk
from labkit.disks.diskfile import DiskFile
from labkit.disks.header import DiskHeader, FieldTable, Number, Octets
from labkit.disks.values import (
    NIL,
    SECTOR,
    bits,
    choice,
    guid,
    human,
    in_file_order,
    is_power_of_two,
    place,
    words,
)
from labkit.messages import N_

VDI_MAGIC_AT = 64
VDI_MAGIC = bytes.fromhex("7F10DABE")
_TYPES = {1: N_("dynamic"), 2: N_("fixed"), 3: N_("undo"), 4: N_("differencing")}
_FREE = 0xFFFFFFFF  # VDI_IMAGE_BLOCK_FREE
_ZERO = 0xFFFFFFFE  # VDI_IMAGE_BLOCK_ZERO
_HEADER: FieldTable = {
    Octets(0, 64, N_("text"), words): N_("for people: which program wrote it"),
    Octets(64, 4, N_("signature"), in_file_order): N_("these four bytes make it a VDI"),
    Number(68, "H", N_("minor version"), str): N_("of the format"),
    Number(70, "H", N_("major version"), str): N_("of the format"),
    Number(72, "I", N_("header size"), human): N_("counted from here"),
    Number(76, "I", N_("type"), choice(_TYPES)): N_(
        "fixed: all blocks from the start; differencing: changes to a parent"
    ),
    Number(80, "I", N_("flags"), bits({8: N_("zeros written on growing"), 9: N_("split")})): N_(
        "how it was created"
    ),
    Octets(84, 256, N_("comment"), words): N_("for people"),
    Number(340, "I", N_("map at"), place): N_("where the table of blocks begins"),
    Number(344, "I", N_("data at"), place): N_("where block 0 of the file begins"),
    Number(360, "I", N_("sector size"), human): N_(
        "of the geometry before it, which is of old and not used"
    ),
    Number(368, "Q", N_("capacity"), human): N_("what the guest sees"),
    Number(376, "I", N_("block size"), human): N_("the file grows by one block at a time"),
    Number(380, "I", N_("block extra"), human): N_("kept before each block"),
    Number(384, "I", N_("blocks"), str): N_("in the table, one for each block of the guest"),
    Number(388, "I", N_("blocks allocated"), str): N_("in the file"),
    Octets(392, 16, N_("UUID"), guid): N_("of this image, as VBoxManage shows it"),
    Octets(408, 16, N_("modification UUID"), guid): N_("changes whenever the image is written to"),
    Octets(424, 16, N_("parent UUID"), guid): N_(
        "of the image that this one changes; zero without a parent"
    ),
    Octets(440, 16, N_("parent modification"), guid): N_(
        "the parent's modification UUID back then: is it still unchanged?"
    ),
}
_OLD = N_(
    "{name}: is not a VDI of version 1, so it is recognised but not read further; "
    "convert it with `VBoxManage clonemedium`."
)
_NO_SENSE = N_(
    "{name}: its header makes no sense: type {type}, {count} blocks of {size} bytes, "
    "a capacity of {capacity}; copy or make the disk again."
)


class Vdi(Disk):
    """A VDI of version 1; of the older version 0 no more is said."""

    format = "VDI"

    def load(self, file: DiskFile) -> None:
        file.check(file.read(70, 2) == b"\1\0", _OLD)
        head = DiskHeader(file, 0, "<", _HEADER)
        self.fields = head.fields
        self.capacity = head["capacity"]
        self.block_size = head["block size"]
        file.check(
            head["type"] in _TYPES
            and is_power_of_two(self.block_size, SECTOR, 1 << 31)
            and self.capacity <= self.block_size * head["blocks"],
            _NO_SENSE,
            type=head["type"],
            count=head["blocks"],
            size=self.block_size,
            capacity=self.capacity,
        )
        self.variant = _TYPES[head["type"]]
        self.uuid = guid(head.octets["UUID"])
        parent = guid(head.octets["parent UUID"])
        if parent != NIL:
            self.parent = parent
            self.parent_uuid = parent
        self.claim("header", N_("header"), min(72 + head["header size"], head["map at"]), 0)
        self.claim("map", N_("map of blocks"), 4 * head["blocks"], head["map at"])
        self.maps = [self._map(file, head)]

    def _map(self, file: DiskFile, head: DiskHeader) -> BlockTable:
        extra = head["block extra"]
        return BlockTable(
            file=file,
            length=self.capacity,
            block=self.block_size,
            table=file.numbers(head["map at"], head["blocks"], "<I"),
            empty={_FREE: "parent", _ZERO: "zero"},
            base=head["data at"] + extra,
            unit=self.block_size + extra,
            step=0 if extra else 1,
        )
