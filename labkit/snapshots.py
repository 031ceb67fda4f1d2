"""VirtualBox machines, their snapshots, the differencing disks below, and linked clones: all of it one graph.

Two witnesses are heard. The settings (``VirtualBox.xml`` and each machine's ``.vbox``) are the first: they say how all
hangs together. VBoxManage's own words are the second; they know capacities and states, but quote nothing, so a name may
forge a line. Where they disagree the settings are believed, and ``notes`` says so.
Source: VirtualBox-settings.xsd; VirtualBox User Guide, "Differencing Images" and "Snapshots".
"""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from labkit.commands import LabError

if TYPE_CHECKING:
    from labkit.trees import Node, Tree

SETTINGS = 64 << 20  # bytes: more than settings can sensibly have (1,000 snapshots take 3 MB)
_XML = "{http://www.virtualbox.org/}"
_PAIR = re.compile(r'^(?:"([^"\n]*)"|([A-Za-z][\w()/-]*))=(?:"(.*)"|(.*))$')


@dataclass
class Snapshot:
    """A moment one can go back to. ``media``: what was attached; ``online``: it holds the memory too."""
    name: str
    uuid: str
    parent: str | None
    taken: str  # ISO 8601, UTC
    current: bool = False
    description: str = ""
    online: bool = False
    media: list[str] = field(default_factory=list)


@dataclass
class Machine:
    """A machine; ``changed``: its current state is not that of its current snapshot. ``linked_to``: for a linked clone
    the {"machine", "snapshot", "uuid"} that its disk stands on."""
    name: str
    uuid: str
    settings: str
    state: str = "poweroff"
    changed: bool = False
    snapshots: list[Snapshot] = field(default_factory=list)
    media: list[str] = field(default_factory=list)
    linked_to: dict[str, str] | None = None

    def attached(self) -> dict[str, list[str]]:
        """Media by who uses them: the machine's "name" for its current state, "name @ snapshot"."""
        found = {self.name: list(self.media)}
        for snapshot in self.snapshots:
            found.setdefault(f"{self.name} @ {snapshot.name}", []).extend(snapshot.media)
        return found


@dataclass
class Medium:
    """A disk. Sizes in bytes: ``capacity`` for the guest, ``size_on_disk`` of the file; None if not known."""
    uuid: str
    parent: str | None
    format: str
    type: str
    location: str
    capacity: int | None = None
    size_on_disk: int | None = None
    used_by: list[str] = field(default_factory=list)  # "machine" for its current state, "machine @ snapshot"


