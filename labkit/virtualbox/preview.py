"""What deleting or restoring a snapshot would merge, remove and lose, before it is done.

Seen with VirtualBox 7.2, and tested against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from labkit.disks import human
from labkit.errors import LabError
from labkit.messages import N_, _
from labkit.virtualbox.snapshots import Graph, Machine, Medium, Snapshot, listed

_WITHOUT_SNAPSHOTS = ("writethrough", "shareable")  # types of disk that no snapshot covers


@dataclass
class Preview:
    """What a command would do with a snapshot of ``owner``, put together disk by disk."""

    graph: Graph
    owner: Machine
    snapshot: Snapshot
    refused: str = ""  # why VirtualBox would not do it, and then nothing happens
    merges: dict[str, str] = field(default_factory=dict)  # a disk → the one it goes into: UUIDs
    removed: list[str] = field(default_factory=list)  # UUIDs of disks whose files go
    merged: list[str] = field(default_factory=list)  # sentences, as are those that follow
    lost: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        """All there is to say to a student, one sentence each."""
        return [self.refused] if self.refused else [*self.merged, *self.lost, *self.kept]

    def told(self, disk: Medium) -> dict[str, str]:
        """What sentences tell of a disk."""
        return {"disk": self.graph.labels()[disk.uuid], "size": human(_size(disk))}

    def needs(self, media: Iterable[Medium]) -> None:
        """Raise :class:`LabError` if a file is missing, for VirtualBox opens all of these."""
        for disk in media:
            if disk.size_on_disk is None:
                why = N_("the file of {disk} is missing: put it back first.")
                raise LabError(why, **self.told(disk))

    def delete(self) -> None:
        """Nobody can go back any more, and disks are merged that were kept for that."""
        gone = self.snapshot
        above = [other.name for other in self.owner.snapshots if other.parent == gone.uuid]
        names = listed(above)
        if above and gone.current:
            raise LabError("{names} and the current state stand on it.", names=names)
        if len(above) > 1:
            raise LabError("{names} stand on it.", names=names)
        for disk in self.graph.known(gone.media):
            self.release(disk)
        self.kept += [
            _("What the guest reads now stays as it is."),
            _("Nobody can go back to {name!r:.60} any more.", name=gone.name),
        ]

    def release(self, disk: Medium) -> None:
        """A disk is needed by no snapshot any more."""
        told = self.told(disk)
        above = self.graph.children(disk)
        if len(above) > 1:
            raise LabError(
                "{count} disks stand on {disk} ({users}): it cannot be merged into more than one.",
                count=len(above),
                users=_users(above),
                **told,
            )
        if above:
            self.merge(disk, above[0])
        elif disk.parent:
            self.needs(self.graph.chain(disk.parent))
            self.removed.append(disk.uuid)
            self.lost.append(_("Lost for ever: what is only in {disk} ({size}).", **told))
        else:
            kept = _("{disk} stays, for it is a base disk.", **told)
            self.kept.append(kept[:1].upper() + kept[1:])  # as a sentence begins

    def merge(self, lower: Medium, upper: Medium) -> None:
        """Two disks become one.

        Into a base disk goes the upper one, else the smaller of the two into the larger (of one
        size, the lower into the upper); even if the upper one is the disk of a linked clone, which
        then is broken.
        """
        down = not lower.parent or _size(lower) > _size(upper)
        source, target = (upper, lower) if down else (lower, upper)
        self.needs([*self.graph.chain(target.uuid), source, *self.graph.children(source)])
        own = any(upper.uuid in uuids for uuids in self.owner.attached().values())
        if upper.used_by and not own:  # it is that of a clone
            users = _users([upper])
            if not lower.parent:
                why = N_("{users} stands on {disk}, a base disk.")
                raise LabError(why, users=users, **self.told(lower))
            if down:
                lost = _(
                    "Lost for ever: the disk of {users}, a clone that VirtualBox does not protect.",
                    users=users,
                )
                self.lost.append(lost)
        self.merges[source.uuid] = target.uuid
        self.removed.append(source.uuid)
        other = self.told(target)["disk"]
        sentence = N_("{disk} is merged into {other}, {size}, and its file goes.")
        self.merged.append(_(sentence, other=other, **self.told(source)))

    def restore(self) -> None:
        """What was written since goes, and the machine writes into a new disk."""
        if self.owner.state == "running":
            raise LabError(
                "{machine} is {state}, and only a machine that is off goes back.",
                machine=listed([self.owner.name]),
                state=self.owner.state,
            )
        held = self.graph.known(self.snapshot.media)
        for disk in held:
            self.needs(self.graph.chain(disk.uuid))
        count = len(self.owner.snapshots)
        stay = _.many(
            "{n} snapshot and their disks stay.", "{n} snapshots and their disks stay.", count
        )
        self.kept.append(stay)
        for disk in self.graph.known(self.owner.media):
            if disk.parent:
                self.drop(disk)
        if self.owner.state == "saved":
            self.lost.append(_("Lost for ever: the memory that was saved with the current state."))
        if any(disk.type not in _WITHOUT_SNAPSHOTS for disk in held):
            new = _(
                "A new, empty differencing disk on top of {name!r:.60} becomes the current state.",
                name=self.snapshot.name,
            )
            self.kept.append(new)

    def drop(self, disk: Medium) -> None:
        """A differencing disk of the current state goes, if all below it is there."""
        told = self.told(disk)
        if any(below.size_on_disk is None for below in self.graph.chain(disk.parent)):
            sentence = N_("{disk} stays, attached to nothing: a file that it needs is missing.")
            self.kept.append(_(sentence, **told))
            return
        self.removed.append(disk.uuid)
        self.lost.append(_("Lost for ever: what was written since into {disk} ({size}).", **told))


def _size(medium: Medium) -> int:
    return medium.size_on_disk or 0


def _users(media: Iterable[Medium]) -> str:
    """Whose disks these are."""
    users = (user for medium in media for user in medium.used_by or [medium.location])
    return listed(dict.fromkeys(users))


def _preview(change: Callable[[Preview], None], graph: Graph, machine: str, name: str) -> Preview:
    """What a change would do. Raises :class:`LabError` if there is no such machine or snapshot."""
    owner = graph.machine(machine)
    preview = Preview(graph, owner, graph.snapshot(owner, name))
    try:
        change(preview)
    except LabError as why:
        refused = _("VirtualBox would refuse: {why}", why=why)
        return Preview(graph, owner, preview.snapshot, refused)
    return preview


deleting = partial(_preview, Preview.delete)  # `VBoxManage snapshot MACHINE delete SNAPSHOT`
restoring = partial(_preview, Preview.restore)  # `VBoxManage snapshot MACHINE restore SNAPSHOT`
