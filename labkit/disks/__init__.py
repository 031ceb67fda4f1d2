"""Virtual disk files taken apart: headers field by field, the map of the guest's blocks, its bytes.

One reader for each format, each from the format's own specification; QED and VHDX are only
described, by qemu-img. Nothing is ever written.
"""

from __future__ import annotations

from labkit.disks.blockmap import Extent, Region
from labkit.disks.disk import Disk, Elsewhere
from labkit.disks.diskfile import DiskField
from labkit.disks.formats import open_disk
from labkit.disks.values import human

__all__ = ["Disk", "DiskField", "Elsewhere", "Extent", "Region", "human", "open_disk"]
