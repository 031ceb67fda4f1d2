"""VirtualBox machines, their snapshots, the differencing disks below, and linked clones: all of it one graph.

Two witnesses are heard. The settings (``VirtualBox.xml`` and each machine's ``.vbox``) are the first: they say how all
hangs together. VBoxManage's own words are the second; they know capacities and states, but quote nothing, so a name may
forge a line. Where they disagree the settings are believed, and ``notes`` says so.
Source: VirtualBox-settings.xsd; VirtualBox User Guide, "Differencing Images" and "Snapshots".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, takewhile
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from labkit.disks import human, open_disk
from labkit.commands import Interrupted
from labkit.errors import LabError
from labkit.show.text import clean, shorten
from labkit.show.trees import Node, Tree

SETTINGS = 64 << 20  # bytes: more than settings can sensibly have (1,000 snapshots take 3 MB)
_XML = "{http://www.virtualbox.org/}"
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
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
    used_by: list[str] = field(
        default_factory=list
    )  # "machine" for its current state, "machine @ snapshot"


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

    def __init__(
        self, machines: Sequence[Machine], media: Sequence[Medium], notes: Sequence[str] = ()
    ) -> None:
        self.machines, self.media, self.notes = list(machines), list(media), list(notes)
        self.numbers: dict[
            str, int
        ] = {}  # of differencing disks, for labels; given to another graph, it goes on
        self._media = {medium.uuid: medium for medium in self.media}
        self._kids: dict[str | None, list[str]] = {}
        for medium in self.media:
            self._kids.setdefault(medium.parent, []).append(medium.uuid)
        self._named: dict[str, list[Machine]] = {}
        for machine in self.machines:
            self._named.setdefault(machine.name, []).append(machine)

    def _bases(self, machine: Machine) -> list[Machine]:
        """The machine that a linked clone stands on; each of that name, should there be several."""
        return self._named.get(machine.linked_to["machine"], []) if machine.linked_to else []

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `labkit snapshots --json` and recordings."""
        return {
            "machines": [asdict(machine) for machine in self.machines],
            "media": [asdict(medium) for medium in self.media],
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Graph:
        """What :meth:`to_json` gave. Raises :class:`LabError` for anything else."""
        try:
            machines = [
                Machine(**{**machine, "snapshots": [Snapshot(**s) for s in machine["snapshots"]]})
                for machine in data["machines"]
            ]
            return cls(machines, [Medium(**medium) for medium in data["media"]], data["notes"])
        except (KeyError, TypeError, AttributeError) as error:
            raise LabError(
                f"This is no record of machines ({error!r:.60}); record the lesson again."
            ) from None

    def machine(self, name: str) -> Machine:
        """A machine by name or UUID. Raises :class:`LabError` if there is none, or several."""
        found = [machine for machine in self.machines if name in (machine.name, machine.uuid)]
        if len(found) > 1:
            raise LabError(
                f"{len(found)} machines are called {name!r:.60}: use the UUID of `VBoxManage list vms`."
            )
        if not found:
            raise LabError(
                f"There is no machine {name!r:.60} here, only: {_listed(m.name for m in self.machines)}."
            )
        return found[0]

    def snapshot(self, machine: Machine, name: str) -> Snapshot:
        """A snapshot by name (the first, as VirtualBox takes it) or UUID. Raises :class:`LabError` if there is none."""
        for snapshot in machine.snapshots:
            if name in (snapshot.name, snapshot.uuid):
                return snapshot
        names = _listed(s.name for s in machine.snapshots)
        raise LabError(f"{_listed([machine.name])} has no snapshot {name!r:.60}; it has: {names}.")

    def disks(self, machine: str) -> list[Medium]:
        """A machine's first disk and all it stands on, downwards. Raises :class:`LabError` if there is none."""
        found = self._of(self._up(next(iter(self.machine(machine).media), None)))
        if not found:
            raise LabError(
                f"{_listed([machine])} has no disk: attach one with `VBoxManage storageattach`."
            )
        return found

    def only(self, *names: str) -> Graph:
        """These machines and those they are linked to, with the media they use and all below those."""
        todo, wanted, used = [self.machine(name) for name in names], set[int](), set[str]()
        while todo:
            machine = todo.pop()
            todo += [other for other in self._bases(machine) if id(other) not in wanted]
            wanted.add(id(machine))
            for uuid in chain.from_iterable(machine.attached().values()):
                used.update(
                    takewhile(lambda below: below not in used, self._up(uuid))
                )  # what is in it brought its own
        found = Graph(
            [machine for machine in self.machines if id(machine) in wanted],
            [medium for medium in self.media if medium.uuid in used],
            self.notes,
        )
        found.numbers = self.numbers
        return found

    def _of(self, uuids: Iterable[str]) -> list[Medium]:
        return [self._media[uuid] for uuid in uuids if uuid in self._media]

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
        of the two into the larger (of one size, the lower into the upper); even if that child is the disk of a linked
        clone, which then is broken. A differencing disk without a child goes; one on which two stand is refused.
        """
        owner = self.machine(machine)
        gone, done, names = self.snapshot(owner, snapshot), Preview(), self.labels()
        kids = [other.name for other in owner.snapshots if other.parent == gone.uuid]
        no = [f"{_listed([owner.name])} is inaccessible"] * (owner.state == "inaccessible")
        if len(kids) + gone.current > 1:
            no.append(f"{_listed(kids)}{' and the current state' * gone.current} stand on it")
        mine = {uuid for media in owner.attached().values() for uuid in media}
        for medium in self._of(gone.media):
            above = self._of(self._kids.get(medium.uuid, []))
            if len(above) > 1:
                no.append(
                    f"{len(above)} disks stand on {names[medium.uuid]} ({_users(above)}): it cannot be merged "
                    "into more than one"
                )
            elif above:
                foreign = bool(above[0].used_by) and above[0].uuid not in mine
                down = not medium.parent or (medium.size_on_disk or 0) > (
                    above[0].size_on_disk or 0
                )
                source, target = (above[0], medium) if down else (medium, above[0])
                no += self._lacking(
                    [*self._up(target.uuid), source.uuid, *self._kids.get(source.uuid, [])]
                )
                no += [f"{_users(above)} stands on {names[medium.uuid]}, a base disk"] * (
                    foreign and not medium.parent
                )
                if foreign and down:
                    done.lost.append(
                        f"the disk of {_users(above)}, a clone that VirtualBox does not protect"
                    )
                done.merges.append((source.uuid, target.uuid, source.size_on_disk or 0))
                done.removed.append(source.uuid)
            elif medium.parent:
                no += self._lacking(self._up(medium.parent))
                done.removed.append(medium.uuid)
                done.lost.append(
                    f"what is only in {names[medium.uuid]} ({human(medium.size_on_disk or 0)})"
                )
            else:
                done.keeps.append(f"{names[medium.uuid]} stays, for it is a base disk")
        if no:
            return _refusal(no[0])
        done.keeps.append("what the guest reads now stays as it is")
        done.lines = [
            *(
                f"{names[a]} is merged into {names[b]}, {human(size)}, and its file goes."
                for a, b, size in done.merges
            ),
            *(f"Lost for ever: {what}." for what in done.lost),
            *(f"{what[:1].upper()}{what[1:]}." for what in done.keeps),
            f"Nobody can go back to {gone.name!r:.60} any more.",
        ]
        return done

    def restoring(self, machine: str, snapshot: str) -> Preview:
        """What `VBoxManage snapshot MACHINE restore SNAPSHOT` would throw away. Raises :class:`LabError`."""
        owner = self.machine(machine)
        back, done, names = self.snapshot(owner, snapshot), Preview(), self.labels()
        if owner.state not in ("poweroff", "saved", "aborted", "aborted-saved"):
            return _refusal(
                f"{_listed([owner.name])} is {owner.state}, and only a machine that is off goes back"
            )
        if lacking := self._lacking(below for uuid in back.media for below in self._up(uuid)):
            return _refusal(lacking[0])
        changes = [medium for medium in self._of(owner.media) if medium.parent]
        orphans = [medium for medium in changes if self._lacking(self._up(medium.parent))]
        changes = [medium for medium in changes if medium not in orphans]
        done.removed = [medium.uuid for medium in changes]
        done.lost = [
            f"what was written since into {names[medium.uuid]} ({human(medium.size_on_disk or 0)})"
            for medium in changes
        ]
        if owner.state.endswith("saved"):
            done.lost.append("the memory that was saved with the current state")
        done.keeps = [
            f"{len(owner.snapshots)} snapshot{'s' * (len(owner.snapshots) != 1)} and their disks stay"
        ]
        done.keeps += [
            f"{names[medium.uuid]} stays, attached to nothing: a file that it needs is missing"
            for medium in orphans
        ]
        done.lines = [
            *(f"Lost for ever: {what}." for what in done.lost),
            *(f"{what}." for what in done.keeps),
        ]
        if any(medium.type not in ("writethrough", "shareable") for medium in self._of(back.media)):
            done.lines.append(
                f"A new, empty differencing disk on top of {back.name!r:.60} becomes the current state."
            )
        return done

    def _lacking(self, uuids: Iterable[str]) -> list[str]:
        """Why VirtualBox, which opens all of these, would not or would stop half way."""
        return [
            f"the file of {self.labels()[medium.uuid]} is missing: put it back first"
            for medium in self._of(uuids)
            if medium.size_on_disk is None
        ]

    # -- the picture ----------------------------------------------------------------------------

    def labels(self) -> dict[str, str]:
        """What each medium is called: a base by its file, a differencing disk by a number beside the real UUID."""
        found = {
            medium.uuid: clean(re.split(r"[/\\]", medium.location)[-1]) for medium in self.media
        }
        count = Counter(found[medium.uuid] for medium in self.media if not medium.parent)
        for medium in self.media:
            if medium.parent:
                self.numbers.setdefault(medium.uuid, len(self.numbers) + 1)
                found[medium.uuid] = f"diff {self.numbers[medium.uuid]} {{{medium.uuid[:8]}}}"
            elif count[found[medium.uuid]] > 1:  # in folders of their own
                found[medium.uuid] += f" {{{medium.uuid[:8]}}}"
        return found

    def tree(self, before: Graph | None = None) -> Tree:
        """The picture. Since ``before``, what is new is marked and what is gone is still shown."""
        old = (before or self)._nodes()
        self.numbers = (
            before.numbers if before else self.numbers
        )  # or two disks could share a number
        new = self._nodes()
        gone = [replace(node, mark="gone") for key, node in old.items() if key not in new]
        marked = [
            node if key in old or node.mark else replace(node, mark="new")
            for key, node in new.items()
        ]
        links = [
            (machine.uuid, f"{other.uuid} {machine.linked_to['uuid']}", "linked to")
            for machine in self.machines
            if machine.linked_to
            for other in self._bases(machine)
        ]
        return Tree([*marked, *gone], links=[link for link in links if link[1] in new])

    def _nodes(self) -> dict[str, Node]:
        nodes, names = [], self.labels()
        for machine in self.machines:
            nodes.append(
                Node(
                    machine.uuid,
                    machine.name,
                    None,
                    "" if machine.state == "poweroff" else machine.state,
                    "machine",
                )
            )
            at = machine.uuid
            for snapshot in machine.snapshots:
                key = f"{machine.uuid} {snapshot.uuid}"  # a full copy of a machine keeps the UUIDs of its snapshots
                parent = f"{machine.uuid} {snapshot.parent}" if snapshot.parent else machine.uuid
                nodes.append(
                    Node(key, snapshot.name, parent, "with memory" * snapshot.online, "snapshot")
                )
                at = key if snapshot.current else at
            nodes.append(
                Node(
                    f"{machine.uuid} now",
                    f"current state{' (changed)' * machine.changed}",
                    at,
                    "",
                    "state",
                    mark="current",
                )
            )
        nodes += [
            Node(
                f"disk {medium.uuid}",
                names[medium.uuid],
                medium.parent and f"disk {medium.parent}",
                "missing" if medium.size_on_disk is None else human(medium.size_on_disk),
                "disk",
                tuple(medium.used_by),
            )
            for medium in self.media
        ]
        return {node.key: node for node in nodes}

    def __str__(self) -> str:
        return str(self.tree())

    __repr__ = __str__


def _listed(names: Iterable[str]) -> str:
    """Names in one line, whatever is in them."""
    return shorten(", ".join(map(clean, names)), 300) or "none"


def _users(media: Sequence[Medium]) -> str:
    """Whose disks these are."""
    return _listed(
        dict.fromkeys(user for medium in media for user in medium.used_by or [medium.location])
    )


def _refusal(why: str) -> Preview:
    return Preview(refused=why, lines=[f"VirtualBox would refuse: {why}."])


# -- the first witness: settings ----------------------------------------------------------------


def _settings(path: Path) -> Element:
    """The root of a settings file. Raises :class:`LabError` in one line for whatever is wrong with it."""
    from defusedxml import ElementTree

    name = _listed([path.name])
    try:
        if path.stat().st_size > SETTINGS or not path.is_file():  # /dev/zero has no end
            raise LabError(
                f"{name} is larger than settings can be ({SETTINGS >> 20} MiB), or no file: not read."
            )
        root: Element = ElementTree.parse(path, forbid_dtd=True).getroot()
    except OSError as error:
        raise LabError(
            f"{name} cannot be read ({error.strerror}): was it moved or deleted?"
        ) from None
    except (ElementTree.ParseError, ValueError, LookupError):  # defusedxml's own are ValueErrors
        raise LabError(
            f"{name} is damaged, or no settings of VirtualBox: restore it from {name}-prev."
        ) from None
    if root.tag != f"{_XML}VirtualBox":
        raise LabError(f"{name} is XML, but no settings of VirtualBox: not read.")
    return root


def _uuid(element: Element, name: str = "uuid") -> str:
    found = (element.get(name) or "").strip("{}").lower()
    return found if _UUID.fullmatch(found) else ""


def _media(root: Element | None, folder: Path) -> Iterator[Medium]:
    """The disks of a media registry, parents before children, however deep."""
    disks = [] if root is None else root.findall(f"{_XML}HardDisks/{_XML}HardDisk")
    todo: list[tuple[Element, str | None]] = [(disk, None) for disk in reversed(disks)]
    while todo:
        disk, parent = todo.pop()
        where = folder / (disk.get("location") or "")
        try:
            size = where.stat().st_size
        except (OSError, ValueError):
            size = None
        medium = Medium(
            _uuid(disk),
            parent,
            disk.get("format") or "",
            (disk.get("type") or "normal").lower(),
            str(where),
            None,
            size,
        )
        yield medium
        todo += [(kid, medium.uuid or None) for kid in reversed(disk.findall(f"{_XML}HardDisk"))]


def _attached(state: Element) -> list[str]:
    """Disks of a machine's or snapshot's own state, in the order of controllers and ports."""
    hardware = state.find(f"{_XML}Hardware")
    found = (
        []
        if hardware is None
        else hardware.findall(f"{_XML}StorageControllers/*/{_XML}AttachedDevice")
    )
    found += state.findall(
        f"{_XML}StorageControllers/*/{_XML}AttachedDevice"
    )  # before VirtualBox 5
    images = [device.find(f"{_XML}Image") for device in found if device.get("type") == "HardDisk"]
    return [_uuid(image) for image in images if image is not None]


def _machine(element: Element, path: Path, notes: list[str]) -> Machine:
    found = Machine(element.get("name") or "", _uuid(element), str(path))
    found.changed = (
        element.get("currentStateModified") != "false"
        and element.get("currentSnapshot") is not None
    )
    found.state = (
        "aborted"
        if element.get("aborted") == "true"
        else "saved"
        if element.get("stateFile")
        else "poweroff"
    )
    found.media = _attached(element)
    current = _uuid(element, "currentSnapshot")
    todo: list[tuple[Element, str | None]] = [
        (kid, None) for kid in reversed(element.findall(f"{_XML}Snapshot"))
    ]
    seen = set[str]()
    while todo:
        state, parent = todo.pop()
        if _uuid(state) in seen:
            notes.append(
                f"The UUID of a snapshot of {_listed([found.name])} is given twice: that one is left out."
            )
            continue
        seen.add(_uuid(state))
        text = state.findtext(f"{_XML}Description") or ""
        snapshot = Snapshot(
            state.get("name") or "",
            _uuid(state),
            parent,
            state.get("timeStamp") or "",
            _uuid(state) == current,
            text,
            bool(state.get("stateFile")),
            _attached(state),
        )
        found.snapshots.append(snapshot)
        todo += [
            (kid, snapshot.uuid)
            for kid in reversed(state.findall(f"{_XML}Snapshots/{_XML}Snapshot"))
        ]
    return found


def read(home: Path, ask: Callable[[list[str]], str] | None = None, thorough: bool = True) -> Graph:
    """All of a VirtualBox home: its settings, and what VBoxManage says if ``ask`` runs it (``thorough``: of each
    machine). Raises :class:`LabError` if the registry itself cannot be read; what is wrong with a machine is noted."""
    if not (home / "VirtualBox.xml").exists():
        return Graph([], [], [])
    notes, machines = list[str](), list[Machine]()
    registry = _settings(home / "VirtualBox.xml").find(f"{_XML}Global")
    entries = (
        [] if registry is None else registry.findall(f"{_XML}MachineRegistry/{_XML}MachineEntry")
    )
    media = list(_media(None if registry is None else registry.find(f"{_XML}MediaRegistry"), home))
    for entry in entries:
        path, own = home / (entry.get("src") or ""), None
        try:
            element = _settings(path).find(f"{_XML}Machine")
            if element is None:
                raise LabError(
                    f"{_listed([path.name])} holds no machine, or an encrypted one: not read."
                )
            found, own = _machine(element, path, notes), element.find(f"{_XML}MediaRegistry")
        except LabError as error:
            found = Machine(path.stem, _uuid(entry), str(path), "inaccessible")
            notes.append(str(error))
        if any(found.uuid == other.uuid for other in machines):
            notes.append(
                f"The UUID of {_listed([found.name])} is given twice: that one is left out."
            )
            continue
        machines.append(found)
        media += _media(own, path.parent)
    graph = _joined(machines, media, notes)
    if ask:
        _hear(graph, ask, thorough)
    else:
        _measure(graph)
    return graph


def _joined(machines: list[Machine], media: list[Medium], notes: list[str]) -> Graph:
    """What hangs from what, over the borders of settings files."""
    known: dict[str, Medium] = {}
    for medium in media:
        if known.setdefault(medium.uuid, medium) is not medium:
            notes.append(
                f"Two disks have the UUID {medium.uuid[:60]}; {clean(medium.location)[-60:]} is left out."
            )
    for machine in machines:
        for name, attached in machine.attached().items():
            for uuid in attached:
                if uuid in known:
                    known[uuid].used_by.append(name)
                else:
                    notes.append(f"{_listed([name])} uses a disk that is not in the registry.")
    graph = Graph(machines, list(known.values()), notes)
    holders = {
        uuid: (machine, snapshot)
        for machine in reversed(machines)
        for snapshot in reversed(machine.snapshots)
        for uuid in snapshot.media
    }
    for machine in machines:
        below = (
            holders[uuid]
            for medium in machine.media
            for uuid in graph._up(medium)
            if uuid in holders
        )
        for other, snapshot in below:
            if other is not machine and not machine.linked_to:
                machine.linked_to = {
                    "machine": other.name,
                    "snapshot": snapshot.name,
                    "uuid": snapshot.uuid,
                }
    graph.notes += [
        f"The file of {name} is missing: was it moved or deleted?"
        for uuid, name in graph.labels().items()
        if known[uuid].size_on_disk is None
    ]
    return graph


def _measure(graph: Graph) -> None:
    """Capacities from the disks' own headers; a differencing disk has that of its base."""
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


def _hear(graph: Graph, ask: Callable[[list[str]], str], thorough: bool) -> None:
    """Capacities, states, and whether VirtualBox says the same of disks and current snapshots."""
    names = graph.labels()
    said = {disk.get("UUID", ""): disk for disk in parse_hdds(ask(["list", "-l", "hdds"]))}
    for medium in graph.media:
        told = said.get(medium.uuid, {})
        if size := re.match(r"(\d+) MBytes", told.get("Capacity", "")):
            medium.capacity = int(size[1]) << 20
        if (parent := told.get("Parent UUID")) not in (None, medium.parent or "base"):
            graph.notes.append(
                f"VBoxManage says that {names[medium.uuid]} stands on {parent:.36}, its "
                "settings say otherwise; the settings are believed."
            )
    running = re.findall(r"\{([0-9a-f-]{36})\}$", ask(["list", "runningvms"]), re.M)
    for machine in graph.machines:
        machine.state = "running" if machine.uuid in running else machine.state
        if not thorough or machine.state == "inaccessible":
            continue
        try:
            text = ask(["showvminfo", machine.uuid, "--machinereadable"]).replace("\r\n", "\n")
        except Interrupted:
            raise
        except LabError as error:  # this one cannot be used, and the others can
            machine.state = "inaccessible"
            graph.notes.append(f"{_listed([machine.name])} cannot be used. {error}")
            continue
        about = parse_machinereadable(
            text.replace(f'name="{machine.name}"', "", 1)
        )  # which may forge the rest
        machine.state = about.get("VMState", machine.state)
        if about.get("CurrentSnapshotUUID", "") not in (
            [s.uuid for s in machine.snapshots if s.current] or [""]
        ):
            graph.notes.append(
                f"VBoxManage and the settings of {_listed([machine.name])} name different current "
                "snapshots; the settings are believed."
            )
