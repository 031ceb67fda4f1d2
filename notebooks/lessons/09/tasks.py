"""Lesson 09, snapshots: its tasks, and how it knows that they are solved."""

from __future__ import annotations

from labkit.engine import Session
from labkit.material import NotYet, Task, Try
from labkit.messages import _
from labkit.virtualbox import reads as virtualbox
from labkit.virtualbox.snapshots import Machine, Snapshot

NEEDS = {"virtualbox": ["VBoxManage", "qemu-img", "qemu-io"]}


def named(machine: Machine) -> dict[str, Snapshot]:
    return {snapshot.name: snapshot for snapshot in machine.snapshots}


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
