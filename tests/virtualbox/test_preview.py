"""What a command would do, in words. That it does so is in test_against_virtualbox.py."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from samples.machines import chain, graphs, home, machine, uuid

from labkit.errors import LabError
from labkit.virtualbox.inventory import read_home
from labkit.virtualbox.preview import deleting, restoring
from labkit.virtualbox.snapshots import Graph, Machine, Medium, Snapshot


@given(graphs())
def test_previews_of_any_graph(graph: Graph) -> None:
    """They refuse, or tell of disks that are there; a name that is ambiguous is the only error."""
    media = {medium.uuid for medium in graph.media}
    every = [(owner, snapshot) for owner in graph.machines for snapshot in owner.snapshots]
    for (owner, snapshot), ask in itertools.product(every, (deleting, restoring)):
        preview = ask(graph, owner.uuid, snapshot.uuid)
        assert preview.lines and not any("\n" in line for line in preview.lines)
        assert set(preview.merges) <= set(preview.removed) <= media
        assert set(preview.merges.values()) <= media
        assert not preview.refused or not (preview.removed or preview.merges or preview.lost)
        with contextlib.suppress(LabError):
            ask(graph, owner.name, snapshot.name)


def row(folder: Path, *sizes: int, **attributes: str) -> Graph:
    """Disks of so many KiB on each other (of 0 the file is missing), each held by a snapshot of
    machine "m", but for the last."""
    (folder / "Snapshots").mkdir()
    for number, size in enumerate(sizes):
        if size:
            (folder / f"Snapshots/{number}.vdi").write_bytes(bytes(size << 10))
    depth = len(sizes) - 1
    attributes["currentSnapshot"] = uuid(999 + depth)
    return read_home(home(folder, m=machine("m", 1, chain(depth), **attributes)))


@pytest.mark.parametrize(
    "sizes, name, words",
    [
        ((9, 1), "s0", "diff 1 {00000001} is merged into 0.vdi, 1 KiB, and its file goes."),
        ((9, 1, 2), "s1", "diff 1 {00000001} is merged into diff 2 {00000002}, 1 KiB,"),
        ((9, 2, 2), "s1", "diff 1 {00000001} is merged into diff 2 {00000002}, 2 KiB,"),
        ((9, 3, 2), "s1", "diff 2 {00000002} is merged into diff 1 {00000001}, 2 KiB,"),
        ((9, 0, 2), "s1", "VirtualBox would refuse: the file of diff 1 {00000001} is missing"),
        ((9, 1, 1), "s0", "diff 1 {00000001} is merged into 0.vdi"),
    ],
)
def test_what_deleting_merges(
    tmp_path: Path, sizes: tuple[int, ...], name: str, words: str
) -> None:
    preview = deleting(row(tmp_path, *sizes), "m", name)
    assert preview.lines[0].startswith(words)
    assert preview.refused or preview.lines[1:] == [
        "What the guest reads now stays as it is.",
        f"Nobody can go back to '{name}' any more.",
    ]


def test_what_stands_on_it_keeps_a_snapshot() -> None:
    base = Snapshot("base", uuid(1), None, "")
    left, right = (Snapshot(name, uuid(2), base.uuid, "") for name in ("left", "right"))
    for snapshots, words in [
        ((base, left, right), "left, right stand on it."),
        ((replace(base, current=True), left), "left and the current state stand on it."),
    ]:
        graph = Graph([Machine("m", uuid(5), "/m", snapshots=snapshots)], [])
        assert deleting(graph, "m", "base").refused == f"VirtualBox would refuse: {words}"


def test_a_leaf_goes_and_a_base_disk_stays() -> None:
    base = Medium(uuid(0), None, "VDI", "normal", "/base.vdi", size_on_disk=1)
    leaf = Medium(uuid(1), base.uuid, "VDI", "normal", "/1.vdi", size_on_disk=2048)
    on_leaf = Snapshot("on leaf", uuid(8), None, "", media=(leaf.uuid,))
    on_base = Snapshot("on base", uuid(9), None, "", media=(base.uuid,))
    machine = Machine("m", uuid(5), "/m", snapshots=(on_leaf, on_base))
    lost = deleting(Graph([machine], [base, leaf]), "m", "on leaf").lost
    assert lost == ["Lost for ever: what is only in diff 1 {00000001} (2 KiB)."]
    lines = deleting(Graph([machine], [base]), "m", "on base").lines
    assert lines[0].endswith(".vdi stays, for it is a base disk.")


@pytest.mark.parametrize(
    "sizes, lost, refused",
    [
        ((9, 3, 2), True, False),
        ((9, 1, 2), False, False),
        ((9, 1), False, True),
    ],
)
def test_the_disk_of_a_linked_clone(
    tmp_path: Path, sizes: tuple[int, ...], lost: bool, refused: bool
) -> None:
    graph = row(tmp_path, *sizes)
    *below, top = graph.media
    owner = replace(graph.machine("m"), media=())
    media = [*below, replace(top, used_by=("clone",))]
    preview = deleting(Graph([owner], media), "m", owner.snapshots[-1].name)
    words = "Lost for ever: the disk of clone, a clone that VirtualBox does not protect."
    assert list(preview.lost) == ([words] if lost else [])
    assert preview.refused.endswith("clone stands on 0.vdi, a base disk.") == refused


def test_what_restoring_loses(tmp_path: Path) -> None:
    graph = row(tmp_path, 9, 1, 2, stateFile="x")
    assert restoring(graph, "m", "s0").lines == [
        "Lost for ever: what was written since into diff 2 {00000002} (2 KiB).",
        "Lost for ever: the memory that was saved with the current state.",
        "2 snapshots and their disks stay.",
        "A new, empty differencing disk on top of 's0' becomes the current state.",
    ]
    media = [replace(medium, type="shareable") for medium in graph.media]
    uncovered = restoring(Graph(graph.machines, media), "m", "s0")
    assert uncovered.lines[-1] == "2 snapshots and their disks stay."


def test_what_restoring_cannot_touch(tmp_path: Path) -> None:
    graph = row(tmp_path, 9, 0, 1)
    preview = restoring(graph, "m", "s0")
    words = "diff 2 {00000002} stays, attached to nothing: a file that it needs is missing."
    assert words in preview.lines and not preview.removed
    refused = (
        "VirtualBox would refuse: the file of diff 1 {00000001} is missing: put it back first."
    )
    assert restoring(graph, "m", "s1").lines == [refused]
    running = Graph([replace(graph.machine("m"), state="running")], graph.media)
    refused = "VirtualBox would refuse: m is running, and only a machine that is off goes back."
    assert restoring(running, "m", "s0").lines == [refused]
