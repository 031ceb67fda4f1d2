"""All of a VirtualBox home as one graph.

Two witnesses are heard. The settings are the first: they say how all hangs together. VBoxManage is
the second: it knows capacities and states, but quotes nothing, so a name may forge a line. Where
they disagree the settings are believed, and a note says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from labkit.commands import Interrupted
from labkit.disks import open_disk
from labkit.errors import LabError
from labkit.messages import _
from labkit.show.text import clean
from labkit.virtualbox.listings import parse_hdds, parse_machinereadable, parse_runningvms
from labkit.virtualbox.settings import read_settings
from labkit.virtualbox.snapshots import Graph, Machine, Medium, Origin, Snapshot, listed

Ask = Callable[[list[str]], str]  # runs VBoxManage with an argv, gives its standard output


def read_home(home: Path, ask: Ask | None = None, thorough: bool = True) -> Graph:
    """All of a VirtualBox home: its settings, and what VBoxManage says if there is ``ask``.

    ``thorough``: of each machine, too. Raises :class:`LabError` if the registry itself cannot be
    read; what is wrong with a machine is noted.
    """
    if not (home / "VirtualBox.xml").exists():
        return Graph([], [])
    graph = _settled(home)
    return _asked(graph, ask, thorough) if ask else _measured(graph)


# -- the first witness: settings ----------------------------------------------------------------


def _settled(home: Path) -> Graph:
    """What the settings say, and what hangs from what over the borders of files."""
    machines, all_media, notes = read_settings(home)
    media = _used(_single(all_media, notes), machines, notes)
    graph = Graph(machines, media)
    labels = graph.labels()
    notes += [
        _("The file of {disk} is missing: was it moved or deleted?", disk=labels[medium.uuid])
        for medium in media
        if medium.size_on_disk is None
    ]
    holders = _holders(machines)
    linked = [replace(machine, linked_to=_origin(graph, machine, holders)) for machine in machines]
    return Graph(linked, media, notes, graph.numbers)


def _single(media: Iterable[Medium], notes: list[str]) -> list[Medium]:
    """Of media with one UUID the first."""
    single: dict[str, Medium] = {}
    for medium in media:
        if single.setdefault(medium.uuid, medium) is not medium:
            notes.append(
                _(
                    "Two disks have the UUID {uuid:.60}; {place} is left out.",
                    uuid=medium.uuid,
                    place=clean(medium.location)[-60:],
                )
            )
    return list(single.values())


def _used(media: list[Medium], machines: list[Machine], notes: list[str]) -> list[Medium]:
    """The media with who uses them."""
    users: dict[str, list[str]] = {medium.uuid: [] for medium in media}
    for machine in machines:
        for user, uuids in machine.attached().items():
            for uuid in uuids:
                if uuid in users:
                    users[uuid].append(user)
                else:
                    notes.append(
                        _("{user} uses a disk that is not in the registry.", user=listed([user]))
                    )
    return [replace(medium, used_by=users[medium.uuid]) for medium in media]


def _holders(machines: list[Machine]) -> dict[str, tuple[Machine, Snapshot]]:
    """Which snapshot holds a medium, by its UUID; of several the first."""
    holders: dict[str, tuple[Machine, Snapshot]] = {}
    for machine in machines:
        for snapshot in machine.snapshots:
            for uuid in snapshot.media:
                holders.setdefault(uuid, (machine, snapshot))
    return holders


def _origin(
    graph: Graph, clone: Machine, holders: Mapping[str, tuple[Machine, Snapshot]]
) -> Origin | None:
    """The first snapshot of another machine below the current state: it is a linked clone then."""
    for uuid in clone.media:
        for medium in graph.chain(uuid):
            machine, snapshot = holders.get(medium.uuid, (clone, None))
            if snapshot and machine is not clone:
                return Origin(machine.name, snapshot.name, snapshot.uuid)
    return None


def _measured(graph: Graph) -> Graph:
    """Capacities from the disks' own headers; a differencing disk has that of its base."""
    capacities: dict[str, int | None] = {}
    notes = list(graph.notes)
    for medium in graph.media:
        capacity = None
        if medium.parent in capacities:
            capacity = capacities[medium.parent]
        elif medium.size_on_disk is not None:
            try:
                with open_disk(Path(medium.location)) as disk:
                    capacity = disk.capacity
            except LabError as error:
                notes.append(str(error))
        capacities[medium.uuid] = capacity
    media = [replace(medium, capacity=capacities[medium.uuid]) for medium in graph.media]
    return Graph(graph.machines, media, notes, graph.numbers)


# -- the second witness: VBoxManage -------------------------------------------------------------


def _asked(graph: Graph, ask: Ask, thorough: bool) -> Graph:
    """Capacities and states, and whether VBoxManage says the same of what hangs from what."""
    notes = list(graph.notes)
    labels = graph.labels()
    disks = {disk["UUID"]: disk for disk in parse_hdds(ask(["list", "-l", "hdds"]))}
    media = [
        _told_of(medium, disks.get(medium.uuid, {}), labels[medium.uuid], notes)
        for medium in graph.media
    ]
    running = parse_runningvms(ask(["list", "runningvms"]))
    machines = []
    for machine in graph.machines:
        if machine.uuid in running:
            machine = replace(machine, state="running")
        if thorough and machine.state != "inaccessible":
            machine = _shown(machine, ask, notes)
        machines.append(machine)
    return Graph(machines, media, notes, graph.numbers)


def _told_of(medium: Medium, disk: Mapping[str, str], label: str, notes: list[str]) -> Medium:
    """A medium with the capacity that VBoxManage gives it."""
    parent = disk.get("Parent UUID")
    if parent not in (None, medium.parent or "base"):
        notes.append(
            _(
                "VBoxManage says that {disk} stands on {parent:.36}, its settings say otherwise; "
                "the settings are believed.",
                disk=label,
                parent=parent,
            )
        )
    if size := re.match(r"(\d+) MBytes", disk.get("Capacity", "")):
        return replace(medium, capacity=int(size[1]) << 20)
    return medium


def _shown(machine: Machine, ask: Ask, notes: list[str]) -> Machine:
    """A machine in the state that `showvminfo` tells."""
    try:
        text = ask(["showvminfo", machine.uuid, "--machinereadable"]).replace("\r\n", "\n")
    except Interrupted:
        raise
    except LabError as error:  # this one cannot be used, and the others can
        notes.append(
            _("{machine} cannot be used. {reason}", machine=listed([machine.name]), reason=error)
        )
        return replace(machine, state="inaccessible")
    # Its name may forge all that follows; the settings know it.
    about = parse_machinereadable(text.replace(f'name="{machine.name}"', "", 1))
    current = [snapshot.uuid for snapshot in machine.snapshots if snapshot.current]
    if about.get("CurrentSnapshotUUID", "") not in (current or [""]):
        notes.append(
            _(
                "VBoxManage and the settings of {machine} name different current snapshots; "
                "the settings are believed.",
                machine=listed([machine.name]),
            )
        )
    return replace(machine, state=about.get("VMState", machine.state))
