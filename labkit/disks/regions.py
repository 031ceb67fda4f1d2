"""What each part of a disk's file is for: its headers, its map, the guest's data, or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from labkit.disks.blockmap import AllocationMap, blocks_of
from labkit.messages import N_, _


class Region(NamedTuple):
    """A stretch of the file, in bytes; ``kind``: "header", "map", "data", "other" or "free".

    The label is English, as a recording keeps it; it is translated where it is shown.
    """

    offset: int
    size: int
    kind: str
    label: str


class FileLayout(NamedTuple):
    """A file from its first byte to its last, without gaps.

    ``twice``: how many pieces lie on others; ``twice_at``: the byte where the first of them does.
    """

    regions: list[Region]
    twice: int = 0
    twice_at: int = 0


class Gap(NamedTuple):
    """What is claimed by nobody: kind and label of its regions."""

    kind: str = "free"
    label: str = N_("not used")


def claims_of(maps: Iterable[AllocationMap], capacity: int) -> Iterator[Region]:
    """What the maps put into the file, in the guest's order."""
    for source, extent in blocks_of(maps, 0, capacity):
        if extent.at is None:
            continue
        if source.bitmap:
            at = extent.at - source.bitmap
            yield Region(at, source.bitmap, "map", N_("bitmap of sectors"))
        size = extent.length
        if extent.kind == "compressed":
            begin, packed = source.packed(extent.start)
            size = begin + packed - extent.at
        yield Region(extent.at, size, "data", N_("guest data"))


def lay_out(claims: Iterable[Region], file_size: int, gap: Gap, share: int) -> FileLayout:
    """The file by what its parts are claimed for; of what two claim, the first one has it.

    ``share``: bytes that neighbours may have in common without being used twice.
    """
    regions: list[Region] = []
    twice = 0
    twice_at = 0
    done = 0  # bytes of the file, so far
    begin = -1  # of the claim before
    for claim in sorted(claims, key=lambda claim: (claim.offset, claim.size)):
        if claim.size and (claim.offset < done - share or claim.offset == begin):
            twice += 1
            twice_at = twice_at or claim.offset
        begin = claim.offset
        end = min(begin + claim.size, file_size)
        start = max(begin, done)
        if start >= end:
            continue
        if start > done:
            regions.append(Region(done, start - done, gap.kind, gap.label))
        _append(regions, Region(start, end - start, claim.kind, claim.label))
        done = end
    if done < file_size:
        regions.append(Region(done, file_size - done, gap.kind, gap.label))
    return FileLayout(regions, twice, twice_at)


def first_regions(regions: list[Region], most: int) -> list[Region]:
    """At most so many regions; the last one then stands for all that follow."""
    if len(regions) <= most:
        return regions
    rest = regions[most - 1 :]
    size = sum(region.size for region in rest)
    others = Region(rest[0].offset, size, "other", _("{n} more pieces", n=len(rest)))
    return [*regions[: most - 1], others]


def _append(regions: list[Region], region: Region) -> None:
    """Add a region, joined with the last one if that is of the same kind and label."""
    if regions and (regions[-1].kind, regions[-1].label) == (region.kind, region.label):
        last = regions.pop()
        region = last._replace(size=region.offset + region.size - last.offset)
    regions.append(region)
