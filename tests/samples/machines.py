"""Settings and words of VirtualBox made to order."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import quoteattr

ROOT = '<?xml version="1.0"?><VirtualBox xmlns="http://www.virtualbox.org/" version="1.19-linux">{}</VirtualBox>'


HDDS = """UUID:           e59b2468-97e3-4a6a-9241-a1daa29f84c1
Parent UUID:    base
State:          created
Location:       /lab/a:b.vdi
Capacity:       64 MBytes
Child UUIDs:    8b807f56-02d7-400a-bf6d-774ece139d68
                86fd104d-c104-4703-a4c4-5d6fedaa3fbb

UUID:           8b807f56-02d7-400a-bf6d-774ece139d68
Parent UUID:    e59b2468-97e3-4a6a-9241-a1daa29f84c1
Capacity:       64 MBytes
"""


def uuid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


def disks(count: int, folder: str = "Snapshots") -> str:
    """A registry with a chain of disks, 0 the base."""
    text = "".join(
        f'<HardDisk uuid="{{{uuid(n)}}}" location="{folder}/{n}.vdi" format="VDI" type="Normal">'
        for n in range(count)
    )
    return f"<MediaRegistry><HardDisks>{text}{'</HardDisk>' * count}</HardDisks></MediaRegistry>"


def attached(number: int) -> str:
    return (
        '<Hardware><StorageControllers><StorageController><AttachedDevice type="HardDisk">'
        f'<Image uuid="{{{uuid(number)}}}"/></AttachedDevice></StorageController></StorageControllers></Hardware>'
    )


def machine(name: str, number: int, inside: str = "", **more: str) -> str:
    attributes = "".join(f' {key}="{value}"' for key, value in more.items())
    return ROOT.format(
        f'<Machine uuid="{{{uuid(number)}}}" name={quoteattr(name)}{attributes}>{inside}</Machine>'
    )


def chain(depth: int) -> str:
    """Snapshots 1000, 1001, … each with the disk of its depth, and a current state on top."""
    opening = "".join(
        f'<Snapshot uuid="{{{uuid(1000 + n)}}}" name="s{n}" timeStamp="2026-01-01T00:00:00Z">'
        f"{attached(n)}{'<Snapshots>' * (n < depth - 1)}"
        for n in range(depth)
    )
    return (
        disks(depth + 1)
        + opening
        + "</Snapshot></Snapshots>" * (depth - 1)
        + "</Snapshot>"
        + attached(depth)
    )


def home(folder: Path, **machines: str | bytes) -> Path:
    """A VirtualBox home with these settings files."""
    entries = ""
    for number, (name, text) in enumerate(machines.items()):
        (folder / f"{name}.vbox").write_bytes(text if isinstance(text, bytes) else text.encode())
        entries += f'<MachineEntry uuid="{{{uuid(9000 + number)}}}" src="{name}.vbox"/>'
    (folder / "VirtualBox.xml").write_text(
        ROOT.format(f"<Global><MachineRegistry>{entries}</MachineRegistry></Global>"), "utf-8"
    )
    return folder


ORACLE = """WARNING: The vboxdrv kernel module is not loaded. Either there is no module
         available for the current kernel (6.1.0) or it failed to
         load. Please recompile the kernel module and install it by

           sudo /sbin/vboxconfig

         You will not be able to start VMs until this problem is fixed.
"""
