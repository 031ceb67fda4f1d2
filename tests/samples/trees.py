"""Trees to draw: two in full, and any."""

from __future__ import annotations

from hypothesis import strategies as st

from labkit.show.layout import Node
from labkit.show.trees import Tree

KINDS = ("image", "layer", "container", "machine", "state", "snapshot", "disk")
MARKS = ("new", "gone", "shared", "current")
FOREST = [
    Node("base", "ADD rootfs.tar /", None, "74.8 MB", names=("debian:12",)),
    Node("env", "ENV A=1", "base", "0 B"),
    Node("run", "RUN apt-get install httpd", "env", "4.9 MB", names=("httpd:2.4", "httpd:latest")),
    Node("web", "web", "run", "2 B", "container"),
    Node("mine", "echo hello", "run", "46 B", names=("mine:1",), mark="new"),
    Node("py", "RUN apt-get install python3", "base", "41.2 MB", mark="shared"),
    Node("app", "COPY . /app", "py", "12 kB", mark="gone"),
    Node("hello", "COPY hello /", None, "13.3 kB", names=("hello-world",), mark="current"),
]
MACHINES = [
    Node("vm", "web", None, "", "machine"),
    Node("s1", "installed", "vm", "", "snapshot"),
    Node("s2", "works", "s1", "", "snapshot"),
    Node("now", "diff.vdi", "s2", "", "disk", ("current state",), "current"),
    Node("clone", "copy", None, "", "machine"),
    Node("iso", "httpd", "clone", "", "image"),
]
TEXT = st.text(st.characters(exclude_categories=()), max_size=70)  # surrogates and controls too


def forest() -> Tree:
    return Tree(FOREST, "Images")


def machines() -> Tree:
    return Tree(MACHINES, links=[("clone", "s1", "linked clone")])


def chain(count: int) -> list[Node]:
    return [Node(str(i), f"layer {i}", str(i - 1) if i else None) for i in range(count)]


@st.composite
def forests(draw: st.DrawFn, text: st.SearchStrategy[str] | None = None) -> list[Node]:
    """Nodes in any order, children before their parents, too. Labels differ, or are any text."""
    nodes: list[Node] = []
    for i in range(draw(st.integers(0, 30))):
        parent = draw(st.sampled_from([None, *(node.key for node in nodes[-4:])]))
        kind, mark = draw(st.sampled_from(KINDS)), draw(st.sampled_from(["", *MARKS]))
        if text is None:
            names = (f"n{i}",) * draw(st.integers(0, 2))
            nodes.append(Node(f"k{i}", f"label {i}", parent, f"{i} B", kind, names, mark))
        else:
            names = tuple(draw(st.lists(text, max_size=3)))
            nodes.append(Node(f"k{i}", draw(text), parent, draw(text), kind, names, mark))
    return draw(st.permutations(nodes))
