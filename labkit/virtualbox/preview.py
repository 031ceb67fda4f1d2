"""What deleting or restoring a snapshot would merge, remove and lose, before it is done.

Seen with VirtualBox 7.2, and tested against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from labkit.disks import human
from labkit.messages import _
from labkit.virtualbox.snapshots import Graph, Medium, listed

_OFF = ("poweroff", "saved", "aborted", "aborted-saved")  # states of a machine that is off
_WITHOUT_SNAPSHOTS = ("writethrough", "shareable")  # types of disk that no snapshot covers


class Merge(NamedTuple):
    """A disk whose ``size`` bytes go into another; both by UUID."""

    source: str
    target: str
    size: int


@dataclass(frozen=True)
class Preview:
    """What a command would do. ``lines`` say it all to a student, one sentence each."""

    lines: Sequence[str]
    refused: str = ""  # why VirtualBox would not do it
    merges: Sequence[Merge] = ()
    removed: Sequence[str] = ()  # UUIDs of disks whose files go
    lost: Sequence[str] = ()


def deleting(graph: Graph, machine: str, snapshot: str) -> Preview:
    """What `VBoxManage snapshot MACHINE delete SNAPSHOT` would do.

    Raises :class:`LabError` if there is no such machine or snapshot.
    """
    effect = _Effect(graph, machine, snapshot)
    return effect.preview(effect.delete)


def restoring(graph: Graph, machine: str, snapshot: str) -> Preview:
    """What `VBoxManage snapshot MACHINE restore SNAPSHOT` would do.

    Raises :class:`LabError` if there is no such machine or snapshot.
    """
    effect = _Effect(graph, machine, snapshot)
    return effect.preview(effect.restore)


class _Refused(Exception):
    """Why VirtualBox would not do it, in a sentence."""


class _Effect:
    """What a command does with a snapshot, put together disk by disk."""

    def __init__(self, graph: Graph, machine: str, snapshot: str) -> None:
        self.graph = graph
        self.owner = graph.machine(machine)
        self.snapshot = graph.snapshot(self.owner, snapshot)
        self.labels = graph.labels()
        self.merges: list[Merge] = []
        self.removed: list[str] = []
        # Sentences.
        self.merged: list[str] = []
        self.lost: list[str] = []
        self.kept: list[str] = []

    def preview(self, change: Callable[[], None]) -> Preview:
        """What there is to say after a change, or why there is none."""
        try:
            change()
        except _Refused as refused:
            return Preview([str(refused)], refused=str(refused))
        lines = [*self.merged, *self.lost, *self.kept]
        return Preview(lines, "", self.merges, self.removed, self.lost)

    def open(self, media: Iterable[Medium]) -> None:
        """VirtualBox opens all of these, and would not begin or would stop half way."""
        if missing := _missing(media):
            raise _Refused(
                _(
                    "VirtualBox would refuse: the file of {disk} is missing: put it back first.",
                    disk=self.labels[missing.uuid],
                )
            )

    # -- deleting -------------------------------------------------------------------------------

    def delete(self) -> None:
        """Nobody can go back any more, and disks are merged that were kept for that."""
        gone = self.snapshot
        if self.owner.state == "inaccessible":
            owner = listed([self.owner.name])
            raise _Refused(_("VirtualBox would refuse: {machine} is inaccessible.", machine=owner))
        above = [other.name for other in self.owner.snapshots if other.parent == gone.uuid]
        names = listed(above)
        if above and gone.current:
            raise _Refused(
                _(
                    "VirtualBox would refuse: {names} and the current state stand on it.",
                    names=names,
                )
            )
        if len(above) > 1:
            raise _Refused(_("VirtualBox would refuse: {names} stand on it.", names=names))
        for disk in self.graph.known(gone.media):
            self.release(disk)
        self.kept += [
            _("What the guest reads now stays as it is."),
            _("Nobody can go back to {name!r:.60} any more.", name=gone.name),
        ]

    def release(self, disk: Medium) -> None:
        """A disk is needed by no snapshot any more."""
        label = self.labels[disk.uuid]
        above = self.graph.children(disk)
        if len(above) > 1:
            raise _Refused(
                _(
                    "VirtualBox would refuse: {count} disks stand on {disk} ({users}): it cannot "
                    "be merged into more than one.",
                    count=len(above),
                    disk=label,
                    users=_users(above),
                )
            )
        if above:
            self.merge(disk, above[0])
        elif disk.parent:
            self.open(self.graph.chain(disk.parent))
            self.removed.append(disk.uuid)
            size = human(_size(disk))
            self.lost.append(
                _("Lost for ever: what is only in {disk} ({size}).", disk=label, size=size)
            )
        else:
            kept = _("{disk} stays, for it is a base disk.", disk=label)
            self.kept.append(kept[:1].upper() + kept[1:])  # as a sentence begins

    def merge(self, lower: Medium, upper: Medium) -> None:
        """Two disks become one.

        Into a base disk goes the upper one, else the smaller of the two into the larger (of one
        size, the lower into the upper); even if the upper one is the disk of a linked clone, which
        then is broken.
        """
        down = not lower.parent or _size(lower) > _size(upper)
        source, target = (upper, lower) if down else (lower, upper)
        self.open([*self.graph.chain(target.uuid), source, *self.graph.children(source)])
        own = any(upper.uuid in uuids for uuids in self.owner.attached().values())
        if upper.used_by and not own:
            self.merge_clone(lower, _users([upper]), down)
        self.merges.append(Merge(source.uuid, target.uuid, _size(source)))
        self.removed.append(source.uuid)
        self.merged.append(
            _(
                "{disk} is merged into {other}, {size}, and its file goes.",
                disk=self.labels[source.uuid],
                other=self.labels[target.uuid],
                size=human(_size(source)),
            )
        )

    def merge_clone(self, lower: Medium, clone: str, down: bool) -> None:
        """The upper disk is that of a linked clone."""
        if not lower.parent:
            raise _Refused(
                _(
                    "VirtualBox would refuse: {users} stands on {disk}, a base disk.",
                    users=clone,
                    disk=self.labels[lower.uuid],
                )
            )
        if down:
            self.lost.append(
                _(
                    "Lost for ever: the disk of {users}, a clone that VirtualBox does not protect.",
                    users=clone,
                )
            )

    # -- restoring ------------------------------------------------------------------------------

    def restore(self) -> None:
        """What was written since goes, and the machine writes into a new disk."""
        if self.owner.state not in _OFF:
            raise _Refused(
                _(
                    "VirtualBox would refuse: {machine} is {state}, and only a machine that is off "
                    "goes back.",
                    machine=listed([self.owner.name]),
                    state=self.owner.state,
                )
            )
        self.open(disk for uuid in self.snapshot.media for disk in self.graph.chain(uuid))
        self.kept.append(
            _.many(
                "{n} snapshot and their disks stay.",
                "{n} snapshots and their disks stay.",
                len(self.owner.snapshots),
            )
        )
        for disk in self.graph.known(self.owner.media):
            if disk.parent:
                self.drop(disk)
        if self.owner.state.endswith("saved"):
            self.lost.append(_("Lost for ever: the memory that was saved with the current state."))
        held = self.graph.known(self.snapshot.media)
        if any(disk.type not in _WITHOUT_SNAPSHOTS for disk in held):
            self.kept.append(
                _(
                    "A new, empty differencing disk on top of {name!r:.60} becomes the current "
                    "state.",
                    name=self.snapshot.name,
                )
            )

    def drop(self, disk: Medium) -> None:
        """A differencing disk of the current state goes, if all below it is there."""
        label = self.labels[disk.uuid]
        if _missing(self.graph.chain(disk.parent)):
            self.kept.append(
                _("{disk} stays, attached to nothing: a file that it needs is missing.", disk=label)
            )
            return
        size = human(_size(disk))
        self.removed.append(disk.uuid)
        self.lost.append(
            _("Lost for ever: what was written since into {disk} ({size}).", disk=label, size=size)
        )


def _size(medium: Medium) -> int:
    return medium.size_on_disk or 0


def _missing(media: Iterable[Medium]) -> Medium | None:
    """The first whose file is missing."""
    return next((medium for medium in media if medium.size_on_disk is None), None)


def _users(media: Iterable[Medium]) -> str:
    """Whose disks these are."""
    users = (user for medium in media for user in medium.used_by or [medium.location])
    return listed(dict.fromkeys(users))
