"""Machines, snapshots and disks in one tree."""

from __future__ import annotations

import pytest
from hypothesis import given
from samples.machines import graphs, numbered, uuid

from labkit.errors import LabError
from labkit.virtualbox.picture import machine_tree
from labkit.virtualbox.snapshots import Graph, Machine, Medium, Snapshot


@given(graphs(), graphs())
def test_any_graph_can_be_drawn(graph: Graph, other: Graph) -> None:
    things = [len(graph.media), *(2 + len(machine.snapshots) for machine in graph.machines)]
    for before in (None, graph, other):
        tree = machine_tree(graph, before)
        nodes = [row.node for row in tree.layout.rows]
        assert sum(node.mark != "gone" for node in nodes) == sum(things)
        assert str(tree) and "</svg>" in tree.svg()
        numbers = [label.split()[1] for node in nodes if (label := node.label)[:5] == "diff "]
        assert len(set(numbers)) == len(numbers)


def test_words_of_a_machine() -> None:
    snapshots = (
        Snapshot("below", uuid(2), None, "", online=True),
        Snapshot("here", uuid(3), uuid(2), "", current=True),
    )
    media = [Medium(uuid(4), None, "VDI", "normal", "/4.vdi", used_by=("m",))]
    graph = Graph([Machine("m", uuid(1), "/m", "saved", True, snapshots, (uuid(4),))], media)
    nodes = [row.node for row in machine_tree(graph).layout.rows]
    assert [(node.label, node.note, node.parent) for node in nodes] == [
        ("m", "saved", None),
        ("below", "with memory", uuid(1)),
        ("here", "", f"{uuid(1)} {uuid(2)}"),
        ("current state (changed)", "", f"{uuid(1)} {uuid(3)}"),
        ("4.vdi", "missing", None),
    ]
    assert nodes[-1].names == ("m",)


def test_what_is_new_and_what_is_gone() -> None:
    first, later = numbered(0, 1, 2), numbered(0, 2, 3)
    assert later.labels()[uuid(2)] == "diff 1 {00000002}"  # as long as it stands alone
    rows = machine_tree(later, first).layout.rows
    assert {row.node.label: row.node.mark for row in rows} == {
        "0.vdi": "",
        "diff 1 {00000001}": "gone",
        "diff 2 {00000002}": "",
        "diff 3 {00000003}": "new",
    }


def test_a_circle_of_parents_is_no_tree() -> None:
    media = [Medium(uuid(n), uuid(1 - n), "VDI", "normal", "/x") for n in range(2)]
    with pytest.raises(LabError, match="circle of parents"):
        machine_tree(Graph([], media))
