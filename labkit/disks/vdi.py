"""VDI, VirtualBox's own: a header, a table with a number for each block of the guest, the blocks.

These are in the order in which they came. Source: VirtualBox, src/VBox/Storage/VDICore.h (the
structures) and VDI.cpp. All numbers are little-endian.
"""

from __future__ import annotations

from labkit.disks.blockmap import BlockTable
from labkit.disks.disk import Disk
from labkit.disks.diskfile import FieldTable
from labkit.disks.values import NIL, bits, choice, guid, human, in_file_order, place, words
from labkit.messages import N_

_TYPES = {1: N_("dynamic"), 2: N_("fixed"), 3: N_("undo"), 4: N_("differencing")}
_FREE = 0xFFFFFFFF  # VDI_IMAGE_BLOCK_FREE
_ZERO = 0xFFFFFFFE  # VDI_IMAGE_BLOCK_ZERO
_FLAGS = {8: N_("zeros written on growing"), 9: N_("split")}
_HEADER: FieldTable = {
    (0, "64s", N_("text"), words): N_("for people: which program wrote it"),
    (64, "4s", N_("signature"), in_file_order): N_("these four bytes make it a VDI"),
    (68, "H", N_("minor version"), str): N_("of the format"),
    (70, "H", N_("major version"), str): N_("of the format"),
    (72, "I", N_("header size"), human): N_("counted from here"),
    (76, "I", N_("type"), choice(_TYPES)): N_(
        "fixed: all blocks from the start; differencing: changes to a parent"
    ),
    (80, "I", N_("flags"), bits(_FLAGS)): N_("how it was created"),
    (84, "256s", N_("comment"), words): N_("for people"),
    (340, "I", N_("map at"), place): N_("where the table of blocks begins"),
    (344, "I", N_("data at"), place): N_("where block 0 of the file begins"),
    (360, "I", N_("sector size"), human): N_(
        "of the geometry before it, which is of old and not used"
    ),
    (368, "Q", N_("capacity"), human): N_("what the guest sees"),
    (376, "I", N_("block size"), human): N_("the file grows by one block at a time"),
    (380, "I", N_("block extra"), human): N_("kept before each block"),
    (384, "I", N_("blocks"), str): N_("in the table, one for each block of the guest"),
    (388, "I", N_("blocks allocated"), str): N_("in the file"),
    (392, "16s", N_("UUID"), guid): N_("of this image, as VBoxManage shows it"),
    (408, "16s", N_("modification UUID"), guid): N_("changes whenever the image is written to"),
    (424, "16s", N_("parent UUID"), guid): N_(
        "of the image that this one changes; zero without a parent"
    ),
    (440, "16s", N_("parent modification"), guid): N_(
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

    magic = bytes.fromhex("7F10DABE")
    magic_at = 64
    byte_order = "<"
    format = "VDI"

    def load(self) -> None:
        file = self.file
        file.check(file.read(70, 2) == b"\1\0", _OLD)
        head = self.read_header(0, _HEADER)
        self.capacity = head["capacity"]
        self.block_size = head["block size"]
        count = head["blocks"]
        kind = head["type"]
        self.require_blocks(count, kind in _TYPES, _NO_SENSE, type=kind)
        self.variant = _TYPES[kind]
        self.uuid = head.texts["UUID"]
        self.parent_uuid = head.texts["parent UUID"].replace(NIL, "")
        self.parent = self.parent_uuid
        map_at = head["map at"]
        self.claim("header", N_("header"), min(72 + head["header size"], map_at), 0)
        self.claim("map", N_("map of blocks"), 4 * count, map_at)
        extra = head["block extra"]
        self.maps = [
            BlockTable(
                file=file,
                length=self.capacity,
                block=self.block_size,
                table=file.numbers(map_at, count, "<I"),
                empty={_FREE: "parent", _ZERO: "zero"},
                base=head["data at"] + extra,
                unit=self.block_size + extra,
                step=0 if extra else 1,
            )
        ]
