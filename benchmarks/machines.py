"""Disks and machines: headers, maps, 1,000 snapshots, and what a magic adds to VBoxManage"""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

from labkit.disks import open_disk
from labkit.disks.strip import StripFigure
from labkit.errors import LabError
from labkit.lesson import Lesson
from labkit.virtualbox.inventory import read_home
from labkit.virtualbox.snapshots import machine_tree

SPACE = 'xmlns="http://www.virtualbox.org/" version="1.19-linux"'


def seconds(does: Callable[[], object], times: int = 9) -> float:
    """The median of some runs, in seconds."""
    found = []
    for _ in range(times):
        start = perf_counter()
        does()
        found.append(perf_counter() - start)
    return median(found)


def headers(folder: Path) -> None:
    """`qemu-img info` is a process, as a user meets it; ours is a call once Python has started."""
    if not shutil.which("qemu-img"):
        print("qemu-img is not installed: no comparison of headers\n")
        return
    print("| header of | labkit | qemu-img info | ratio | limit |\n|---|---|---|---|---|")
    for suffix in ("vdi", "qcow2", "vmdk", "vhd"):  # of the others qemu-img itself tells
        path = folder / f"disk.{suffix}"
        kind = "vpc" if suffix == "vhd" else suffix
        subprocess.run(["qemu-img", "create", "-q", "-f", kind, str(path), "1G"], check=True)
        ours = seconds(lambda path=path: open_disk(path).close())  # type: ignore[misc]
        theirs = seconds(
            lambda path=path: subprocess.run(  # type: ignore[misc]
                ["qemu-img", "info", "--output=json", str(path)], check=True, capture_output=True
            )
        )
        times = f"{ours * 1e3:.2f} ms | {theirs * 1e3:.1f} ms"
        print(f"| {suffix} | {times} | {ours / theirs:.2f} | 1.0 |")
    print()


def large(folder: Path) -> None:
    """A VDI of 10 GiB with all blocks allocated in random order; the file itself is sparse."""
    blocks, mib = 10240, 1 << 20
    order = list(range(blocks))
    random.Random(1).shuffle(order)
    head = struct.pack(
        "<64sIHHIII256s",
        b"<<< Oracle VirtualBox Disk Image >>>\n",
        0xBEDA107F,
        1,
        1,
        400,
        1,
        0,
        b"",
    )
    head += struct.pack(
        "<IIIIIIIQIIII", 512, mib, 0, 0, 0, 512, 0, blocks * mib, mib, 0, blocks, blocks
    ) + bytes(64)
    path = folder / "large.vdi"
    with path.open("wb") as file:
        file.write(head.ljust(512, b"\0") + struct.pack(f"<{blocks}I", *order))
        file.truncate((blocks + 1) * mib)
    with open_disk(path) as disk:
        took = seconds(lambda: list(disk.extents()), 5)
        drew = seconds(lambda: StripFigure(disk).svg(), 5)
    print(f"| allocation map of a 10 GiB VDI, shuffled | {took:.3f} s | | | 0.5 s |")
    print(f"| its picture | {drew:.3f} s | | | 1 s |")


def snapshots(folder: Path) -> None:
    for count in (250, 500, 1000, 2000):
        media = "".join(
            f'<HardDisk uuid="{{{n:08x}-0000-4000-8000-000000000000}}" '
            f'location="{n}.vdi" format="VDI">'
            for n in range(count + 1)
        )
        media += "</HardDisk>" * (count + 1)
        text = "".join(
            f'<Snapshot uuid="{{{n:08x}-0000-4000-9000-000000000000}}" name="snapshot {n}">'
            + "<Snapshots>" * (n < count - 1)
            for n in range(count)
        )
        closing = "</Snapshot></Snapshots>" * (count - 1) + "</Snapshot>"
        (folder / "m.vbox").write_text(
            f'<VirtualBox {SPACE}><Machine uuid="{{{1:08x}-0000-4000-a000-000000000000}}" name="m">'
            f"<MediaRegistry><HardDisks>{media}</HardDisks></MediaRegistry>{text}{closing}"
            "</Machine></VirtualBox>"
        )
        (folder / "VirtualBox.xml").write_text(
            f"<VirtualBox {SPACE}><Global><MachineRegistry>"
            '<MachineEntry src="m.vbox"/></MachineRegistry></Global></VirtualBox>'
        )
        laid = seconds(lambda: machine_tree(read_home(folder)), 5)
        tree = machine_tree(read_home(folder))
        drawn = seconds(tree.svg, 5)
        limits = "0.3 s, 1 s" if count == 1000 else ""
        what = f"{count} snapshots in a row: read and laid out, drawn"
        print(f"| {what} | {laid:.2f} s, {drawn:.2f} s | | | {limits} |")


def magic() -> None:
    """`VBoxManage list vms` in a lesson, as `%VBoxManage` runs it, and bare; in turn."""
    words = ["list", "vms"]
    try:
        lesson = Lesson("07", "live")
    except LabError as error:
        print(f"\nno measurement of `%VBoxManage`: {error}")
        return
    box = lesson.engine("virtualbox").virtualbox

    def alone() -> None:
        subprocess.run([box.program, *words], env=box.env, cwd=box.folder, capture_output=True)

    pairs = [
        (seconds(lambda: lesson.command(["VBoxManage", *words]), 1), seconds(alone, 1))
        for _ in range(15)
    ]
    ours, bare = (median(side) * 1e3 for side in zip(*pairs, strict=True))
    print(f"| `%VBoxManage list vms` against bare | {ours:.0f} ms | {bare:.0f} ms | ", end="")
    print(f"{ours / bare:.2f} | 1.15 |")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        headers(folder)
        print("| what | labkit | against | ratio | limit |\n|---|---|---|---|---|")
        large(folder)
        snapshots(folder)
        magic()


if __name__ == "__main__":
    main()
