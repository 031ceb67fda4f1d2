"""VirtualBox machines, their snapshots, the disks they stand on, and linked clones: one graph.

Source: VirtualBox-settings.xsd; VirtualBox User Guide, "Differencing Images" and "Snapshots".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from labkit.disks import human
from labkit.errors import LabError
from labkit.messages import _
from labkit.show.layout import Node
from labkit.show.text import clean, shorten
from labkit.show.trees import Tree


def listed(names: Iterable[str]) -> str:
    """Names in one line of at most 300 cells, whatever is in them."""
    return shorten(", ".join(map(clean, names)), 300) or _("none")


@dataclass(frozen=True)
class Snapshot:
    """A moment one can go back to. All names and UUIDs are those of VirtualBox."""

    name: str
    uuid: str
    parent: str | None  # UUID of the snapshot it was taken after
    taken: str  # ISO 8601, UTC
    current: bool = False
    description: str = ""
    online: bool = False  # it holds the memory, too
    media: Sequence[str] = ()  # UUIDs of what was attached


@dataclass(frozen=True)
class Origin:
    """The snapshot whose disk a linked clone stands on."""

    machine: str
    snapshot: str
    uuid: str  # of the snapshot


@dataclass(frozen=True)
class Machine:
    """A machine: its current state, and the snapshots one can go back to."""

    name: str
    uuid: str
    settings: str  # path of its .vbox
    state: str = "poweroff"  # or "saved", "aborted", "running", "inaccessible"
    changed: bool = False  # the current state is not that of the current snapshot
    snapshots: Sequence[Snapshot] = ()
    media: Sequence[str] = ()  # UUIDs of what is attached now
    linked_to: Origin | None = None

    def attached(self) -> dict[str, list[str]]:
        """Media by user: "machine" for its current state, "machine @ snapshot"."""
        users = {self.name: list(self.media)}
        for snapshot in self.snapshots:
            users.setdefault(f"{self.name} @ {snapshot.name}", []).extend(snapshot.media)
        return users


@dataclass(frozen=True)
class Medium:
    """A disk. Sizes in bytes, None if not known."""

    uuid: str
    parent: str | None  # UUID of the disk it stands on
    format: str
    type: str
    location: str
    capacity: int | None = None  # for the guest
    size_on_disk: int | None = None  # of the file; None if it is missing
    used_by: Sequence[str] = ()  # as in Machine.attached


@dataclass(eq=False)
class Graph:
    """Machines, media (parents before children), and ``notes`` on what is missing or in doubt.

    ``numbers`` of differencing disks, by UUID: given to another graph, the numbering goes on.
    """

    machines: list[Machine]
    media: list[Medium]
    notes: list[str] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._media = {medium.uuid: medium for medium in self.media}

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `labkit snapshots --json` and recordings."""
        record = asdict(self)
        del record["numbers"]
        return record

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Graph:
        """What :meth:`to_json` gave. Raises :class:`LabError` for anything else."""
        machines = []
        try:
            for record in data["machines"]:
                snapshots = [Snapshot(**snapshot) for snapshot in record["snapshots"]]
                origin = Origin(**record["linked_to"]) if record["linked_to"] else None
                machines.append(Machine(**{**record, "snapshots": snapshots, "linked_to": origin}))
            media = [Medium(**medium) for medium in data["media"]]
            return cls(machines, media, list(data["notes"]))
        except (KeyError, TypeError) as error:
            raise LabError(
                "This is no record of machines ({problem}); record the lesson again.",
                problem=repr(error)[:60],
            ) from None

    def machine(self, name: str) -> Machine:
        """A machine by name or UUID. Raises :class:`LabError` if there is none, or several."""
        matching = [machine for machine in self.machines if name in (machine.name, machine.uuid)]
        if len(matching) > 1:
            raise LabError(
                "{count} machines are called {name!r:.60}: use the UUID of `VBoxManage list vms`.",
                count=len(matching),
                name=name,
            )
        if not matching:
            names = listed(machine.name for machine in self.machines)
            raise LabError(
                "There is no machine {name!r:.60} here, only: {names}.", name=name, names=names
            )
        return matching[0]

    def snapshot(self, machine: Machine, name: str) -> Snapshot:
        """The first of that name or UUID, as VirtualBox takes it. Raises :class:`LabError`."""
        for snapshot in machine.snapshots:
            if name in (snapshot.name, snapshot.uuid):
                return snapshot
        raise LabError(
            "{machine} has no snapshot {name!r:.60}; it has: {names}.",
            machine=listed([machine.name]),
            name=name,
            names=listed(snapshot.name for snapshot in machine.snapshots),
        )

    def origins(self, clone: Machine) -> list[Machine]:
        """The machine that a linked clone stands on; each of that name, should there be several."""
        origin = clone.linked_to
        return [machine for machine in self.machines if origin and machine.name == origin.machine]

    def only(self, *names: str) -> Graph:
        """These and what they stand on, machines and media. Raises as :meth:`machine`."""
        todo = [self.machine(name) for name in names]
        wanted: set[str] = set()
        attached: list[str] = []
        while todo:
            machine = todo.pop()
            if machine.uuid not in wanted:
                wanted.add(machine.uuid)
                todo += self.origins(machine)
                for uuids in machine.attached().values():
                    attached += uuids
        used: set[str] = set()
        for uuid in attached:
            for medium in self.chain(uuid):
                if medium.uuid in used:
                    break  # and so is all that it stands on
                used.add(medium.uuid)
        return Graph(
            [machine for machine in self.machines if machine.uuid in wanted],
            [medium for medium in self.media if medium.uuid in used],
            self.notes,
            self.numbers,
        )

    def known(self, uuids: Iterable[str]) -> list[Medium]:
        """The media with these UUIDs, as far as they are in the graph."""
        return [self._media[uuid] for uuid in uuids if uuid in self._media]

    def chain(self, uuid: str | None) -> Iterator[Medium]:
        """A medium and all it stands on, downwards. Parents in a circle are given once."""
        seen: set[str] = set()
        while uuid in self._media and uuid not in seen:
            seen.add(uuid)
            yield self._media[uuid]
            uuid = self._media[uuid].parent

    def children(self, medium: Medium) -> list[Medium]:
        """The media that stand directly on this one."""
        return [other for other in self.media if other.parent == medium.uuid]

    def disks(self, machine: str) -> list[Medium]:
        """A machine's first disk and all it stands on. Raises :class:`LabError` if it has none."""
        first = self.machine(machine).media[:1]
        disks = [disk for uuid in first for disk in self.chain(uuid)]
        if not disks:
            raise LabError(
                "{machine} has no disk: attach one with `VBoxManage storageattach`.",
                machine=listed([machine]),
            )
        return disks

    def labels(self) -> dict[str, str]:
        """What media are called, by UUID: a base disk by its file, others by numbers of ours."""
        labels = {
            medium.uuid: clean(re.split(r"[/\\]", medium.location)[-1]) for medium in self.media
        }
        bases = Counter(labels[medium.uuid] for medium in self.media if not medium.parent)
        for medium in self.media:
            begin = f"{{{medium.uuid[:8]}}}"
            if medium.parent:
                number = self.numbers.setdefault(medium.uuid, len(self.numbers) + 1)
                labels[medium.uuid] = _("diff {number} {uuid}", number=number, uuid=begin)
            elif bases[labels[medium.uuid]] > 1:  # in folders of their own
                labels[medium.uuid] += f" {begin}"
        return labels


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
    links = []
    for clone in graph.machines:
        for machine in graph.origins(clone):
            origin = f"{machine.uuid} {clone.linked_to.uuid}" if clone.linked_to else ""
            if origin in nodes:
                links.append((clone.uuid, origin, _("linked to")))
    return Tree(shown, links=links)


