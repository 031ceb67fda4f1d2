"""Virtual disk files taken apart: headers field by field, where each block of the guest is, and the guest's bytes.

One reader for each format, each from the format's own specification; nothing is ever written.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from labkit.disks import qcow2, qed, vdi, vhd, vhdx, vmdk
from labkit.disks.disk import Disk, Elsewhere, Extent, Field, Known, Map, Region, Strip, human

__all__ = ["Disk", "Elsewhere", "Extent", "Field", "Map", "Region", "human", "open_disk"]

BEGINS: list[tuple[int, bytes, type[Disk]]] = [
    (0, b"QFI\xfb", qcow2.Qcow2),
    (0, b"QED\0", qed.Qed),
    (0, vmdk.MAGIC, vmdk.Vmdk),
    (64, vdi.MAGIC, vdi.Vdi),
    (0, b"vhdxfile", vhdx.Vhdx),
    (0, vhd.COOKIE, vhd.Vhd),
]
KNOWN = {
    b"QFI\xfb\0\0\0\1": "QCOW version 1",
    b"WithoutFreeSpace": "Parallels HDD",
    b"WithouFreSpacExt": "Parallels HDD",
    b"COWD": "a VMDK of old ESX servers",
}


class Raw(Disk):
    """Any file in which no format is recognised: the guest's bytes and nothing else. It has no fields."""

    format, variant = "RAW", "flat"

    def load(self, strip: Strip) -> None:
        self.capacity = strip.size
        self.maps = [Known(Extent(0, strip.size, "data", 0))]


def _format(strip: Strip) -> type[Disk]:
    """The format by what the file holds, whatever its name."""
    head = strip.read(0, 1024)
    for word, name in KNOWN.items():
        strip.check(
            not head.startswith(word),
            f"is {name}, which is recognised but not read further",
            "`qemu-img convert -O qcow2` makes one that is",
        )
    for at, word, kind in BEGINS:
        if head.startswith(word, at):
            return kind
    if vmdk.DESCRIPTOR.match(head):
        return vmdk.Vmdk
    return vhd.Vhd if strip.size >= 512 and strip.read(strip.size - 512, 8) == vhd.COOKIE else Raw


def open_disk(path: Path | str, *, raw: bool = False) -> Disk:
    """The disk in a file, by its content; RAW where no format is recognised, or where `raw` says so.

    A guest can write the beginning of any format into a raw disk: `raw` is for who knows better. Close the disk, or
    use it in `with`. LabError if the file is missing, cannot be read, is empty, or makes no sense.
    """
    path = Path(os.path.abspath(path))
    with ExitStack() as opened:
        strip = Strip(path)
        opened.callback(strip.close)
        strip.check(strip.size, "is empty, so there is no disk in it")
        disk = (Raw if raw else _format(strip))(path, strip)
        opened.pop_all()
    return disk