@dataclass
class Preview:
    """What a command would do. ``refused``: why VirtualBox would not; ``merges``: (from, into, bytes) of media;
    ``removed``: media whose files go. ``lines`` say it all to a student."""
    refused: str = ""
    merges: list[tuple[str, str, int]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    keeps: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join(self.lines)


class Graph:
    """Machines, media (parents before children) and ``notes`` on what is missing or in doubt."""

    def __init__(self, machines: Sequence[Machine], media: Sequence[Medium], notes: Sequence[str] = ()) -> None:
        self.machines, self.media, self.notes = list(machines), list(media), list(notes)
        self.numbers: dict[str, int] = {}  # of differencing disks, for labels; given to another graph, it goes on
        self._media = {medium.uuid: medium for medium in self.media}
        self._kids: dict[str | None, list[str]] = {}
        for medium in self.media:
            self._kids.setdefault(medium.parent, []).append(medium.uuid)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `labkit snapshots --json` and recordings."""
        return {"machines": [asdict(machine) for machine in self.machines],
                "media": [asdict(medium) for medium in self.media], "notes": list(self.notes)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Graph:
        """What :meth:`to_json` gave. Raises :class:`LabError` for anything else."""
        try:
            machines = [Machine(**{**machine, "snapshots": [Snapshot(**s) for s in machine["snapshots"]]})
                        for machine in data["machines"]]
            return cls(machines, [Medium(**medium) for medium in data["media"]], data["notes"])
        except (KeyError, TypeError) as error:
            raise LabError(f"This is no record of machines ({error}); record the lesson again.") from None

    def machine(self, name: str) -> Machine:
        """A machine by name or UUID. Raises :class:`LabError` if there is none, or several."""
        found = [machine for machine in self.machines if name in (machine.name, machine.uuid)]
        if len(found) == 1:
            return found[0]
        if found:
            raise LabError(f"{len(found)} machines are called {name!r:.60}: use the UUID of `VBoxManage list vms`.")
        names = ", ".join(machine.name for machine in self.machines) or "none"
        raise LabError(f"There is no machine {name!r:.60} here; there are: {names:.300}.")

    def snapshot(self, machine: Machine, name: str) -> Snapshot:
        """A snapshot by name (the first, as VirtualBox takes it) or UUID. Raises :class:`LabError` if there is none."""
        for snapshot in machine.snapshots:
            if name in (snapshot.name, snapshot.uuid):
                return snapshot
        names = ", ".join(snapshot.name for snapshot in machine.snapshots) or "none"
        raise LabError(f"{machine.name:.60} has no snapshot {name!r:.60}; it has: {names:.300}.")

    def only(self, *names: str) -> Graph:
        """These machines and those they are linked to, with the media they use and all below those."""
        wanted = [self.machine(name) for name in names]
        for machine in wanted:  # grows while we walk
            wanted += [other for other in self.machines if machine.linked_to and other.name ==
                       machine.linked_to["machine"] and other not in wanted]
        used = {uuid for machine in wanted for media in machine.attached().values() for uuid in media}
        for uuid in list(used):
            used.update(self._up(uuid))
        found = Graph([machine for machine in self.machines if machine in wanted],
                      [medium for medium in self.media if medium.uuid in used], self.notes)
        found.numbers = self.numbers
        return found

    def _up(self, uuid: str | None) -> Iterator[str]:
        """A medium and what it stands on, the medium itself first."""
        seen = set[str]()
        while uuid in self._media and uuid not in seen:
            seen.add(uuid)
            yield uuid
            uuid = self._media[uuid].parent

    # -- what would happen ----------------------------------------------------------------------

    def deleting(self, machine: str, snapshot: str) -> Preview:
        """What `VBoxManage snapshot MACHINE delete SNAPSHOT` would merge and remove. Raises :class:`LabError`.

        Seen with VirtualBox 7.2: a disk with one child is merged with it, into a base disk the child, else the smaller
        of the two into the larger. A disk without a child goes; one on which two stand is refused.
        """
        from labkit.disks import human

        owner = self.machine(machine)
        gone, done, names = self.snapshot(owner, snapshot), Preview(), self.labels()
        kids = [other.name for other in owner.snapshots if other.parent == gone.uuid]
        if len(kids) + gone.current > 1:
            done.refused = f"{', '.join(kids)}{' and the current state' * gone.current} stand on it"
        for uuid in gone.media:
            above, medium = self._kids.get(uuid, []), self._media.get(uuid)
            if not medium:
                continue
            users = {kid: {user.partition(" @ ")[0] for user in self._media[kid].used_by} for kid in above}
            ours = [kid for kid in above if owner.name in users[kid]]
            if not kids and not gone.current:  # a leaf: nobody of this machine reads from it
                if above:
                    done.keeps.append(f"{names[uuid]} stays, for {self._users(above)} stands on it")
                else:
                    done.removed.append(uuid)
                    done.lost.append(f"what is only in {names[uuid]} ({human(medium.size_on_disk or 0)})")
            elif len(above) > 1:
                done.refused = done.refused or (f"{len(above)} disks stand on {names[uuid]} ({self._users(above)}): "
                                                "it cannot be merged into more than one")
            elif ours:
                kid = self._media[ours[0]]
                down = not medium.parent or (medium.size_on_disk or 0) > (kid.size_on_disk or 0)
                source, target = (kid, medium) if down else (medium, kid)
                done.merges.append((source.uuid, target.uuid, source.size_on_disk or 0))
                done.removed.append(source.uuid)
        if done.refused:
            done = Preview(refused=done.refused)
            done.lines = [f"VirtualBox would refuse: {done.refused}."]
            return done
        done.keeps.append("what the guest reads now stays as it is")
        done.lines = [
            *(f"{names[a]} is merged into {names[b]}, {human(size)}, and its file goes." for a, b, size in done.merges),
            *(f"Lost for ever: {what}." for what in done.lost),
            *(f"{what[:1].upper()}{what[1:]}." for what in done.keeps),
            f"Nobody can go back to {gone.name!r:.60} any more."]
        return done

    def restoring(self, machine: str, snapshot: str) -> Preview:
        """What `VBoxManage snapshot MACHINE restore SNAPSHOT` would throw away. Raises :class:`LabError`."""
        from labkit.disks import human

        owner = self.machine(machine)
        back, done, names = self.snapshot(owner, snapshot), Preview(), self.labels()
        if owner.state not in ("poweroff", "saved", "aborted"):
            done.refused = f"{owner.name} is {owner.state}: power it off first"
            done.lines = [f"VirtualBox would refuse: {done.refused}."]
            return done
        for uuid in owner.media:
            medium = self._media.get(uuid)
            if medium and medium.parent:
                done.removed.append(uuid)
                done.lost.append(f"what was written since into {names[uuid]} ({human(medium.size_on_disk or 0)})")
        done.keeps = [f"{len(owner.snapshots)} snapshot{'s' * (len(owner.snapshots) != 1)} and their disks stay"]
        done.lines = [*(f"Lost for ever: {what}." for what in done.lost), f"{done.keeps[0]}.",
                      f"A new, empty differencing disk on top of {back.name!r:.60} becomes the current state."]
        return done

    def _users(self, uuids: Sequence[str]) -> str:
        """Whose disks these are."""
        media = [self._media[uuid] for uuid in uuids]
        return ", ".join(dict.fromkeys(user for medium in media for user in medium.used_by or [medium.location]))

    # -- the picture ----------------------------------------------------------------------------

    def labels(self) -> dict[str, str]:
        """What each medium is called: a base by its file, a differencing disk by a number beside the real UUID."""
        found = {}
        for medium in self.media:
            found[medium.uuid] = re.split(r"[/\\]", medium.location)[-1]
            if medium.parent:
                number = self.numbers.setdefault(medium.uuid, len(self.numbers) + 1)
                found[medium.uuid] = f"diff {number} {{{medium.uuid[:8]}}}"
        return found

    def tree(self, before: Graph | None = None) -> Tree:
        """The picture. Since ``before``, what is new is marked and what is gone is still shown."""
        from labkit.trees import Tree

        old, new = (before or self)._nodes(), self._nodes()
        gone = [replace(node, mark="gone") for key, node in old.items() if key not in new]
        marked = [node if key in old or node.mark else replace(node, mark="new") for key, node in new.items()]
        keys = {(machine.name, snapshot.uuid): f"{machine.uuid} {snapshot.uuid}"
                for machine in self.machines for snapshot in machine.snapshots}
        ends = [(machine.uuid, keys.get((machine.linked_to["machine"], machine.linked_to["uuid"]), ""))
                for machine in self.machines if machine.linked_to]
        links = [(start, end, "linked to") for start, end in ends if end in new]
        return Tree([*marked, *gone], links=links)

    def _nodes(self) -> dict[str, Node]:
        from labkit.disks import human
        from labkit.trees import Node

        nodes, names = [], self.labels()
        for machine in self.machines:
            nodes.append(Node(machine.uuid, machine.name, None, "" if machine.state == "poweroff" else machine.state,
                              "machine"))
            at = machine.uuid
            for snapshot in machine.snapshots:
                note = "with memory" if snapshot.online else ""
                key = f"{machine.uuid} {snapshot.uuid}"  # a full copy of a machine keeps the UUIDs of its snapshots
                parent = f"{machine.uuid} {snapshot.parent}" if snapshot.parent else machine.uuid
                nodes.append(Node(key, snapshot.name, parent, note, "snapshot"))
                at = key if snapshot.current else at
            now = f"current state{' (changed)' * machine.changed}"
            nodes.append(Node(f"{machine.uuid} now", now, at, "", "state", mark="current"))
        nodes += [Node(f"disk {medium.uuid}", names[medium.uuid], medium.parent and f"disk {medium.parent}",
                       "missing" if medium.size_on_disk is None else human(medium.size_on_disk), "disk",
                       tuple(medium.used_by)) for medium in self.media]
        return {node.key: node for node in nodes}

    def __str__(self) -> str:
        return str(self.tree())

    __repr__ = __str__


# -- the first witness: settings ----------------------------------------------------------------


def _settings(path: Path) -> Element:
    """The root of a settings file. Raises :class:`LabError` in one line for whatever is wrong with it."""
    from defusedxml import ElementTree
    from defusedxml.common import DefusedXmlException

    try:
        if path.stat().st_size > SETTINGS:
            raise LabError(f"{path.name} is larger than settings can be ({SETTINGS >> 20} MiB): not read.")
        root: Element = ElementTree.parse(path, forbid_dtd=True).getroot()
    except OSError as error:
        raise LabError(f"{path.name} cannot be read ({error.strerror}): was it moved or deleted?") from None
    except (ElementTree.ParseError, DefusedXmlException, ValueError, LookupError):
        raise LabError(f"{path.name} is damaged, or no settings of VirtualBox: restore it from {path.name}-prev."
                       ) from None
    if root.tag != f"{_XML}VirtualBox":
        raise LabError(f"{path.name} is XML, but no settings of VirtualBox: not read.")
    return root


def _uuid(element: Element, name: str = "uuid") -> str:
    return (element.get(name) or "").strip("{}").lower()


def _media(root: Element | None, folder: Path) -> Iterator[Medium]:
    """The disks of a media registry, parents before children, however deep."""
    todo: list[tuple[Element, str | None]] = []
    if root is not None:
        todo = [(disk, None) for disk in reversed(root.findall(f"{_XML}HardDisks/{_XML}HardDisk"))]
    while todo:
        disk, parent = todo.pop()
        where = folder / (disk.get("location") or "")
        try:
            size = where.stat().st_size
        except (OSError, ValueError):
            size = None
        medium = Medium(_uuid(disk), parent, disk.get("format") or "", (disk.get("type") or "normal").lower(),
                        str(where), None, size)
        yield medium
        todo += [(kid, medium.uuid) for kid in reversed(disk.findall(f"{_XML}HardDisk"))]


def _attached(state: Element) -> list[str]:
    """Disks of a machine's or snapshot's own state, in the order of controllers and ports."""
    hardware = state.find(f"{_XML}Hardware")
    found = [] if hardware is None else hardware.findall(f"{_XML}StorageControllers/*/{_XML}AttachedDevice")
    found += state.findall(f"{_XML}StorageControllers/*/{_XML}AttachedDevice")  # before VirtualBox 5
    images = [device.find(f"{_XML}Image") for device in found if device.get("type") == "HardDisk"]
    return [_uuid(image) for image in images if image is not None]


def _machine(element: Element, path: Path) -> Machine:
    found = Machine(element.get("name") or "", _uuid(element), str(path))
    found.changed = element.get("currentStateModified") != "false" and element.get("currentSnapshot") is not None
    found.state = "aborted" if element.get("aborted") == "true" else "saved" if element.get("stateFile") else "poweroff"
    found.media = _attached(element)
    current = _uuid(element, "currentSnapshot")
    todo: list[tuple[Element, str | None]] = [
        (snapshot, None) for snapshot in reversed(element.findall(f"{_XML}Snapshot"))]
    while todo:
        state, parent = todo.pop()
        text = state.findtext(f"{_XML}Description") or ""
        snapshot = Snapshot(state.get("name") or "", _uuid(state), parent, state.get("timeStamp") or "",
                            _uuid(state) == current, text, bool(state.get("stateFile")), _attached(state))
        found.snapshots.append(snapshot)
        todo += [(kid, snapshot.uuid) for kid in reversed(state.findall(f"{_XML}Snapshots/{_XML}Snapshot"))]
    return found


def read(home: Path, ask: Callable[[list[str]], str] | None = None, thorough: bool = True) -> Graph:
    """All of a VirtualBox home: its settings, and what VBoxManage says if ``ask`` runs it (``thorough``: of each
    machine). Raises :class:`LabError` if the registry itself cannot be read; what is wrong with a machine is noted."""
    if not (home / "VirtualBox.xml").exists():
        return Graph([], [], [])
    notes: list[str] = []
    registry = _settings(home / "VirtualBox.xml").find(f"{_XML}Global")
    entries = [] if registry is None else registry.findall(f"{_XML}MachineRegistry/{_XML}MachineEntry")
    media = list(_media(None if registry is None else registry.find(f"{_XML}MediaRegistry"), home))
    machines: list[Machine] = []
    for entry in entries:
        path = home / (entry.get("src") or "")
        try:
            element = _settings(path).find(f"{_XML}Machine")
            if element is None:
                raise LabError(f"{path.name} holds no machine, or an encrypted one: not read.")
        except LabError as error:
            machines.append(Machine(path.stem, _uuid(entry), str(path), "inaccessible"))
            notes.append(str(error))
            continue
        machines.append(_machine(element, path))
        media += _media(element.find(f"{_XML}MediaRegistry"), path.parent)
    graph = _joined(machines, media, notes)
    if not ask:
        _measure(graph)
        return graph
    _hear(graph, ask)
    if thorough:
        _question(graph, ask)
    return graph


def _joined(machines: list[Machine], media: list[Medium], notes: list[str]) -> Graph:
    """What hangs from what, over the borders of settings files."""
    known: dict[str, Medium] = {}
    for medium in media:
        if known.setdefault(medium.uuid, medium) is not medium:
            notes.append(f"Two disks have the UUID {medium.uuid[:60]}; {medium.location[-60:]} is left out.")
    seen = Counter(key for machine in machines for key in (machine.uuid, *((machine.uuid, s.uuid)
                                                                           for s in machine.snapshots)))
    if twice := [str(key) for key, count in seen.items() if count > 1]:
        notes.append(f"The UUID {twice[0][:60]} is given twice, so not all can be shown.")
        machines = _unique(machines)
    for machine in machines:
        for name, attached in machine.attached().items():
            for uuid in attached:
                if uuid in known:
                    known[uuid].used_by.append(name)
                else:
                    notes.append(f"{name:.80} uses a disk that is not in the registry.")
    graph = Graph(machines, list(known.values()), notes)
    holders = {uuid: (machine, snapshot) for machine in reversed(machines) for snapshot in reversed(machine.snapshots)
               for uuid in snapshot.media}
    for machine in machines:
        below = (holders[uuid] for medium in machine.media for uuid in graph._up(medium) if uuid in holders)
        for other, snapshot in below:
            if other is not machine and not machine.linked_to:
                machine.linked_to = {"machine": other.name, "snapshot": snapshot.name, "uuid": snapshot.uuid}
    notes += [f"The file of {name} is missing: was it moved or deleted?" for uuid, name in graph.labels().items()
              if known[uuid].size_on_disk is None]
    graph.notes = notes
    return graph


def _unique(machines: list[Machine]) -> list[Machine]:
    """Without what has the UUID of another before it, nor what stands on that."""
    found = {machine.uuid: machine for machine in reversed(machines)}
    for machine in found.values():
        kept: dict[str, Snapshot] = {}
        for snapshot in machine.snapshots:
            if snapshot.uuid not in kept and (not snapshot.parent or snapshot.parent in kept):
                kept[snapshot.uuid] = snapshot
        machine.snapshots = list(kept.values())
    return list(found.values())[::-1]


def _measure(graph: Graph) -> None:
    """Capacities from the disks' own headers; a differencing disk has that of its base."""
    from labkit.disks import open_disk

    for medium in graph.media:
        if medium.parent in graph._media:
            medium.capacity = graph._media[medium.parent].capacity
        elif medium.size_on_disk is not None:
            try:
                with open_disk(Path(medium.location)) as disk:
                    medium.capacity = disk.capacity
            except LabError as error:
                graph.notes.append(str(error))


# -- the second witness: VBoxManage -------------------------------------------------------------


def parse_machinereadable(text: str) -> dict[str, str]:
    """Keys and values of `--machinereadable`; of a key given twice the first counts, for what follows may be forged.

    Nothing is escaped there: a value with line ends keeps its first line, unless the next ones continue it.
    """
    found: dict[str, str] = {}
    open_key = ""
    for line in text.replace("\r\n", "\n").split("\n"):
        if open_key:
            found[open_key] += "\n" + line.removesuffix('"')
            open_key = "" if line.endswith('"') else open_key
        elif pair := _PAIR.match(line):
            key = pair[1] or pair[2]
            found.setdefault(key, pair[3] if pair[3] is not None else pair[4])
            if pair[4] is not None and pair[4].startswith('"') and found[key] == pair[4]:
                found[key], open_key = pair[4][1:], key
    return found


def parse_hdds(text: str) -> list[dict[str, str]]:
    """The disks of `list hdds -l`, each as key → value; keys without a colon go on with the one before."""
    found: list[dict[str, str]] = []
    key = ""
    for line in text.replace("\r\n", "\n").split("\n"):
        name, colon, value = line.partition(":")
        if name == "UUID" and colon:
            found.append({})
        if not found or not line.strip():
            key = ""
        elif line[:1].isspace() or not colon:
            if key:
                found[-1][key] += "\n" + line.strip()
        else:
            key = name.strip()
            found[-1].setdefault(key, value.strip())
    return found


def _hear(graph: Graph, ask: Callable[[list[str]], str]) -> None:
    """Capacities, what runs, and whether VirtualBox says the same of the disks."""
    said = {disk.get("UUID", ""): disk for disk in parse_hdds(ask(["list", "-l", "hdds"]))}
    for medium in graph.media:
        told = said.get(medium.uuid, {})
        if size := re.match(r"(\d+) MBytes", told.get("Capacity", "")):
            medium.capacity = int(size[1]) << 20
        parent = told.get("Parent UUID")
        if parent and parent != (medium.parent or "base"):
            graph.notes.append(f"VBoxManage says that {graph.labels()[medium.uuid]} stands on {parent[:36]}, its "
                               "settings say otherwise; the settings are believed.")
    running = re.findall(r"\{([0-9a-f-]{36})\}$", ask(["list", "runningvms"]), re.M)
    for machine in graph.machines:
        machine.state = "running" if machine.uuid in running else machine.state


def _question(graph: Graph, ask: Callable[[list[str]], str]) -> None:
    """The state of each machine, and whether VirtualBox says the same of its snapshots."""
    for machine in graph.machines:
        if machine.state == "inaccessible":
            continue
        told = parse_machinereadable(ask(["showvminfo", machine.uuid, "--machinereadable"]))
        machine.state = told.get("VMState", machine.state)
        current = next((snapshot.uuid for snapshot in machine.snapshots if snapshot.current), None)
        if machine.snapshots and told.get("CurrentSnapshotUUID") != current:
            graph.notes.append(f"VBoxManage and the settings of {machine.name:.60} name different current snapshots; "
                               "the settings are believed.")
