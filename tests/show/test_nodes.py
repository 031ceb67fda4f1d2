"""What is no forest, or links to nowhere, is one line."""

from __future__ import annotations

import pytest

from labkit.errors import LabError
from labkit.show.trees import Node, Tree

LONG = "k" * 10_000


@pytest.mark.parametrize(
    "nodes, links, message",
    [
        ([Node("a", "A"), Node("a", "B")], [], "Two nodes have the key 'a'"),
        ([Node(LONG, "A"), Node(LONG, "B")], [], "Two nodes have the key 'kkk"),
        ([Node("a", "A", "b\n")], [], "Node 'a' has a parent 'b' that is not there"),
        ([Node("a", "A", "a")], [], "Node 'a' hangs in a circle of parents"),
        (
            [Node("r", "R"), Node("a", "A", "b"), Node("b", "B", "a")],
            [],
            "Node 'a' hangs in a circle of parents",
        ),
        ([Node("a", "A")], [("a", "b", "")], "Link 'a' to 'b' must join two nodes"),
        ([Node("a", "A")], [("a", "a", "")], "Link 'a' to 'a' must join two nodes"),
    ],
)
def test_errors_are_one_line(
    nodes: list[Node], links: list[tuple[str, str, str]], message: str
) -> None:
    with pytest.raises(LabError) as error:
        Tree(nodes, links=links)
    assert message in str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 250
