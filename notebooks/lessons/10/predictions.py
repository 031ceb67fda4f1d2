"""Lesson 10, clones, appliances and daily operations: what students predict, and what is right."""

from __future__ import annotations

from labkit.engine import Session
from labkit.errors import LabError
from labkit.material import Prediction
from labkit.messages import _
from labkit.virtualbox import reads as virtualbox

from .tasks import own_bytes


def right_clones(lesson: Session) -> str:
    graph = virtualbox.graph(lesson)
    full, linked = own_bytes(graph, "lab10-full"), own_bytes(graph, "lab10-linked")
    if not full:
        raise LabError("The clones are missing: run the cells above this one first.")
    return "B" if linked * 10 < full else "A" if linked > full // 2 else "C"


def right_base(lesson: Session) -> str:
    there = any(
        snapshot.name == "clean" for snapshot in virtualbox.graph(lesson).machine("lab10").snapshots
    )
    return "C" if there else "A" if virtualbox.guest(lesson, "lab10-linked")[1] else "B"


def right_ova(lesson: Session) -> str:
    ova, capacity = virtualbox.size(lesson, "lab10.ova"), 256 << 20
    return (
        "A"
        if ova > capacity // 2
        else "C"
        if ova < virtualbox.size(lesson, "lab10.vmdk") // 10
        else "B"
    )


PREDICTIONS = [
    Prediction(
        "two-clones",
        _("lab10's disk file has 128 MiB of data. How much disk will each of the two clones take?"),
        {
            "A": _("Both 128 MiB: a clone is a copy."),
            "B": _("The full clone about 128 MiB, the linked one next to nothing."),
            "C": _("The full clone 256 MiB, the linked one 128 MiB."),
        },
        {
            "A": _(
                "The full one is a copy. The linked one is a difference, and so far there is none."
            ),
            "B": _(
                "The full clone copies all the data, the linked one has an empty differencing disk."
            ),
            "C": _(
                "256 MiB is what the guest sees; a disk that grows is copied with the blocks it "
                "has."
            ),
        },
        right_clones,
    ),
    Prediction(
        "base",
        _("lab10-linked hangs from the snapshot `clean`. What happens when `clean` is deleted?"),
        {
            "A": _("It is merged as usual; the clone goes on."),
            "B": _("The clone is broken: the disk it stands on is gone."),
            "C": _("VirtualBox refuses: two disks stand on that one."),
        },
        {
            "A": _(
                "Merging would put lab10's newer data into the disk that the clone reads from, or "
                "the other way round."
            ),
            "B": _(
                "It would be, were that disk merged away. VirtualBox counts who stands on it, and "
                "here there are two."
            ),
            "C": _(
                "lab10's own disk and the clone's stand on it, and it cannot be merged into both."
            ),
        },
        right_base,
    ),
    Prediction(
        "ova-size",
        _(
            "The guest's disk is of 256 MiB, with 128 MiB of data, the same byte again and again. "
            "How large is the OVA?"
        ),
        {
            "A": _("About 256 MiB: it holds the whole disk."),
            "B": _("About 128 MiB: it holds the data."),
            "C": _("Far less: the blocks in it are compressed."),
        },
        {
            "A": _("Blocks that were never written are not in it."),
            "B": _(
                "It would be, without compression; a *streamOptimized* disk compresses every block."
            ),
            "C": _(
                "128 MiB of one and the same byte compress to nearly nothing; real data shrinks "
                "to a half or so."
            ),
        },
        right_ova,
    ),
]
