"""What a running guest would see and do, without running it: the pages of its disk."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

from labkit.commands import Result, run
from labkit.disks import open_disk
from labkit.errors import LabError

WRITE = "guest_write"  # our own command, beside the programs
PAGE = 1 << 16  # bytes: a grain of a VMDK, the least that is written without reading the disk below
PAGES = 16  # how many of them are looked at


def page_of(words: Sequence[str]) -> tuple[str, int, str]:
    """What follows `guest_write`: machine, page, text. Raises :class:`LabError`."""
    if len(words) == 3 and words[1].isascii() and words[1].isdigit() and len(words[1]) <= 4:
        page = int(words[1])
        if page < PAGES:
            return words[0], page, words[2]
    raise LabError(
        'Use it as `%guest_write MACHINE PAGE "text"`, with a page from 0 to {last}.',
        last=PAGES - 1,
    )


def write(qemu_io: str, scratch: Path, machine: str, top: Path, page: int, text: str) -> Result:
    """Put a text at the start of one page of a machine's disk.

    ``top`` is the file where VirtualBox would write it, ``scratch`` a folder beside the lesson's
    files. Raises :class:`LabError` if it is no VMDK.
    """
    with open_disk(top) as disk:
        if disk.format != "VMDK":
            raise LabError(
                "{machine:.60} has a {format}, and only into a VMDK can one page be written "
                "while the machine is off: create its disk with `--format VMDK`.",
                machine=machine,
                format=disk.format,
            )
    lesson = scratch.parent
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        source = Path(folder, "page")
        source.write_bytes(text.encode()[:PAGE].ljust(PAGE, b"\0"))
        path = source.relative_to(lesson).as_posix()  # qemu-io knows no quotes, so no spaces
        command = f"write -s {path} {page * PAGE} {PAGE}"
        done = run([qemu_io, "-f", "vmdk", "-c", command, str(top)], cwd=lesson, timeout=60)
    if done.code or "wrote" not in done.out:
        return done
    written = f"page {page}: {PAGE // 1024} KiB written into {top}\n"
    return done._replace(chunks=(("out", written),))


def read(chain: Sequence[Path]) -> list[str]:
    """The text at the start of each of the first PAGES pages of a disk.

    ``chain``: its files, that of the current state first. Raises :class:`LabError`.
    """
    with ExitStack() as stack:
        disks = [stack.enter_context(open_disk(path)) for path in chain]
        for disk, parent in pairwise(disks):
            disk.set_parent(parent)
        top = disks[0]
        starts = range(0, min(PAGES, top.capacity // PAGE) * PAGE, PAGE)
        return [_text(top.read(start, min(PAGE, top.capacity - start))) for start in starts]


def _text(page: bytes) -> str:
    return page.partition(b"\0")[0].decode("utf-8", "replace")
