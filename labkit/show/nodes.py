"""What a tree is drawn from: nodes, each under its parent, and links across; and their checks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from labkit.errors import LabError
from labkit.messages import _
from labkit.show.text import clean, shorten

Kind = Literal["image", "layer", "container", "machine", "state", "snapshot", "disk"]
Mark = Literal["", "new", "gone", "shared", "current"]


@dataclass(frozen=True)
class Node:
    """One thing in a tree; its ``names`` are drawn as pills."""

    key: str
    label: str
    parent: str | None = None  # the key of another node, or None for a root
    note: str = ""
    kind: Kind = "layer"
    names: tuple[str, ...] = ()
    mark: Mark = ""


class Link(NamedTuple):
    """A dashed arrow from one node to another, by their keys."""

    start: str
    end: str
    label: str


Children = dict[str | None, list[Node]]  # of each node, by key, in the order given; of None: roots


def by_key(nodes: Iterable[Node]) -> dict[str, Node]:
    """Nodes by key. Raises :class:`LabError` if two have the same."""
    known: dict[str, Node] = {}
    for node in nodes:
        if known.setdefault(node.key, node) is not node:
            key = _quoted(node.key)
            message = _("Two nodes have the key {key}: give each node a key of its own.", key=key)
            raise LabError(message)
    return known


def children_of(nodes: dict[str, Node]) -> Children:
    """Who is under whom. Raises :class:`LabError` for a parent that is not there."""
    children: Children = {key: [] for key in (None, *nodes)}
    for node in nodes.values():
        if node.parent not in children:
            message = _(
                "Node {key} has a parent {parent} that is not there: add that node, or make this "
                "one a root (parent=None).",
                key=_quoted(node.key),
                parent=_quoted(node.parent or ""),
            )
            raise LabError(message)
        children[node.parent].append(node)
    return children


def check_links(links: Iterable[Link], nodes: dict[str, Node]) -> None:
    """Raises :class:`LabError` unless each link joins two different nodes."""
    for link in links:
        if link.start not in nodes or link.end not in nodes or link.start == link.end:
            message = _(
                "Link {start} to {end} must join two nodes of this tree.",
                start=_quoted(link.start),
                end=_quoted(link.end),
            )
            raise LabError(message)


def from_the_roots(children: Children) -> list[Node]:
    """All nodes, parents before children. Raises :class:`LabError` for a circle of parents."""
    order = list(children[None])
    for node in order:  # the list grows while it is walked
        order += children[node.key]
    reached = {node.key for node in order}
    lost = [key for key in children if key is not None and key not in reached]
    if lost:
        key = _quoted(min(lost))
        message = _("Node {key} hangs in a circle of parents: a tree needs a root.", key=key)
        raise LabError(message)
    return order


def _quoted(key: str) -> str:
    return repr(shorten(clean(key), 80))
