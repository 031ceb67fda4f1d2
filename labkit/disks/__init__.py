"""Virtual disk files taken apart: headers field by field, the map of the guest's blocks, its bytes.

One reader for each format, each from the format's own specification; of QED and VHDX qemu-img
tells. Nothing is ever written.
"""

from __future__ import annotations

from labkit.disks.blockmap import Extent
from labkit.disks.disk import Disk
from labkit.disks.diskfile import Elsewhere
from labkit.disks.formats import open_disk
from labkit.disks.header import DiskField
from labkit.disks.regions import Region
from labkit.disks.values import human

__all__ = ["Disk", "DiskField", "Elsewhere", "Extent", "Region", "human", "open_disk"]
