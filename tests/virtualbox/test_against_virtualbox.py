"""What VirtualBox really does with snapshots and their disks, and that we said so before."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from samples.benches import ATTACH, DISK, MACHINE, do, linked
from samples.lessons import beside

from labkit.virtualbox.engine import Bench
from labkit.virtualbox.preview import deleting, restoring

pytestmark = pytest.mark.live("virtualbox", "qemu-img")

SECOND = (
    "createmedium disk --filename 2.vmdk --size 16 --format VMDK",
    f"{ATTACH} --port 1 --type hdd --medium 2.vmdk",
)
NONE = (f"{ATTACH} --port 0 --medium none",)
AGAIN = DISK[-1:]
SHARED = (*NONE, "modifymedium disk m.vmdk --type writethrough", *AGAIN)


@pytest.fixture
def bench(bench: Bench) -> Bench:
    """With a machine "m" that has an empty disk."""
    do(bench, *MACHINE)
    return bench


def grow(bench: Bench) -> None:
    """Make the current disk 2 MiB larger."""
    name = bench.folder.name(bench.folder.disk_files("m")[0])
    argv = ["qemu-io", "-f", "vmdk", "-c", "write -q 2M 2M", name]
    assert bench.command(argv).code == 0


def lose(bench: Bench, name: str) -> None:
    """Take away the disk of a snapshot, or that of "now"."""
    graph = bench.folder.graph(ask=False)
    owner = graph.machine("m")
    holder = owner if name == "now" else graph.snapshot(owner, name)
    (disk,) = graph.known(holder.media)
    Path(disk.location).rename(bench.folder.path / "lost")


def steps(bench: Bench, *lines: str) -> None:
    """`grow`, `lose SNAPSHOT`, `link SNAPSHOT CLONE`, `take` or `restore`, or any VBoxManage."""
    for line in lines:
        verb, *words = line.split()
        if verb == "grow":
            grow(bench)
        elif verb == "lose":
            lose(bench, *words)
        elif verb == "link":
            snapshot, name = words
            do(bench, linked(name, snapshot))
        else:
            do(bench, f"snapshot m {line}" if verb in ("take", "restore") else line)


@pytest.mark.parametrize(
    "before, command, goes",
    [
        (["take a"], "delete a", "merged"),  # into a base disk
        (["take a", "grow"], "delete a", "merged"),
        (["take a", "grow", "take b"], "delete b", "merged"),  # the larger below
        (["take a", "take b", "grow"], "delete b", "merged"),  # the smaller below
        (["take a", "take b"], "delete b", "merged"),  # of one size
        (["take a", "take b", "grow", "take c"], "delete b", "merged"),  # in the middle
        (["take a", "grow", "take b", "take c"], "delete b", "merged"),
        (["take a", "take b", "restore a"], "delete b", "lost"),  # a leaf that is not current
        (["take a", "take b", "restore a"], "delete a", "b and the current state stand on it"),
        (["take a", "take b", "restore a", "take c"], "delete a", "b, c stand on it"),
        (["take a", "link a l"], "delete a", "2 disks stand on m.vmdk"),
        (["take a", "take b", "link a l"], "delete a", "2 disks stand on m.vmdk"),
        # The clone's disk takes it in.
        (["take a", "take b", "restore a", "link b l"], "delete b", "merged"),
        # The clone's disk goes.
        (["take a", "grow", "take b", "restore a", "link b l"], "delete b", "merged"),
        (
            ["take a", "take b", "restore a", "link b l", "link b k"],
            "delete b",
            "2 disks stand on diff",
        ),
        ([*NONE, "take a", *AGAIN, "take b", "restore a"], "delete b", ""),  # a leaf on a base disk
        (["take a", *NONE, "take b"], "delete a", "merged"),  # detached since
        ([*SHARED, "take a", "take b", "restore a"], "delete b", ""),  # no snapshot covers it
        ([*NONE, "take a"], "delete a", ""),  # no disk at all
        ([*SECOND, "take a", "grow", "take b"], "delete b", "merged, merged"),
        (["take a", "take b", "lose a"], "delete b", "the file of m.vmdk is missing"),
        (["take a", "take b", "lose now"], "delete a", "the file of diff"),
        (["take a", "take b", "restore a", "lose b"], "delete b", "lost"),
        (["take a", "grow"], "restore a", "lost"),
        (["take a", "take b", "grow"], "restore a", "lost"),
        ([*SECOND, "take a", "grow"], "restore a", "lost, lost"),
        (["take a", "lose now"], "restore a", "lost"),
        (["take a", "lose a"], "restore a", "the file of m.vmdk is missing"),
        ([*SHARED, "take a"], "restore a", ""),
        ([*NONE, "take a"], "restore a", ""),
    ],
)
def test_the_preview_is_what_happens(
    bench: Bench, before: list[str], command: str, goes: str
) -> None:
    steps(bench, *before)
    old = bench.folder.graph()
    readable = old.machine("m").media and "lose" not in str(before)
    texts = bench.guest("m") if readable else []
    verb, name = command.split()
    preview = (deleting if verb == "delete" else restoring)(old, "m", name)
    result = bench.command(["VBoxManage", "snapshot", "m", verb, name])
    new = bench.folder.graph()
    assert bool(result.code) == bool(preview.refused), (preview, result.text)
    if preview.refused:
        assert preview.refused.startswith(f"VirtualBox would refuse: {goes}"), preview
        return
    there = {medium.uuid for medium in new.media}
    known = {medium.uuid for medium in old.media}
    assert known - there == set(preview.removed), preview
    merged = preview.merges
    assert ", ".join("merged" if uuid in merged else "lost" for uuid in preview.removed) == goes
    assert there >= set(merged.values())
    if texts and verb == "delete":
        assert bench.guest("m") == texts
    assert bool(there - known) == any("A new, empty" in line for line in preview.lines)
    assert not [note for note in new.notes if "believed" in note]
    if "link b l" in before:  # what VirtualBox says once it has read its settings again
        assert bench.virtualbox
        bench.virtualbox.end()
        broken = bench.command(["VBoxManage", "showvminfo", "l"]).code != 0
        assert broken == bool(preview.lost) == any("l, a clone" in line for line in preview.lines)


def test_a_pause_changes_no_preview(bench: Bench) -> None:
    """VBoxSVC ends 5 seconds after the last command, and the next one starts another."""
    steps(bench, "take a", "take b")
    assert bench.virtualbox
    bench.virtualbox.end()
    steps(bench, "restore a", "link b l")
    preview = deleting(bench.folder.graph(), "m", "b")
    do(bench, "snapshot m delete b")
    assert set(preview.removed) & {disk.uuid for disk in bench.folder.graph().media} == set()


def test_of_snapshots_of_one_name_virtualbox_takes_the_first_as_we_do(bench: Bench) -> None:
    steps(bench, "take a", "take b", "take twin", "restore a", "take twin", "restore a")
    graph = bench.folder.graph()
    ours = graph.snapshot(graph.machine("m"), "twin").uuid
    do(bench, "snapshot m delete twin")
    left = [s.uuid for s in bench.folder.graph().machine("m").snapshots if s.name == "twin"]
    assert len(left) == 1 and ours not in left


def test_both_witnesses_say_the_same(bench: Bench) -> None:
    forged = 'x"\nSnapshotName-9="forged'
    for name in ("a", "b"):
        bench.command(["VBoxManage", "snapshot", "m", "take", name, "--description", forged])
    asked, alone = bench.folder.graph(), bench.folder.graph(ask=False)
    assert asked.to_json() == alone.to_json() and asked.notes == []
    answer = bench.command(["VBoxManage", "snapshot", "m", "list", "--machinereadable"]).out
    listed = beside("10", "listing").parse_machinereadable(answer)
    named = [value for key, value in listed.items() if re.match("SnapshotName", key)]
    assert {s.name for s in asked.machine("m").snapshots} <= set(named)
