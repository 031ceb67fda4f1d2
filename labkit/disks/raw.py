"""RAW: the guest's bytes and nothing else. Source: none is needed, which is its merit."""
from __future__ import annotations

from labkit.disks import disk as d


class Raw(d.Disk):
    """Any file in which no other format is recognised. No header, so no fields; `block_size` is 0."""

    format = "RAW"

    def load(self, strip: d.Strip) -> None:
        self.variant, self.capacity = "flat", strip.size
        self.maps = [d.Known(d.Extent(0, strip.size, "data", 0))]
