"""Opening a disk: which format a file has is said by what it holds, whatever its name."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from labkit.disks import qcow2, qemu, vdi, vhd, vmdk
from labkit.disks.blockmap import AllocationMap, Extent
from labkit.disks.disk import Disk
from labkit.disks.diskfile import SECTOR, DiskFile
from labkit.messages import N_, _


class Raw(Disk):
    """Any file in which no format is recognised: the guest's bytes and nothing else."""

    format = "RAW"
    variant = N_("flat")

    def load(self, file: DiskFile) -> None:
        self.capacity = file.size
        self.maps = [AllocationMap(Extent(0, file.size, "data", 0))]


# The bytes by which a format is recognised, where in the file they are, and its reader.
BEGINNINGS: list[tuple[bytes, int, type[Disk]]] = [
    (qcow2.QCOW2_MAGIC, 0, qcow2.Qcow2),
    (qemu.QED_MAGIC, 0, qemu.Qed),
    (vmdk.VMDK_MAGIC, 0, vmdk.Vmdk),
    (vdi.VDI_MAGIC, 64, vdi.Vdi),
    (qemu.VHDX_MAGIC, 0, qemu.Vhdx),
    (vhd.VHD_COOKIE, 0, vhd.Vhd),
]
UNREAD = {  # formats of which no more is known here than how they begin
    b"QFI\xfb\0\0\0\1": N_("QCOW version 1"),
    b"WithoutFreeSpace": N_("Parallels HDD"),
    b"WithouFreSpacExt": N_("Parallels HDD"),
    b"COWD": N_("a VMDK of old ESX servers"),
}
_UNREAD = N_(
    "{name}: is {format}, which is recognised but not read further; "
    "`qemu-img convert -O qcow2` makes one that is."
)


def _reader(file: DiskFile) -> type[Disk]:
    """The format by what the file holds."""
    head = file.read(0, 1024)
    for magic, name in UNREAD.items():
        file.check(not head.startswith(magic), _UNREAD, format=_(name))
    for magic, offset, reader in BEGINNINGS:
        if head.startswith(magic, offset):
            return reader
    if vmdk.DESCRIPTION_BEGINS.match(head):
        return vmdk.Vmdk
    if file.size >= SECTOR and file.read(file.size - SECTOR, 8) == vhd.VHD_COOKIE:
        return vhd.Vhd
    return Raw


def open_disk(path: Path | str, *, raw: bool = False) -> Disk:
    """The disk in a file, by its content; RAW where no format is recognised, or ``raw`` says so.

    A guest can write the beginning of any format into a raw disk: ``raw`` is for who knows better.
    Close the disk, or use it in ``with``. LabError if the file is missing, cannot be read, is
    empty, or makes no sense; :class:`MissingProgram` where only `qemu-img` reads the format.
    """
    path = Path(os.path.abspath(path))
    with ExitStack() as opened:
        file = DiskFile(path)
        opened.callback(file.close)
        empty = N_("{name}: is empty, so there is no disk in it; copy or make the disk again.")
        file.check(file.size, empty)
        reader = Raw if raw else _reader(file)
        disk = reader(path, file)
        opened.pop_all()
    return disk
