"""What VirtualBox has written down: ``VirtualBox.xml``, and each machine's ``.vbox``.

Source: VirtualBox-settings.xsd; VirtualBox User Guide, "Where Oracle VirtualBox Stores its Files".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

from labkit.errors import LabError
from labkit.messages import _
from labkit.virtualbox.snapshots import Machine, Medium, Snapshot, listed

LIMIT = 64  # MiB: more than settings can sensibly have (1,000 snapshots take 3 MB)
_XML = {"": "http://www.virtualbox.org/"}  # the namespace of all their elements
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Settings(NamedTuple):
    """All settings of a home: ``media`` parents before children, ``notes`` on what is wrong."""

    machines: list[Machine]
    media: list[Medium]
    notes: list[str]


def read_settings(home: Path) -> Settings:
    """What a VirtualBox home has written down.

    A machine that cannot be read is "inaccessible". Raises :class:`LabError` if the registry itself
    cannot be read.
    """
    root = _root(home / "VirtualBox.xml")
    machines: dict[str, Machine] = {}
    media = _media(root.find("Global/MediaRegistry", _XML), home)
    notes: list[str] = []
    for entry in root.findall("Global/MachineRegistry/MachineEntry", _XML):
        path = home / (entry.get("src") or "")
        try:
            machine, own_media = _machine(path, notes)
        except LabError as error:
            machine = Machine(path.stem, _uuid(entry), str(path), "inaccessible")
            own_media = []
            notes.append(str(error))
        if machine.uuid in machines:
            name = listed([machine.name])
            notes.append(
                _("The UUID of {machine} is given twice: that one is left out.", machine=name)
            )
            continue
        machines[machine.uuid] = machine
        media += own_media
    return Settings(list(machines.values()), media, notes)


def _machine(path: Path, notes: list[str]) -> tuple[Machine, list[Medium]]:
    """A machine and its own media. Raises :class:`LabError` if there is none to be read."""
    element = _root(path).find("Machine", _XML)
    if element is None:
        file = listed([path.name])
        raise LabError("{file} holds no machine, or an encrypted one: not read.", file=file)
    name = element.get("name") or ""
    current = element.get("currentSnapshot")
    machine = Machine(
        name,
        _uuid(element),
        str(path),
        _state(element),
        changed=current is not None and element.get("currentStateModified") != "false",
        snapshots=_snapshots(element, name, notes),
        media=_attached(element),
    )
    return machine, _media(element.find("MediaRegistry", _XML), path.parent)


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
        why = error.strerror
        raise LabError(
            "{file} cannot be read ({why}): was it moved or deleted?", file=file, why=why
        ) from None
    except (ElementTree.ParseError, ValueError, LookupError):  # defusedxml's own are ValueErrors
        raise LabError(
            "{file} is damaged, or no settings of VirtualBox: restore it from {file}-prev.",
            file=file,
        ) from None
    if root.tag != f"{{{_XML['']}}}VirtualBox":
        raise LabError("{file} is XML, but no settings of VirtualBox: not read.", file=file)
    return root


def _uuid(element: Element, attribute: str = "uuid") -> str:
    """A UUID as VBoxManage writes it; "" for what is none."""
    uuid = (element.get(attribute) or "").strip("{}").lower()
    return uuid if _UUID.fullmatch(uuid) else ""


def _state(machine: Element) -> str:
    """What a machine does when no VirtualBox runs."""
    if machine.get("aborted") == "true":
        return "aborted"
    return "saved" if machine.get("stateFile") else "poweroff"


def _attached(state: Element) -> list[str]:
    """UUIDs of the disks of a machine's or snapshot's own state, by controller and port."""
    devices = [
        *state.findall("Hardware/StorageControllers/*/AttachedDevice", _XML),
        *state.findall("StorageControllers/*/AttachedDevice", _XML),  # before VirtualBox 5
    ]
    images = [device.find("Image", _XML) for device in devices if device.get("type") == "HardDisk"]
    return [_uuid(image) for image in images if image is not None]


def _nested(outermost: list[Element], inner: str) -> Iterator[tuple[Element, str | None]]:
    """Elements within elements, however deep, each with the UUID of the one around it."""
    todo: list[tuple[Element, str | None]] = [(element, None) for element in reversed(outermost)]
    while todo:
        element, around = todo.pop()
        yield element, around
        uuid = _uuid(element) or None
        todo += [(child, uuid) for child in reversed(element.findall(inner, _XML))]


def _media(registry: Element | None, folder: Path) -> list[Medium]:
    """The disks of a media registry, parents before children."""
    if registry is None:
        return []
    media = []
    for disk, parent in _nested(registry.findall("HardDisks/HardDisk", _XML), "HardDisk"):
        path = folder / (disk.get("location") or "")
        try:
            size = path.stat().st_size
        except (OSError, ValueError):
            size = None
        kind = (disk.get("type") or "normal").lower()
        form = disk.get("format") or ""
        media.append(Medium(_uuid(disk), parent, form, kind, str(path), size_on_disk=size))
    return media


def _snapshots(machine: Element, name: str, notes: list[str]) -> list[Snapshot]:
    """The snapshots of the machine called so, parents before children."""
    current = _uuid(machine, "currentSnapshot")
    snapshots: dict[str, Snapshot] = {}
    for state, parent in _nested(machine.findall("Snapshot", _XML), "Snapshots/Snapshot"):
        uuid = _uuid(state)
        if uuid in snapshots:
            notes.append(
                _(
                    "The UUID of a snapshot of {machine} is given twice: that one is left out.",
                    machine=listed([name]),
                )
            )
            continue
        snapshots[uuid] = Snapshot(
            state.get("name") or "",
            uuid,
            parent,
            state.get("timeStamp") or "",
            current=uuid == current,
            description=state.findtext("Description", "", _XML),
            online=bool(state.get("stateFile")),
            media=_attached(state),
        )
    return list(snapshots.values())
