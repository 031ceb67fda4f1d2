"""VDI, VirtualBox's own: a header, a table with a number for each block of the guest, and the blocks as they came.

Source: VirtualBox, src/VBox/Storage/VDICore.h (the structures) and VDI.cpp. All numbers are little-endian.
"""

from __future__ import annotations

from labkit.disks import disk as d

MAGIC, TYPES = bytes.fromhex("7F10DABE"), {1: "dynamic", 2: "fixed", 3: "undo", 4: "differencing"}
FREE, ZERO = 0xFFFFFFFF, 0xFFFFFFFE  # VDI_IMAGE_BLOCK_FREE, VDI_IMAGE_BLOCK_ZERO
ROWS: list[d.Row] = [
    (0, "64s", "text", d.text, "for people: which program wrote it"),
    (64, "4s", "signature", d.magic, "these four bytes make it a VDI"),
    (68, "H", "minor version", str, "of the format"),
    (70, "H", "major version", str, "of the format"),
    (72, "I", "header size", d.human, "counted from here"),
    (
        76,
        "I",
        "type",
        d.choice(TYPES),
        "fixed: all blocks from the start; differencing: changes to a parent",
    ),
    (80, "I", "flags", d.bits({8: "zeros written on growing", 9: "split"}), "how it was created"),
    (84, "256s", "comment", d.text, "for people"),
    (340, "I", "map at", d.place, "where the table of blocks begins"),
    (344, "I", "data at", d.place, "where block 0 of the file begins"),
    (360, "I", "sector size", d.human, "of the geometry before it, which is of old and not used"),
    (368, "Q", "capacity", d.human, "what the guest sees"),
    (376, "I", "block size", d.human, "the file grows by one block at a time"),
    (380, "I", "block extra", d.human, "kept before each block"),
    (384, "I", "blocks", str, "in the table, one for each block of the guest"),
    (388, "I", "blocks allocated", str, "in the file"),
    (392, "16s", "UUID", d.guid, "of this image, as VBoxManage shows it"),
    (408, "16s", "modification UUID", d.guid, "changes whenever the image is written to"),
    (
        424,
        "16s",
        "parent UUID",
        d.guid,
        "of the image that this one changes; zero without a parent",
    ),
    (
        440,
        "16s",
        "parent modification",
        d.guid,
        "the parent's modification UUID back then: is it still unchanged?",
    ),
]


class Vdi(d.Disk):
    """A VDI of version 1; of the older version 0 no more is said."""

    format = "VDI"

    def load(self, strip: d.Strip) -> None:
        strip.check(
            strip.read(70, 2) == b"\1\0",
            "is not a VDI of version 1, so it is recognised but not read further",
            "convert it with `VBoxManage clonemedium`",
        )
        head = self.parse(0, ROWS, "<")
        self.capacity, self.block_size, count = head["capacity"], head["block size"], head["blocks"]
        strip.check(
            head["type"] in TYPES
            and d.power(self.block_size, d.SECTOR, 1 << 31)
            and self.capacity <= self.block_size * count,
            f"its header makes no sense: type {head['type']}, {count} blocks of {self.block_size} bytes, "
            f"a capacity of {self.capacity}",
        )
        self.variant, self.uuid = TYPES[head["type"]], d.guid(head["UUID"])
        if (parent := d.guid(head["parent UUID"])) != d.NIL:
            self.parent = self.parent_uuid = parent
        extra, table = head["block extra"], strip.numbers(head["map at"], count, "<I")
        self.maps = [
            d.Map(
                strip=strip,
                length=self.capacity,
                block=self.block_size,
                table=table,
                empty={FREE: "parent", ZERO: "zero"},
                base=head["data at"] + extra,
                unit=self.block_size + extra,
                step=0 if extra else 1,
            )
        ]
        self.claim("header", "header", min(72 + head["header size"], head["map at"]), 0)
        self.claim("map", "map of blocks", 4 * count, head["map at"])
