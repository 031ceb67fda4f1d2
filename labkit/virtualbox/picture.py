"""Machines, snapshots, disks and linked clones as one tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from labkit.disks import human
from labkit.messages import _
from labkit.show.trees import Node, Tree
from labkit.virtualbox.snapshots import Graph, Machine, Medium


def machine_tree(graph: Graph, before: Graph | None = None) -> Tree:
    """The picture. Since ``before``, what is new is marked and what is gone is still shown.

    Raises :class:`LabError` if disks stand on each other in a circle.
    """
    old = _nodes(before or graph)
    if before:
        graph.numbers = before.numbers  # or two disks could share a number
    nodes = _nodes(graph)
    shown = [
        node if key in old or node.mark else replace(node, mark="new")
        for key, node in nodes.items()
    ]
    shown += [replace(node, mark="gone") for key, node in old.items() if key not in nodes]
    return Tree(shown, links=[link for link in _links(graph) if link[1] in nodes])


def _links(graph: Graph) -> Iterator[tuple[str, str, str]]:
    """From each linked clone to the snapshot that it stands on."""
    for clone in graph.machines:
        for machine in graph.origins(clone):
            if clone.linked_to:
                yield clone.uuid, _key(machine, clone.linked_to.uuid), _("linked to")


def _key(machine: Machine, snapshot: str) -> str:
    """The key of a snapshot: a full copy of a machine keeps the UUIDs of its snapshots."""
    return f"{machine.uuid} {snapshot}"


def _nodes(graph: Graph) -> dict[str, Node]:
    labels = graph.labels()
    nodes = [node for machine in graph.machines for node in _machine_nodes(machine)]
    nodes += [_disk_node(medium, labels[medium.uuid]) for medium in graph.media]
    return {node.key: node for node in nodes}


def _machine_nodes(machine: Machine) -> Iterator[Node]:
    """A machine, its snapshots, and its current state on the current one."""
    note = "" if machine.state == "poweroff" else machine.state
    yield Node(machine.uuid, machine.name, note=note, kind="machine")
    current = machine.uuid
    for snapshot in machine.snapshots:
        key = _key(machine, snapshot.uuid)
        yield Node(
            key,
            snapshot.name,
            _key(machine, snapshot.parent) if snapshot.parent else machine.uuid,
            note=_("with memory") if snapshot.online else "",
            kind="snapshot",
        )
        if snapshot.current:
            current = key
    label = _("current state (changed)") if machine.changed else _("current state")
    yield Node(f"{machine.uuid} now", label, current, kind="state", mark="current")


def _disk_node(medium: Medium, label: str) -> Node:
    size = medium.size_on_disk
    return Node(
        f"disk {medium.uuid}",
        label,
        f"disk {medium.parent}" if medium.parent else None,
        note=_("missing") if size is None else human(size),
        kind="disk",
        names=tuple(medium.used_by),
    )
