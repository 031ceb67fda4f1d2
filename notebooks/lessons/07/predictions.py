"""Lesson 07, VM disk formats: what students predict, and what is right."""

from __future__ import annotations

from labkit.engine import Session
from labkit.errors import LabError
from labkit.material import Prediction
from labkit.messages import _
from labkit.virtualbox import reads as virtualbox

from .tasks import MIB, same


def right_two(lesson: Session) -> str:
    grows, reserved = virtualbox.size(lesson, "grows.vdi"), virtualbox.size(lesson, "reserved.vdi")
    return "C" if grows >= 64 * MIB else "B" if reserved >= 64 * MIB else "A"


def right_byte(lesson: Session) -> str:
    if not (grown := virtualbox.disk(lesson, "grows.vdi").allocated):
        raise LabError("Nothing is written yet: run the cells above this one first.")
    return "B" if MIB <= grown < 40 * MIB else "A" if grown < MIB else "C"


def right_shrink(lesson: Session) -> str:
    disk = virtualbox.disk(lesson, "grows.vdi")
    if not any(
        extent.kind == "data" and extent.start <= 40 * MIB < extent.start + extent.length
        for extent in disk.extents()
    ):  # not yet, or compacted since
        raise LabError(
            "Block 40 is not in grows.vdi now: run the cells up to this one, from the %lesson "
            "cell on."
        )
    return "B" if disk.allocated <= 2 * MIB else "C"


def right_same(lesson: Session) -> str:
    virtualbox.size(lesson, "moved.qcow2")
    return "B" if same(lesson, "grows.vdi", "vdi", "moved.qcow2", "qcow2") else "A"


def right_inside(lesson: Session) -> str:
    return "A" if virtualbox.size(lesson, "seen.img") == 128 * MIB else "C"


PREDICTIONS = [
    Prediction(
        "two-files",
        _(
            "Both disks are of 64 MiB, and nothing has been written to them. How large are their "
            "files?"
        ),
        {
            "A": _("Both are tiny: there is no data yet."),
            "B": _("`grows.vdi` is small, `reserved.vdi` is a little over 64 MiB."),
            "C": _("Both are of 64 MiB: that is their size."),
        },
        {
            "A": _(
                "Reserved means that the space is taken now, data or not: the guest can count on "
                "it."
            ),
            "B": _(
                "The one that grows holds a header and an empty map; the other has all of its "
                "blocks already."
            ),
            "C": _(
                "64 MiB is what the guest sees. The file of the one that grows has only what was "
                "needed so far."
            ),
        },
        right_two,
    ),
    Prediction(
        "one-byte",
        _(
            "The guest writes a single byte at 40 MiB. By how much does the file of `grows.vdi` "
            "grow?"
        ),
        {
            "A": _("By one byte: it grows by what is written."),
            "B": _("By one block of 1 MiB."),
            "C": _("To 40 MiB: the file must reach that far."),
        },
        {
            "A": _("The map knows blocks, not bytes: it has one entry for each MiB."),
            "B": _(
                "A block is allocated whole, at the end of the file, and its place noted in the "
                "map."
            ),
            "C": _(
                "The map says where a block is, so it may be anywhere: the file holds only blocks "
                "that were written."
            ),
        },
        right_byte,
    ),
    Prediction(
        "shrink",
        _(
            "Two blocks of `grows.vdi` are allocated. One of them is now full of zeros. What "
            "becomes of the file?"
        ),
        {
            "A": _("It shrinks by 1 MiB: a block of zeros need not be kept."),
            "B": _("It stays as large as it was."),
            "C": _("It grows: zeros are data too, and are written to a new block."),
        },
        {
            "A": _(
                "They need not be kept, but nobody looks: a write goes into the block that is "
                "there, whatever it writes."
            ),
            "B": _(
                "The zeros were written into the block that was there. A file that grows only "
                "ever grows."
            ),
            "C": _("The block has its place already, so it is overwritten there."),
        },
        right_shrink,
    ),
    Prediction(
        "same-data",
        _(
            "`grows.vdi` has been converted twice, and the files differ in size. What about what "
            "the guest reads?"
        ),
        {
            "A": _("It differs where the formats differ: each has its own blocks."),
            "B": _("It is the same, byte for byte."),
            "C": _("The data is the same; free space may hold anything."),
        },
        {
            "A": _("Blocks are how the file keeps the disk. The guest sees the disk alone."),
            "B": _(
                "A format is a way to keep a disk, and converting keeps the disk: all of it, "
                "zeros too."
            ),
            "C": _("What was never written reads as zeros in each of them."),
        },
        right_same,
    ),
    Prediction(
        "inside",
        _("`guest.vdi` is now of 128 MiB. How much can the guest store in its file system?"),
        {
            "A": _("As much as before: about 63 MiB."),
            "B": _("All of the 128 MiB: a file system fills its disk."),
            "C": _("Nothing: the file system is damaged until it is repaired."),
        },
        {
            "A": _(
                "The partition table is data on the disk, and says what it said: the partition "
                "ends where it ended. So does the file system in it."
            ),
            "B": _(
                "A file system has the size written in it when it was made; nobody has told it of "
                "the new space."
            ),
            "C": _("All of its bytes are where they were: it is sound, and just as small."),
        },
        right_inside,
    ),
]
