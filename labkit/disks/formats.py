"""Opening a disk: which format a file has is said by what it holds, whatever its name."""

from __future__ import annotations

import os
from pathlib import Path

from labkit.disks.disk import Disk
from labkit.disks.diskfile import SECTOR, DiskFile
from labkit.disks.qcow2 import Qcow2
from labkit.disks.qemu import Qed, Vhdx
from labkit.disks.vdi import Vdi
from labkit.disks.vhd import Vhd
from labkit.disks.vmdk import DESCRIPTION_BEGINS, Vmdk
from labkit.messages import N_, _


class Raw(Disk):
    """Any file in which no format is recognised: the guest's bytes and nothing else."""

    format = "RAW"
    variant = N_("flat")

    def load(self) -> None:
        self.add_flat(self.file.size, "data", 0)


READERS: tuple[type[Disk], ...] = (Qcow2, Qed, Vmdk, Vdi, Vhdx, Vhd)
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
    for reader in READERS:
        if head.startswith(reader.magic, reader.magic_at):
            return reader
    if DESCRIPTION_BEGINS.match(head):
        return Vmdk
    if file.size >= SECTOR and file.read(file.size - SECTOR, 8) == Vhd.magic:
        return Vhd
    return Raw


def open_disk(path: Path | str, *, raw: bool = False) -> Disk:
    """The disk in a file, by its content; RAW where no format is recognised, or ``raw`` says so.

    A guest can write the beginning of any format into a raw disk: ``raw`` is for who knows better.
    Close the disk, or use it in ``with``. LabError if the file is missing, cannot be read, is
    empty, or makes no sense; :class:`MissingProgram` where only `qemu-img` reads the format.
    """
    path = Path(os.path.abspath(path))
    file = DiskFile(path.name or str(path))
    try:
        file.add(path)
        empty = N_("{name}: is empty, so there is no disk in it; copy or make the disk again.")
        file.check(file.size, empty)
        return (Raw if raw else _reader(file))(path, file)
    except BaseException:
        file.close()
        raise
