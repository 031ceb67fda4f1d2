"""Settings of VirtualBox made to order, and any graph of machines, snapshots and disks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.sax.saxutils import quoteattr

from hypothesis import strategies as st

from labkit.virtualbox.snapshots import Graph, Machine, Medium, Origin, Snapshot

ROOT = (
    '<?xml version="1.0"?>'
    '<VirtualBox xmlns="http://www.virtualbox.org/" version="1.19-linux">{}</VirtualBox>'
)
ORACLE = """WARNING: The vboxdrv kernel module is not loaded. Either there is no module
         available for the current kernel (6.1.0) or it failed to
         load. Please recompile the kernel module and install it by

           sudo /sbin/vboxconfig

         You will not be able to start VMs until this problem is fixed.
"""


def uuid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


# -- settings -----------------------------------------------------------------------------------


def disks(count: int, folder: str = "Snapshots") -> str:
    """A registry with a chain of disks, 0 the base."""
    text = "".join(
        f'<HardDisk uuid="{{{uuid(n)}}}" location="{folder}/{n}.vdi" format="VDI" type="Normal">'
        for n in range(count)
    )
    return f"<MediaRegistry><HardDisks>{text}{'</HardDisk>' * count}</HardDisks></MediaRegistry>"


def attached(number: int) -> str:
    """Hardware with one disk."""
    return (
        '<Hardware><StorageControllers><StorageController><AttachedDevice type="HardDisk">'
        f'<Image uuid="{{{uuid(number)}}}"/>'
        "</AttachedDevice></StorageController></StorageControllers></Hardware>"
    )


def machine(name: str, number: int, inside: str = "", **attributes: str) -> str:
    """A machine's settings."""
    more = "".join(f' {key}="{value}"' for key, value in attributes.items())
    quoted = quoteattr(name, {"\n": "&#10;"})
    return ROOT.format(f'<Machine uuid="{{{uuid(number)}}}" name={quoted}{more}>{inside}</Machine>')


def chain(depth: int) -> str:
    """Snapshots 1000, 1001, … each with the disk of its depth, and a current state on top."""
    snapshots = ""
    for n in range(depth):
        snapshots += f'<Snapshot uuid="{{{uuid(1000 + n)}}}" name="s{n}"'
        snapshots += f' timeStamp="2026-01-01T00:00:00Z">{attached(n)}<Snapshots>'
    snapshots += "</Snapshots></Snapshot>" * depth
    return disks(depth + 1) + snapshots + attached(depth)


def deep(depth: int) -> str:
    """The settings of a machine "m" with so many snapshots in a row, the last one current."""
    return machine("m", 1, chain(depth), currentSnapshot=f"{{{uuid(999 + depth)}}}")


def home(folder: Path, **machines: str | bytes) -> Path:
    """A VirtualBox home with these settings files."""
    entries = ""
    for number, (name, text) in enumerate(machines.items()):
        (folder / f"{name}.vbox").write_bytes(text if isinstance(text, bytes) else text.encode())
        entries += f'<MachineEntry uuid="{{{uuid(9000 + number)}}}" src="{name}.vbox"/>'
    registry = f"<Global><MachineRegistry>{entries}</MachineRegistry></Global>"
    (folder / "VirtualBox.xml").write_text(ROOT.format(registry), "utf-8")
    return folder


# -- graphs -------------------------------------------------------------------------------------


def numbered(*numbers: int) -> Graph:
    """Disk 0 and, on it, the others."""
    parents = {n: uuid(0) if n else None for n in numbers}
    return Graph([], [Medium(uuid(n), parents[n], "VDI", "", f"/{n}.vdi") for n in numbers])


NAMES = st.sampled_from(["m", "s", "m @ s", "now", "", 'x"\ny', "é😀", "n" * 300, "\x1b[31m\u202e"])
TYPES = st.sampled_from(["normal", "writethrough", "shareable"])
SIZES = st.sampled_from([1, 2, 3, 4, None])
STATES = st.sampled_from(["poweroff", "saved", "running", "inaccessible"])


@st.composite
def chosen_parent(draw: st.DrawFn, first: int, number: int) -> str | None:
    """One of those before ``number``, from ``first`` on, or none."""
    below = st.integers(first, number - 1).map(uuid)
    return draw(st.none() | below) if number > first else None


@st.composite
def trees(draw: st.DrawFn, first: int, media: st.SearchStrategy[list[str]]) -> list[Snapshot]:
    """Any tree of up to four snapshots, one of them current."""
    count = draw(st.integers(0, 4))
    current = draw(st.integers(first, first + max(count - 1, 0)))
    return [
        Snapshot(
            draw(NAMES),
            uuid(n),
            draw(chosen_parent(first, n)),
            "",
            current=n == current,
            online=draw(st.booleans()),
            media=draw(media),
        )
        for n in range(first, first + count)
    ]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Any machines with any snapshots, on any disks that stand on each other.

    Names may be the same, and media that are used may be missing.
    """
    count = draw(st.integers(0, 7))
    some = st.lists(st.integers(0, count).map(uuid), max_size=3)
    machines = [
        Machine(
            draw(NAMES),
            uuid(100 * n),
            "/m",
            draw(STATES),
            draw(st.booleans()),
            draw(trees(100 * n + 1, some)),
            draw(some),
        )
        for n in range(1, 1 + draw(st.integers(0, 3)))
    ]
    for at, clone in enumerate(machines):
        base = draw(st.sampled_from(machines))
        if draw(st.booleans()) and base.snapshots:
            origin = Origin(base.name, "s", base.snapshots[0].uuid)
            machines[at] = replace(clone, linked_to=origin)
    users = [(user, used) for machine in machines for user, used in machine.attached().items()]
    media = [
        Medium(
            uuid(n),
            draw(chosen_parent(0, n)),
            "VDI",
            draw(TYPES),
            f"/{draw(st.integers(0, 9))}/{draw(st.sampled_from('ab'))}.vdi",
            size_on_disk=draw(SIZES),
            used_by=[user for user, used in users if uuid(n) in used],
        )
        for n in range(count)
    ]
    return Graph(machines, media)
