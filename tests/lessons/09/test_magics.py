"""Take, restore, delete, clone without a browser: press buttons, read what they show."""

from __future__ import annotations

import pytest
from conftest import Notebook
from samples.lessons import beside
from samples.pages import Played, keyboard_only

from labkit import tasks
from labkit.commands import Result
from labkit.virtualbox import reads
from labkit.virtualbox.snapshots import Graph, Machine

SnapshotPanel = beside("09", "magics").SnapshotPanel
ACTIONS = "Take", "Restore", "Delete", "Linked clone"


@pytest.fixture
def tree(replay: Notebook) -> Played:
    """The panel of lesson 09, started."""
    replay.until("09", "%snapshot_panel")
    panel = Played(SnapshotPanel(replay.lesson, "lab09"))
    keyboard_only(panel.panel)
    assert all(panel[name].disabled for name in ACTIONS) and not panel.asks
    assert "lab09-panel is a copy of lab09 with all its snapshots" in panel.click("Start")
    return panel


def test_take(tree: Played) -> None:
    assert tree["Snapshot"].options == ("installed", "draft")
    assert "Snapshot taken. UUID" in tree.click("Take") and not tree.asks
    assert "New: new, diff" in tree.drawn[0]
    assert tree["Snapshot"].options == ("installed", "draft", "new")
    assert "shown again" in tree.click("Take") and "New:" not in tree.drawn[0]


@pytest.mark.parametrize("name", ["installed", "draft"])
def test_restore_says_what_is_lost_and_asks_before(tree: Played, name: str) -> None:
    tree["Snapshot"].value = name
    told = tree.click("Restore")
    assert f"Restore {name}? Lost for ever: what was written since into diff" in told
    assert tree.asks and "New" not in tree.drawn[0]
    assert f"Restoring snapshot '{name}'" in tree.click("Yes, do it") and not tree.asks
    assert "Gone: diff" in tree.drawn[0] and "New: diff" in tree.drawn[0]
    assert tree["Snapshot"].value == name


def test_delete(tree: Played) -> None:
    tree["Snapshot"].value = "draft"
    assert "Nobody can go back to 'draft' any more." in tree.click("Delete") and tree.asks
    assert "snapshot lab09-panel delete draft" in tree.click("Yes, do it")
    assert "Gone: draft" in tree.drawn[0] and tree["Snapshot"].options == ("installed",)
    tree["Start over"].click()
    tree["Snapshot"].value = "installed"
    assert "VirtualBox would refuse: draft" in tree.click("Delete")
    assert "exit code 1. Other disks stand on that one" in tree.click("Yes, do it")
    assert "Gone" not in tree.drawn[0] and tree["Snapshot"].options == ("installed", "draft")


def test_a_linked_clone_is_drawn_beside_what_it_stands_on(tree: Played) -> None:
    assert 'successfully cloned as "lab09-panel-linked"' in tree.click("Linked clone")
    assert "2 machines" in tree.drawn[0] and "New: lab09-panel-linked" in tree.drawn[0]
    assert not tree.asks and tree.click("Start over") and "1 machine," in tree.drawn[0]


@pytest.mark.parametrize("first", [["Take"], ["Linked clone"], ["Restore", "Yes, do it"]])
def test_a_second_step_that_was_not_recorded(tree: Played, first: list[str]) -> None:
    tree.click(*first)
    tree["Snapshot"].value = "draft"
    tree.click("Delete", "Yes, do it")
    assert tree.refuses("start over, here or from the %lesson cell") and not tree.asks
    assert "try what you like" in tree.click("Start over")


@pytest.mark.parametrize(
    "name", ["other", "", "it's", "a | b", "$PWD", "'", "new\n", "x" * 500, "--help"]
)
def test_a_name_that_was_not_recorded(tree: Played, name: str) -> None:
    tree["Name"].value = name
    tree.click("Take")
    assert tree.refuses("was not recorded")
    tree["Name"].value = "new"
    assert "Snapshot taken" in tree.click("Take")


@pytest.mark.parametrize("instead", ["Start over", "Take", "Linked clone"])
def test_a_question_is_withdrawn_by_doing_something_else(tree: Played, instead: str) -> None:
    tree.click("Delete")
    assert tree.asks
    tree.click(instead)
    assert not tree.asks


@pytest.mark.parametrize("name", ["m", "my 'lab'", "a | b"])
def test_machines_of_hard_names_and_without_snapshots(
    replay: Notebook, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    replay.run("%load_ext labkit\n%lesson 09")
    graph = Graph([Machine(name, "1", ""), Machine(f"{name}-panel", "2", "")], [])
    ran: list[list[str]] = []

    def command(argv: list[str]) -> Result:
        ran.append(argv)
        return Result(tuple(argv), 0)

    monkeypatch.setattr(reads, "graph", lambda session: graph)
    monkeypatch.setattr(replay.lesson, "command", command)
    panel = Played(SnapshotPanel(replay.lesson, name))
    panel.click("Start", "Take", "Linked clone")
    copied = ["clonevm", name, "--mode", "all", "--name", f"{name}-panel", "--register"]
    taken = ["snapshot", f"{name}-panel", "take", "new"]
    assert ran[:2] == [["VBoxManage", *copied], ["VBoxManage", *taken]]
    for action in ("Restore", "Delete"):
        panel.click(action)
        assert panel.refuses("has no snapshot ''; it has: none") and not panel.asks


@pytest.mark.live("virtualbox", "qemu-img")
def test_start_over_removes_all_that_was_made_in_the_panel(
    replay: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_MODE", "live")
    replay.until("09", "%VBoxManage snapshot lab09 take draft")
    lesson = replay.lesson
    try:
        panel = Played(SnapshotPanel(lesson, "lab09"))
        for start in "Start", "Start over":
            assert "try what you like" in panel.click(start) and "2 machines" not in panel.drawn[0]
            assert "successfully cloned" in panel.click("Take", "Linked clone")
            assert "2 machines" in panel.drawn[0]
        assert tasks.leave(lesson) == []
        assert [machine.name for machine in reads.graph(lesson).machines] == ["lab09"]
    finally:
        assert lesson.engine("virtualbox").remove() == []


@pytest.mark.parametrize(
    "line, said", [("", "Use it as `%snapshot_panel MACHINE`"), ("x", "no machine 'x'")]
)
def test_a_machine_that_is_none(replay: Notebook, line: str, said: str) -> None:
    replay.run("%load_ext labkit\n%lesson 09")
    [text] = replay.words(f"%snapshot_panel {line}")
    assert text.startswith("? ") and said in text
