"""VirtualBox machines, their snapshots, the disks they stand on, and linked clones: one graph.

Source: VirtualBox-settings.xsd; VirtualBox User Guide, "Differencing Images" and "Snapshots".
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from labkit.errors import LabError
from labkit.messages import _
from labkit.show.text import clean, shorten


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
    state: str = "poweroff"  # in VirtualBox's words, or "inaccessible"
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


def _machine(record: Mapping[str, Any]) -> Machine:
    """The machine in a record."""
    snapshots = [Snapshot(**snapshot) for snapshot in record["snapshots"]]
    origin = Origin(**record["linked_to"]) if record["linked_to"] else None
    return Machine(**{**record, "snapshots": snapshots, "linked_to": origin})


class Graph:
    """Machines, media (parents before children), and ``notes`` on what is missing or in doubt.

    ``numbers`` of differencing disks, by UUID: given to another graph, the numbering goes on.
    """

    def __init__(
        self,
        machines: Iterable[Machine],
        media: Iterable[Medium],
        notes: Iterable[str] = (),
        numbers: dict[str, int] | None = None,
    ) -> None:
        self.machines = list(machines)
        self.media = list(media)
        self.notes = list(notes)
        self.numbers = {} if numbers is None else numbers
        self._media = {medium.uuid: medium for medium in self.media}
        self._children: dict[str | None, list[Medium]] = defaultdict(list)
        for medium in self.media:
            self._children[medium.parent].append(medium)
        self._named: dict[str, list[Machine]] = defaultdict(list)
        for machine in self.machines:
            self._named[machine.name].append(machine)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `labkit snapshots --json` and recordings."""
        return {
            "machines": [asdict(machine) for machine in self.machines],
            "media": [asdict(medium) for medium in self.media],
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Graph:
        """What :meth:`to_json` gave. Raises :class:`LabError` for anything else."""
        try:
            machines = [_machine(machine) for machine in data["machines"]]
            media = [Medium(**medium) for medium in data["media"]]
            return cls(machines, media, data["notes"])
        except (KeyError, TypeError) as error:
            problem = repr(error)[:60]
            raise LabError(
                "This is no record of machines ({problem}); record the lesson again.",
                problem=problem,
            ) from None

    # -- machines and snapshots -----------------------------------------------------------------

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
        """A snapshot by UUID or name, of several the first, as VirtualBox takes it.

        Raises :class:`LabError` if there is none.
        """
        for snapshot in machine.snapshots:
            if name in (snapshot.name, snapshot.uuid):
                return snapshot
        raise LabError(
            "{machine} has no snapshot {name!r:.60}; it has: {names}.",
            machine=listed([machine.name]),
            name=name,
            names=listed(snapshot.name for snapshot in machine.snapshots),
        )

    def origins(self, machine: Machine) -> Sequence[Machine]:
        """The machine that a linked clone stands on; each of that name, should there be several."""
        return self._named.get(machine.linked_to.machine, ()) if machine.linked_to else ()

    def only(self, *names: str) -> Graph:
        """These machines and those they are linked to, with their media and all below those.

        Raises :class:`LabError` as :meth:`machine`.
        """
        todo = [self.machine(name) for name in names]
        wanted: set[str] = set()
        while todo:
            machine = todo.pop()
            if machine.uuid not in wanted:
                wanted.add(machine.uuid)
                todo += self.origins(machine)
        machines = [machine for machine in self.machines if machine.uuid in wanted]
        used = self._used_by(machines)
        media = [medium for medium in self.media if medium.uuid in used]
        return Graph(machines, media, self.notes, self.numbers)

    def _used_by(self, machines: Iterable[Machine]) -> set[str]:
        """UUIDs of the media that these machines stand on, in whatever state."""
        used: set[str] = set()
        for machine in machines:
            for uuids in machine.attached().values():
                for uuid in uuids:
                    for medium in self.chain(uuid):
                        if medium.uuid in used:
                            break  # and so are all below it
                        used.add(medium.uuid)
        return used

    # -- media ----------------------------------------------------------------------------------

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

    def children(self, medium: Medium) -> Sequence[Medium]:
        """The media that stand directly on this one."""
        return self._children.get(medium.uuid, ())

    def disks(self, machine: str) -> list[Medium]:
        """A machine's first disk and all it stands on. Raises :class:`LabError` if it has none."""
        attached = self.machine(machine).media
        disks = list(self.chain(attached[0])) if attached else []
        if not disks:
            raise LabError(
                "{machine} has no disk: attach one with `VBoxManage storageattach`.",
                machine=listed([machine]),
            )
        return disks

    def labels(self) -> dict[str, str]:
        """What each medium is called, by UUID.

        A base disk by its file, a differencing disk by a number beside the real UUID.
        """
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
