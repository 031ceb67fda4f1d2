"""Where nodes go is compared with the definition, never with the module's own reckoning."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from samples.trees import FOREST, chain, forests

from labkit.errors import LabError
from labkit.show.layout import Node, Row
from labkit.show.trees import Tree


def rows(nodes: list[Node]) -> list[Row]:
    return Tree(nodes).layout.rows


def columns(nodes: list[Node]) -> dict[str, int]:
    """By definition: an only child keeps its parent's column, siblings are one further right."""
    by_key = {node.key: node for node in nodes}
    families = Counter(node.parent for node in nodes)

    def column(node: Node) -> int:
        if node.parent is None:
            return 0
        return column(by_key[node.parent]) + (1 if families[node.parent] > 1 else 0)

    return {node.key: column(node) for node in nodes}


def test_a_small_forest_in_full() -> None:
    assert [(row.node.key, row.column, row.number, row.tree) for row in rows(FOREST)] == [
        ("base", 0, 0, 0),
        ("env", 1, 1, 0),
        ("run", 1, 2, 0),
        ("web", 2, 3, 0),
        ("mine", 2, 4, 0),
        ("py", 1, 5, 0),
        ("app", 1, 6, 0),
        ("hello", 0, 7, 1),
    ]


@given(forests())
def test_layout_of_any_forest(nodes: list[Node]) -> None:
    placed = rows(nodes)
    number = {row.node.key: row.number for row in placed}
    assert sorted(row.node.key for row in placed) == sorted(node.key for node in nodes)
    assert [row.number for row in placed] == list(range(len(nodes)))
    assert all(number[node.parent] < number[node.key] for node in nodes if node.parent is not None)
    expected = columns(nodes)
    if max(expected.values(), default=0) <= 8:
        assert {row.node.key: row.column for row in placed} == expected
        for parent in {node.parent for node in nodes}:  # siblings keep the order they were given in
            siblings = [number[node.key] for node in nodes if node.parent == parent]
            assert siblings == sorted(siblings)


def test_a_long_chain_is_one_column_from_the_root_down() -> None:
    nodes = chain(10_000)
    placed = rows(nodes[::-1])
    assert [row.node for row in placed] == nodes
    assert {row.column for row in placed} == {0}


@pytest.mark.parametrize("chain_first", [True, False])
def test_a_side_branch_at_every_node_keeps_the_rail_narrow(chain_first: bool) -> None:
    nodes = [Node("0", "0")]
    for i in range(1, 2_000):
        pair = [Node(str(i), f"{i}", str(i - 1)), Node(f"c{i}", f"c{i}", str(i - 1))]
        nodes += pair if chain_first else pair[::-1]
    assert max(row.column for row in rows(nodes)) <= 9


def test_a_bushy_tree_keeps_the_rail_narrow() -> None:
    binary = [Node(str(i), str(i), str((i - 1) // 2) if i else None) for i in range(4_095)]
    assert max(row.column for row in rows(binary)) <= 9 + 12


@pytest.mark.parametrize(
    "nodes, message",
    [
        ([Node("a", "A", "b\n")], "Node 'a' has a parent 'b' that is not there"),
        ([Node("k" * 999, "A", "k" * 998)], "Node 'kkk"),
        ([Node("a", "A", "a")], "Node 'a' hangs in a circle of parents"),
        (
            [Node("r", "R"), Node("a", "A", "b"), Node("b", "B", "a")],
            "Node 'a' hangs in a circle of parents",
        ),
    ],
)
def test_what_is_no_forest_is_one_line(nodes: list[Node], message: str) -> None:
    with pytest.raises(LabError) as error:
        Tree(nodes)
    assert message in str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 290
