"""The graph of machines, snapshots and disks: records, who is asked for, names, its picture."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples.machines import graphs, numbered, uuid

from labkit.errors import LabError
from labkit.virtualbox.snapshots import Graph, Machine, Medium, Origin, Snapshot, machine_tree

# -- records ------------------------------------------------------------------------------------

TEXTS = st.text(max_size=20)
MANY = st.lists(TEXTS, max_size=2)
SIZES = st.none() | st.integers(0, 1 << 60)
SNAPSHOTS = st.builds(
    Snapshot, TEXTS, TEXTS, st.none() | TEXTS, TEXTS, st.booleans(), TEXTS, st.booleans(), MANY
)
MACHINES = st.builds(
    Machine,
    TEXTS,
    TEXTS,
    TEXTS,
    TEXTS,
    st.booleans(),
    st.lists(SNAPSHOTS, max_size=3),
    MANY,
    st.none() | st.builds(Origin, TEXTS, TEXTS, TEXTS),
)
MEDIA = st.builds(Medium, TEXTS, st.none() | TEXTS, TEXTS, TEXTS, TEXTS, SIZES, SIZES, MANY)
KEYS = st.sampled_from(["machines", "media", "notes", "snapshots", "name", "uuid"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(MACHINES, max_size=2), st.lists(MEDIA, max_size=3), st.lists(TEXTS, max_size=2))
def test_a_record_is_the_same_graph(
    machines: list[Machine], media: list[Medium], notes: list[str]
) -> None:
    record = json.dumps(Graph(machines, media, notes).to_json())
    again = Graph.from_json(json.loads(record))
    assert (again.machines, again.media, again.notes) == (machines, media, notes)
    assert json.dumps(again.to_json()) == record


def test_recordings_keep_their_form() -> None:
    snapshot = Snapshot("s", "2", None, "now", current=True, media=("3",))
    machine = Machine("m", "1", "/m", snapshots=(snapshot,), linked_to=Origin("b", "t", "4"))
    medium = Medium("3", None, "VDI", "normal", "/3.vdi", used_by=("m @ s",))
    assert json.dumps(Graph([machine], [medium], ["a note"]).to_json()) == (
        '{"machines": [{"name": "m", "uuid": "1", "settings": "/m", "state": "poweroff", '
        '"changed": false, "snapshots": [{"name": "s", "uuid": "2", "parent": null, '
        '"taken": "now", "current": true, "description": "", "online": false, "media": ["3"]}], '
        '"media": [], "linked_to": {"machine": "b", "snapshot": "t", "uuid": "4"}}], '
        '"media": [{"uuid": "3", "parent": null, "format": "VDI", "type": "normal", '
        '"location": "/3.vdi", "capacity": null, "size_on_disk": null, "used_by": ["m @ s"]}], '
        '"notes": ["a note"]}'
    )


@given(JSON)
def test_what_is_no_record_is_refused_in_one_line(data: dict[str, object]) -> None:
    try:
        Graph.from_json(data)
    except LabError as refused:
        assert "\n" not in str(refused)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"machines": [{}], "media": [], "notes": []},
        {"machines": 1},
        {"machines": [], "media": [{"x": 1}], "notes": []},
    ],
)
def test_no_record_of_machines(data: dict[str, object]) -> None:
    with pytest.raises(LabError, match="record the lesson again"):
        Graph.from_json(data)


# -- machines and snapshots ---------------------------------------------------------------------


def test_who_is_not_there() -> None:
    snapshot = Snapshot("s", uuid(2), None, "")
    graph = Graph([Machine("m", uuid(1), "/m", snapshots=(snapshot,))], [])
    with pytest.raises(LabError, match="no machine 'x' here, only: m"):
        graph.machine("x")
    with pytest.raises(LabError, match="m has no snapshot 'x'; it has: s"):
        graph.snapshot(graph.machine("m"), "x")
    with pytest.raises(LabError, match="m has no disk: attach one"):
        graph.disks("m")


def test_of_one_name() -> None:
    snapshots = tuple(Snapshot("s", uuid(n), None, "") for n in (1000, 1001))
    graph = Graph([Machine("m", uuid(n), "/m", snapshots=snapshots) for n in (1, 2)], [])
    with pytest.raises(LabError, match="2 machines are called 'm'"):
        graph.machine("m")
    machine = graph.machine(uuid(2))
    assert machine.uuid == uuid(2)
    assert graph.snapshot(machine, "s").uuid == uuid(1000)
    assert graph.snapshot(machine, uuid(1001)).uuid == uuid(1001)


def test_clones_of_clones_of_clones() -> None:
    origins = [Origin(f"m{max(n - 1, 0)}", "", "") for n in range(400)]  # m0 on itself: no end
    machines = [Machine(f"m{n}", uuid(n), "/m", linked_to=at) for n, at in enumerate(origins)]
    graph = Graph(machines, [])
    assert graph.only("m9", "m7", "m7").machines == machines[:10]
    assert graph.only("m399").machines == machines and graph.only().machines == []


def test_a_circle_of_parents_ends() -> None:
    media = [Medium(uuid(n), uuid(1 - n), "VDI", "normal", "/x") for n in range(2)]
    graph = Graph([Machine("m", uuid(5), "/m", media=(uuid(0),))], media)
    assert graph.disks("m") == graph.only("m").media == media


# -- what disks are called ----------------------------------------------------------------------


@given(graphs(), st.randoms(use_true_random=False))
def test_numbers_stay_when_a_graph_is_read_again(graph: Graph, chance: random.Random) -> None:
    labels = graph.labels()
    assert len(set(labels.values())) == len(graph.media)
    again = Graph.from_json(json.loads(json.dumps(graph.to_json())))
    chance.shuffle(again.media)
    again.numbers = graph.numbers
    assert again.labels() == labels == graph.labels()
    for machine in graph.machines:
        part = again.only(machine.uuid)
        assert {medium.parent for medium in part.media} <= {None, *part.labels()}
        for uuid_, label in part.labels().items():
            assert label == labels[uuid_] or not label.startswith("diff ")


def test_a_disk_keeps_its_number() -> None:
    first, later = numbered(0, 1, 2), numbered(0, 2, 3)
    assert list(first.labels().values()) == ["0.vdi", "diff 1 {00000001}", "diff 2 {00000002}"]
    later.numbers = first.numbers
    assert list(later.labels().values()) == ["0.vdi", "diff 2 {00000002}", "diff 3 {00000003}"]


# -- the picture --------------------------------------------------------------------------------


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
    nodes = [row.node for row in machine_tree(later, first).layout.rows]
    assert {node.label: node.mark for node in nodes} == {
        "0.vdi": "",
        "diff 1 {00000001}": "gone",
        "diff 2 {00000002}": "",
        "diff 3 {00000003}": "new",
    }


def test_a_circle_of_parents_is_no_tree() -> None:
    media = [Medium(uuid(n), uuid(1 - n), "VDI", "normal", "/x") for n in range(2)]
    with pytest.raises(LabError, match="circle of parents"):
        machine_tree(Graph([], media))
