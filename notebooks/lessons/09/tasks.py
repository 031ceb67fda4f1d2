"""Lesson 09, snapshots: what it asks and how it knows."""

from __future__ import annotations

import json

from labkit.engine import Session
from labkit.errors import LabError
from labkit.material import NotYet, Prediction, Task, Try
from labkit.messages import _
from labkit.virtualbox import reads as virtualbox
from labkit.virtualbox.snapshots import Machine, Snapshot

NEEDS = {"virtualbox": ["VBoxManage", "qemu-img", "qemu-io"]}


def named(machine: Machine) -> dict[str, Snapshot]:
    return {snapshot.name: snapshot for snapshot in machine.snapshots}


def has(lesson: Session, name: str, snapshot: str) -> bool:
    return snapshot in named(virtualbox.graph(lesson).machine(name))


def build(name: str, *more: str) -> list[str]:
    """The commands that make a machine with a disk."""
    return [
        f"VBoxManage createvm --name {name} --ostype Debian_64 --register",
        f"VBoxManage createmedium disk --filename {name}.vmdk --size 16 --format VMDK",
        f"VBoxManage storagectl {name} --name SATA --add sata",
        f"VBoxManage storageattach {name} --storagectl SATA --port 0 --device 0 --type hdd "
        f"--medium {name}.vmdk",
        *more,
    ]


# -- tasks --------------------------------------------------------------------------------------


def check_tree(lesson: Session, answer: str) -> str:
    machine = virtualbox.graph(lesson).machine("lab09-tree")
    found = named(machine)
    if "base" not in found:
        raise NotYet(
            "`base` is gone. It has to stay, for the others are to stand on it: `%task tree` "
            "starts again."
        )
    if missing := [name for name in ("left", "right") if name not in found]:
        raise NotYet(
            "There is no snapshot `{name}` yet: `%VBoxManage snapshot lab09-tree take {name}`.",
            name=missing[0],
        )
    if len(found) > 3:
        raise NotYet(
            "There are {count} snapshots, and three were asked for: `base`, `left`, `right`.",
            count=len(found),
        )
    base, left, right = (found[name] for name in ("base", "left", "right"))
    if left.parent == right.uuid or right.parent == left.uuid:
        upper, lower = ("left", "right") if left.parent == right.uuid else ("right", "left")
        raise NotYet(
            "`{upper}` stands on `{lower}`, so they are in a row, not two branches. Go back to "
            "`base` before you take the second one.",
            upper=upper,
            lower=lower,
        )
    if left.parent != base.uuid or right.parent != base.uuid:
        raise NotYet("Both have to stand on `base` itself.")
    if not left.current:
        raise NotYet(
            "The shape is right, but the current state stands on `right`. `restore left` puts it "
            "there."
        )
    return _(
        "Two branches on `base`, and the next write will go into a disk that stands on `left`."
    )


def check_tidy(lesson: Session, answer: str) -> str:
    machine = virtualbox.graph(lesson).machine("lab09-tidy")
    found = named(machine)
    for name in ("one", "four"):
        if name not in found:
            raise NotYet(
                "`{name}` was to stay, and is gone. Start again with `%task tidy`: deleting is "
                "final.",
                name=name,
            )
    texts = virtualbox.guest(lesson, "lab09-tidy")
    if texts[3] != "four":
        raise NotYet(
            "The guest reads something else now: `restore` took it back to an older state, and "
            "what was written since is lost. Only `delete` was needed. Start again with `%task "
            "tidy`."
        )
    if left := [name for name in ("two", "three") if name in found]:
        raise NotYet(
            "`{name}` is still there: `%VBoxManage snapshot lab09-tidy delete {name}`.",
            name=left[0],
        )
    return _("Two snapshots less, their data merged, and the guest has noticed nothing.")


TASKS = [
    Task(
        "tree",
        check_tree,
        setup=build("lab09-tree", "VBoxManage snapshot lab09-tree take base"),
        solution=Try(
            [
                "VBoxManage snapshot lab09-tree take right",
                "VBoxManage snapshot lab09-tree restore base",
                "VBoxManage snapshot lab09-tree take left",
            ]
        ),
        wrong=[
            Try(
                [
                    "VBoxManage snapshot lab09-tree take left",
                    "VBoxManage snapshot lab09-tree take right",
                ],
                hint="in a row",
            ),
            Try(["VBoxManage snapshot lab09-tree take left"], hint="no snapshot `right`"),
            Try(
                [
                    "VBoxManage snapshot lab09-tree take left",
                    "VBoxManage snapshot lab09-tree restore base",
                    "VBoxManage snapshot lab09-tree take right",
                ],
                hint="stands on `right`",
            ),
            Try(
                [
                    "VBoxManage snapshot lab09-tree delete base",
                    "VBoxManage snapshot lab09-tree take left",
                    "VBoxManage snapshot lab09-tree take right",
                ],
                hint="`base` is gone",
            ),
        ],
        hints=[
            _(
                "A new snapshot always stands on the current state. So where must the current "
                "state be before each?"
            ),
            _("take one, `restore base`, take the other; the last one taken is where you are."),
        ],
    ),
    Task(
        "tidy",
        check_tidy,
        setup=build(
            "lab09-tidy",
            *(
                line
                for page, name in enumerate(("one", "two", "three", "four"))
                for line in (
                    f"guest_write lab09-tidy {page} {name}",
                    f"VBoxManage snapshot lab09-tidy take {name}",
                )
            ),
        ),
        solution=Try(
            [
                "VBoxManage snapshot lab09-tidy delete two",
                "VBoxManage snapshot lab09-tidy delete three",
            ]
        ),
        wrong=[
            Try(
                [
                    "VBoxManage snapshot lab09-tidy restore one",
                    "VBoxManage snapshot lab09-tidy delete two",
                ],
                hint="took it back to an older state",
            ),
            Try(["VBoxManage snapshot lab09-tidy delete two"], hint="`three` is still there"),
            Try(
                [
                    "VBoxManage snapshot lab09-tidy delete one",
                    "VBoxManage snapshot lab09-tidy delete two",
                    "VBoxManage snapshot lab09-tidy delete three",
                ],
                hint="`one` was to stay",
            ),
        ],
        hints=[
            _("Which of the two goes back to a snapshot, and which gives one up?"),
            _("`delete two` and `delete three`; in which order does not matter."),
        ],
    ),
]

# -- predictions --------------------------------------------------------------------------------


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
