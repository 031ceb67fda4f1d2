"""All of a VirtualBox home as one graph.

Settings, ``VirtualBox.xml`` and each machine's ``.vbox``, say how all hangs together. VBoxManage
is not asked: it quotes nothing, so a name may forge a line.
Source: VirtualBox-settings.xsd; VirtualBox User Guide, "Where Oracle VirtualBox Stores its Files".
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element

from labkit.disks import open_disk
from labkit.errors import LabError
from labkit.messages import N_, _
from labkit.show.text import clean
from labkit.virtualbox.snapshots import Graph, Machine, Medium, Origin, Snapshot, listed

LIMIT = 64  # MiB: more than settings can sensibly have (1,000 snapshots take 3 MB)
_XML = "{http://www.virtualbox.org/}"  # the namespace of all their elements
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TWICE = N_("The UUID of a snapshot of {machine} is given twice: that one is left out.")


def read_home(home: Path, running: Container[str] = ()) -> Graph:
    """All of a VirtualBox home; ``running``: the UUIDs of the machines that run now.

    Raises :class:`LabError` if the registry cannot be read; what is wrong with a machine is noted.
    """
    if not (home / "VirtualBox.xml").exists():
        return Graph([], [])
    graph = _connected(read_settings(home))
    machines = [
        replace(machine, state="running") if machine.uuid in running else machine
        for machine in graph.machines
    ]
    return replace(graph, machines=machines)


def read_settings(home: Path) -> Graph:
    """What is written down, and not yet what of it uses what. Raises as :func:`read_home`."""
    root = _root(home / "VirtualBox.xml")
    all_media = _media(root.find("Global/MediaRegistry"), home)
    machines: dict[str, Machine] = {}
    media: dict[str, Medium] = {}
    notes: list[str] = []
    for entry in root.findall("Global/MachineRegistry/MachineEntry"):
        path = home / (entry.get("src") or "")
        try:
            machine, own_media = _machine(path, notes)
        except LabError as error:
            machine = Machine(path.stem, _uuid(entry), str(path), "inaccessible")
            own_media = []
            notes.append(str(error))
        if machines.setdefault(machine.uuid, machine) is machine:
            all_media += own_media
        else:
            sentence = N_("The UUID of {machine} is given twice: that one is left out.")
            notes.append(_(sentence, machine=listed([machine.name])))
    for medium in all_media:
        if media.setdefault(medium.uuid, medium) is not medium:
            place = clean(medium.location)[-60:]
            sentence = N_("Two disks have the UUID {uuid:.60}; {place} is left out.")
            notes.append(_(sentence, uuid=medium.uuid, place=place))
    return Graph(list(machines.values()), list(media.values()), notes)


def _machine(path: Path, notes: list[str]) -> tuple[Machine, list[Medium]]:
    """A machine and its own media. Raises :class:`LabError` if there is none to be read."""
    element = _root(path).find("Machine")
    if element is None:
        file = listed([path.name])
        raise LabError("{file} holds no machine, or an encrypted one: not read.", file=file)
    current = element.get("currentSnapshot")
    state = "saved" if element.get("stateFile") else "poweroff"
    machine = Machine(
        element.get("name") or "",
        _uuid(element),
        str(path),
        "aborted" if element.get("aborted") == "true" else state,
        changed=current is not None and element.get("currentStateModified") != "false",
        snapshots=_snapshots(element, notes),
        media=_attached(element),
    )
    return machine, _media(element.find("MediaRegistry"), path.parent)


def _root(path: Path) -> Element:
    """The root of a settings file. Raises :class:`LabError` for whatever is wrong with it."""
    from defusedxml import ElementTree  # late: a replayed lesson reads no settings

    file = listed([path.name])
    try:
        if path.stat().st_size > LIMIT << 20 or not path.is_file():  # /dev/zero has no end
            raise LabError(
                "{file} is larger than settings can be ({limit} MiB), or no file: not read.",
                file=file,
                limit=LIMIT,
            )
        root: Element = ElementTree.parse(path, forbid_dtd=True).getroot()
    except OSError as error:
        raise LabError(
            "{file} cannot be read ({why}): was it moved or deleted?", file=file, why=error.strerror
        ) from None
    except (ElementTree.ParseError, ValueError, LookupError):  # defusedxml's own are ValueErrors
        raise LabError(
            "{file} is damaged, or no settings of VirtualBox: restore it from {file}-prev.",
            file=file,
        ) from None
    if root.tag != f"{_XML}VirtualBox":
        raise LabError("{file} is XML, but no settings of VirtualBox: not read.", file=file)
    for element in root.iter():
        element.tag = element.tag.removeprefix(_XML)
    return root


def _uuid(element: Element | None, attribute: str = "uuid") -> str:
    """A UUID as VBoxManage writes it; "" for what is none."""
    uuid = "" if element is None else element.get(attribute, "").strip("{}").lower()
    return uuid if _UUID.fullmatch(uuid) else ""


def _attached(state: Element) -> list[str]:
    """UUIDs of the disks of a machine's or snapshot's own state, by controller and port."""
    place = "StorageControllers/*/AttachedDevice[@type='HardDisk']/Image"
    images = state.findall(f"Hardware/{place}") + state.findall(place)  # before VirtualBox 5
    return [_uuid(image) for image in images]


def _media(registry: Element | None, folder: Path) -> list[Medium]:
    """The disks of a media registry, parents before children."""
    if registry is None:
        return []
    around = {inner: outer for outer in registry.iter() for inner in outer}
    media = []
    for disk in registry.iter("HardDisk"):
        path = folder / (disk.get("location") or "")
        try:
            size = path.stat().st_size
        except (OSError, ValueError):
            size = None
        parent = _uuid(around[disk]) or None
        kind = (disk.get("type") or "normal").lower()
        form = disk.get("format") or ""
        media.append(Medium(_uuid(disk), parent, form, kind, str(path), size_on_disk=size))
    return media


def _snapshots(machine: Element, notes: list[str]) -> list[Snapshot]:
    """The snapshots of a machine, parents before children."""
    around = {inner: outer for outer in machine.iter() for inner in outer}
    current = _uuid(machine, "currentSnapshot")
    snapshots: dict[str, Snapshot] = {}
    for state in machine.iter("Snapshot"):
        uuid = _uuid(state)
        if uuid in snapshots:
            notes.append(_(_TWICE, machine=listed([machine.get("name") or ""])))
            continue
        below = around.get(around[state])  # an element Snapshots is between them
        snapshots[uuid] = Snapshot(
            state.get("name") or "",
            uuid,
            _uuid(below) or None,
            state.get("timeStamp") or "",
            current=uuid == current,
            description=state.findtext("Description", ""),
            online=bool(state.get("stateFile")),
            media=_attached(state),
        )
    return list(snapshots.values())


def _connected(graph: Graph) -> Graph:
    """What uses what, over the borders of files, and what is missing."""
    users: dict[str, list[str]] = {medium.uuid: [] for medium in graph.media}
    holders: dict[str, tuple[Machine, Snapshot]] = {}
    for machine in graph.machines:
        for user, uuids in machine.attached().items():
            for uuid in uuids:
                if uuid in users:
                    users[uuid].append(user)
                else:
                    sentence = N_("{user} uses a disk that is not in the registry.")
                    graph.notes.append(_(sentence, user=listed([user])))
        for snapshot in machine.snapshots:
            for uuid in snapshot.media:
                holders.setdefault(uuid, (machine, snapshot))
    labels = graph.labels()
    for medium in graph.media:
        if medium.size_on_disk is None:
            sentence = N_("The file of {disk} is missing: was it moved or deleted?")
            graph.notes.append(_(sentence, disk=labels[medium.uuid]))
    media = [
        replace(medium, used_by=users[medium.uuid], capacity=_capacity(medium, graph.notes))
        for medium in graph.media
    ]
    machines = [_linked(graph, machine, holders) for machine in graph.machines]
    return replace(graph, machines=machines, media=media)


def _linked(graph: Graph, clone: Machine, holders: dict[str, tuple[Machine, Snapshot]]) -> Machine:
    """A machine; if it stands on a snapshot of another one, it is a linked clone."""
    for uuid in clone.media:
        for medium in graph.chain(uuid):
            machine, snapshot = holders.get(medium.uuid, (clone, None))
            if snapshot and machine is not clone:
                origin = Origin(machine.name, snapshot.name, snapshot.uuid)
                return replace(clone, linked_to=origin)
    return clone


def _capacity(medium: Medium, notes: list[str]) -> int | None:
    """Bytes for the guest, as the disk's own header says."""
    if medium.size_on_disk is None:
        return None
    try:
        with open_disk(Path(medium.location)) as disk:
            return disk.capacity
    except LabError as error:
        notes.append(str(error))
        return None
