"""Reading a disk through the chain of its parents: what one of them lacks is asked of the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from labkit.disks.blockmap import AllocationMap, extents_of, merged
from labkit.disks.diskfile import DiskFile
from labkit.disks.values import human
from labkit.errors import LabError
from labkit.messages import N_

# Disks in a chain, each an open file; as in libvirt (VIR_STORAGE_MAX_CHAIN_DEPTH).
DEEPEST = 200
LONGEST_READ = 1 << 30  # bytes of one read


class Chained(Protocol):
    """What a disk in a chain is asked for."""

    capacity: int
    parent: str  # "" for none

    @property
    def maps(self) -> Sequence[AllocationMap]: ...

    def wrong(self, message: str, **values: object) -> LabError: ...

    def readable_file(self) -> DiskFile:
        """Its file. LabError if no data can be read from it."""

    def above(self) -> Chained:
        """Its parent. LabError if that cannot be opened."""


class Hole(NamedTuple):
    """A stretch of the bytes asked for that is still to be found."""

    start: int
    stop: int


def read_chain(disk: Chained, offset: int, length: int) -> bytes:
    """The guest's bytes, through the parents as far as they are needed. LabError as `Disk.read`."""
    if min(offset, length) < 0 or offset + length > disk.capacity or length > LONGEST_READ:
        raise disk.wrong(
            N_(
                "{name}: cannot read {length} bytes at {offset}: it has {capacity} bytes; "
                "ask for bytes it has, and for at most {most} at once."
            ),
            length=length,
            offset=offset,
            capacity=disk.capacity,
            most=human(LONGEST_READ),
        )
    data = bytearray(length)
    holes = [Hole(0, length)]
    seen: set[tuple[int, int]] = set()
    link = disk
    while holes:
        file = link.readable_file()
        if file.identity in seen:
            raise disk.wrong(
                N_("{name}: its parents go round in a circle; copy or make the chain again.")
            )
        if len(seen) == DEEPEST:
            raise disk.wrong(
                N_("{name}: its parents are more than {most}; copy or make the chain again."),
                most=DEEPEST,
            )
        seen.add(file.identity)
        left: list[Hole] = []
        for hole in holes:
            left += _fill(link, file, memoryview(data), offset, hole)
        holes = left
        if holes:  # beyond the end of a smaller parent are zeros
            link = link.above()
    return bytes(data)


def _fill(
    disk: Chained, file: DiskFile, view: memoryview, offset: int, hole: Hole
) -> Iterator[Hole]:
    """Fill a hole with what this disk has, and yield what its parent must fill.

    The view is of the guest's bytes from ``offset`` on.
    """
    extents = extents_of(disk.maps, offset + hole.start, offset + hole.stop)
    for source, extent in merged(extents):
        low = extent.start - offset
        high = low + extent.length
        if extent.kind == "parent" and disk.parent:
            yield Hole(low, high)
        elif extent.kind == "data" and extent.at is not None:
            file.read_into(extent.at, view[low:high])
        elif extent.kind == "compressed":
            view[low:high] = source.unpacked(extent)
        elif extent.kind == "unknown":
            raise disk.wrong(
                N_(
                    "{name}: qemu-img does not tell where in the file its data is; "
                    "`qemu-img convert -O qcow2` makes a disk of it that can be read."
                )
            )
