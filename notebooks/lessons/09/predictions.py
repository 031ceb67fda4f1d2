"""Lesson 09, snapshots: what students predict, and what is right."""

from __future__ import annotations

import json

from labkit.engine import Session
from labkit.errors import LabError
from labkit.material import Prediction
from labkit.messages import _
from labkit.virtualbox import reads as virtualbox

from .tasks import named


def has(lesson: Session, name: str, snapshot: str) -> bool:
    return snapshot in named(virtualbox.graph(lesson).machine(name))


def right_where(lesson: Session) -> str:
    graph = virtualbox.graph(lesson)
    machine, media = graph.machine("lab09"), {medium.uuid: medium for medium in graph.media}
    if not machine.snapshots:
        raise LabError("lab09 has no snapshot: run the cells above this one first.")
    at = media[machine.media[0]]
    return "B" if at.parent else "A"


def right_restore(lesson: Session) -> str:
    if (
        not has(lesson, "lab09", "draft")
        or virtualbox.guest(lesson, "lab09")[1] != "report, first draft"
    ):
        raise LabError(
            "`draft` is not restored, or more has been done since: run the cells up to this one, "
            "from the %lesson cell on."
        )
    return "B"


def right_delete(lesson: Session) -> str:
    if (
        has(lesson, "lab09", "poem")
        or virtualbox.guest(lesson, "lab09")[1] != "a poem instead of a report"
    ):
        raise LabError(
            "The snapshot `poem` is not deleted, or more has been done since: run the cells up to "
            "this one, from the %lesson cell on."
        )
    return "B"


def right_chain(lesson: Session) -> str:
    said = lesson.command(["qemu-img", "map", "--output=json", "chain-24.qcow2"])
    if said.code:
        raise LabError("chain-24.qcow2 is missing: run the cells above this one first.")
    depth = max(extent["depth"] for extent in json.loads(said.out))
    return "C" if depth == 24 else "A"


PREDICTIONS = [
    Prediction(
        "where-to",
        _(
            "The snapshot is taken. Now the guest writes on the second page. Into which file does "
            "that go?"
        ),
        {
            "A": _("Into lab09.vmdk, as before: it is the machine's disk."),
            "B": _("Into a new file: lab09.vmdk belongs to the snapshot now."),
            "C": _("Into both: the snapshot keeps a copy."),
        },
        {
            "A": _(
                "Then the snapshot would change with every write, and could not bring the old "
                "state back."
            ),
            "B": _(
                "The disk as it was is frozen, and a new, thin one on top takes what is written "
                "from now on."
            ),
            "C": _(
                "Nothing is copied: that is why a snapshot takes no time, however large the disk "
                "is."
            ),
        },
        right_where,
    ),
    Prediction(
        "restore",
        _("`restore draft` will be done now. What will the guest read on page 1?"),
        {
            "A": _('"report, with the last page missing": that was written last.'),
            "B": _('"report, first draft": as it was when the snapshot was taken.'),
            "C": _("Nothing: restoring goes back to the empty disk."),
        },
        {
            "A": _(
                "That was written after the snapshot, into the differencing disk that restoring "
                "throws away."
            ),
            "B": _(
                "The snapshot's disk is as it was. The differencing disk above it is replaced by "
                "an empty one."
            ),
            "C": _("The disks below are all there: only what was written since is given up."),
        },
        right_restore,
    ),
    Prediction(
        "delete",
        _(
            "The current state stands on `poem`. Now the snapshot `poem` is deleted. What does "
            "the guest read afterwards?"
        ),
        {
            "A": _("What it was before `poem`: the report or nothing."),
            "B": _("The poem, as before."),
            "C": _("An error: the disk its own one stands on is gone."),
        },
        {
            "A": _("That would be restoring. Deleting a snapshot never changes the current state."),
            "B": _(
                "The data is merged into a neighbouring disk; only the possibility to go back to "
                "that moment is gone."
            ),
            "C": _(
                "Before the file goes, its blocks are merged with those of the neighbour that "
                "needs them."
            ),
        },
        right_delete,
    ),
    Prediction(
        "chain",
        _(
            "chain-24 and the twenty-three below it are empty; all data is in chain-00. How many "
            "disks are asked before a page of chain-24 is found?"
        ),
        {
            "A": _("One: chain-24 knows where everything is."),
            "B": _("Two: chain-24 asks chain-00 directly."),
            "C": _("All of them, one after the other, down to chain-00."),
        },
        {
            "A": _("Its map knows only its own blocks, and it has none."),
            "B": _("A disk knows its own parent alone, and that is the one just below it."),
            "C": _(
                "Each knows only its parent: chain-24 asks chain-23, that one asks chain-22, and "
                "so on."
            ),
        },
        right_chain,
    ),
]
