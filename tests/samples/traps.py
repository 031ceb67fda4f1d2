"""What somebody else may have brought into a lesson's folder, to reach what is a student's own."""

from __future__ import annotations

import re
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

from samples import disks
from samples.appliances import EVIL, Appliance, Member, tar
from samples.benches import MACHINE, do

from labkit.virtualbox.engine import Bench

OWN = b"StudentsOwn"
THEIRS = "../../../theirs"  # seen from the lesson's folder
MEDIUM = "createmedium disk --size 1 --filename"
Trap = Callable[[Bench, Path], object]


def described(extent: str, begin: str = "# Disk DescriptorFile") -> bytes:
    """The description of a VMDK of 1 MiB that is kept in another file."""
    text = disks.description("monolithicFlat", [f'RW 2048 FLAT "{extent}" 0'])
    return text.replace(b"# Disk DescriptorFile", begin.encode(), 1)


def embedded(text: bytes) -> bytes:
    """The same behind the header of a VMDK that has all in one file, but for its capacity of 0."""
    fields = b"KDMV", 1, 3, 0, 128, 1, 4, 512, 0, 21, 128, 0, b"\n \r\n", 0
    head = struct.pack("<4sIIQQQQIQQQB4sH", *fields)
    return head.ljust(512, b"\0") + text.ljust(1 << 16, b"\0")


def no_trap(bench: Bench, theirs: Path) -> None:
    """The command itself names what is outside."""


def brought(name: str, make: Callable[[Path], bytes]) -> Trap:
    """Somebody has brought a file."""
    return lambda bench, theirs: (bench.folder.path / name).write_bytes(make(theirs))


def link(name: str, target: str = "own.img") -> Trap:
    """Somebody has brought a link."""
    return lambda bench, theirs: (bench.folder.path / name).symlink_to(theirs / target)


WORDS = brought("words", lambda theirs: f"{MEDIUM} {theirs}/x.vdi".encode())
KEPT = brought("a.vmdk", lambda theirs: described(f"{theirs}/own.img"))
# Our own reader sees no VMDK in it.
DISGUISED = brought("a.vmdk", lambda theirs: described(f"{theirs}/own.img", "# any comment"))


def standing(block: bytes | None) -> Trap:
    """A disk with that block, or with none, that stands on a student's file."""

    def make(theirs: Path) -> bytes:
        return disks.qcow2([block], [0], 65536, f"{theirs}/own.img", raw=True)

    return brought("a.qcow2", make)


def archive(name: str) -> Trap:
    return brought("a.tar", lambda theirs: tar(Member(name, b"evil")))


def beside(*traps: Trap) -> Trap:
    return lambda bench, theirs: [trap(bench, theirs) for trap in traps]


def spread(extent: str) -> Trap:
    """The disk of a machine is kept in another file."""

    def trap(bench: Bench, theirs: Path) -> None:
        do(bench, *MACHINE)
        text = described(extent.replace("THEIRS", str(theirs)))
        (bench.folder.path / "m.vmdk").write_bytes(embedded(text))

    return trap


def registered(bench: Bench, theirs: Path) -> None:
    """A machine of theirs, whose settings name a student's disk, is registered."""
    do(bench, *MACHINE, "unregistervm m")
    (bench.folder.path / "m.vmdk").rename(theirs / "own.vmdk")
    settings = bench.folder.path / "m" / "m.vbox"
    text, count = re.subn(
        r'location="[^"]*m\.vmdk"',
        f'location="{theirs}/own.vmdk"',
        settings.read_text("utf-8"),
    )
    assert count == 1 and bench.virtualbox
    settings.write_text(text, "utf-8")
    bench.virtualbox.ask(["registervm", "m/m.vbox"])


def climbing(bench: Bench, theirs: Path) -> None:
    """An appliance whose disk goes elsewhere."""
    do(bench, *MACHINE, "export m --output m.ova", "unregistervm m --delete")
    with tarfile.open(bench.folder.path / "m.ova") as packed:
        files = [packed.extractfile(member) for member in packed]
        ovf, disk = (file.read() for file in files[:2] if file)
    evil = Appliance(ovf.decode(), disk, theirs).moved(EVIL)
    (bench.folder.path / "a.ova").write_bytes(evil)