def _nodes(graph: Graph) -> dict[str, Node]:
    """All nodes by key. A full copy of a machine keeps the UUIDs of its snapshots."""
    labels = graph.labels()
    nodes = [node for machine in graph.machines for node in _machine_nodes(machine)]
    for medium in graph.media:
        size = medium.size_on_disk
        nodes.append(
            Node(
                f"disk {medium.uuid}",
                labels[medium.uuid],
                f"disk {medium.parent}" if medium.parent else None,
                note=_("missing") if size is None else human(size),
                kind="disk",
                names=tuple(medium.used_by),
            )
        )
    return {node.key: node for node in nodes}


def _machine_nodes(machine: Machine) -> Iterator[Node]:
    """A machine, its snapshots, and its current state on the current one."""
    note = "" if machine.state == "poweroff" else machine.state
    yield Node(machine.uuid, machine.name, note=note, kind="machine")
    current = machine.uuid
    for snapshot in machine.snapshots:
        key = f"{machine.uuid} {snapshot.uuid}"
        parent = f"{machine.uuid} {snapshot.parent}" if snapshot.parent else machine.uuid
        memory = _("with memory") if snapshot.online else ""
        yield Node(key, snapshot.name, parent, note=memory, kind="snapshot")
        if snapshot.current:
            current = key
    label = _("current state (changed)") if machine.changed else _("current state")
    yield Node(f"{machine.uuid} now", label, current, kind="state", mark="current")
