"""QED and VHDX, as `qemu-img info` describes them: the course does not take them apart.

Source: qemu-img(1), `info` with `--output=json`.
"""

from __future__ import annotations

import json
from typing import Any

from labkit.commands import run
from labkit.disks.disk import Disk
from labkit.disks.diskfile import DiskField
from labkit.disks.values import one_line
from labkit.errors import LabError, MissingProgram
from labkit.messages import N_, _

QEMU_PATIENCE = 20  # seconds
_MISSING = N_(
    "{name}: is a {format}, which only qemu-img reads, and that is not installed here; get it "
    "from https://www.qemu.org/download/, `sudo apt install qemu-utils` on Debian and Ubuntu, "
    "`brew install qemu` on macOS."
)
_REFUSED = N_("{name}: qemu-img cannot read it as {format}: {reason}; copy or make the disk again.")
_UNKNOWN = N_("`qemu-img info` does not tell where in this file the guest's blocks are.")
_NO_SENSE = N_("{name}: what qemu-img says of it makes no sense; copy or make the disk again.")


class _QemuDisk(Disk):
    """A disk of which only its `signature` is known here."""

    signature: DiskField
    gap = "other", N_("header, map and data")

    def load(self) -> None:
        file = self.file
        # QAPI, BlockdevOptions. A plain name would leave it to the file which format it has, and
        # open its backing file, whatever that is.
        source = {
            "driver": self.format.lower(),
            "file": {"driver": "file", "filename": str(self.path)},
            "backing": None,
        }
        argv = ["qemu-img", "info", "-U", "--output=json", "json:" + json.dumps(source)]
        try:
            result = run(argv, timeout=QEMU_PATIENCE)
        except MissingProgram:
            raise MissingProgram(_MISSING, name=file.name, format=self.format) from None
        # Could not open 'json:…': the reason
        reason = one_line(result.err.partition("\n")[0].rpartition("': ")[2])
        file.check(result.code == 0, _REFUSED, format=self.format, reason=reason)
        try:
            info: dict[str, Any] = json.loads(result.out)  # an ImageInfo (QAPI)
        except ValueError:
            raise LabError(_NO_SENSE, name=file.name) from None
        self.fields = [self.signature]
        self.block_size = int(info.get("cluster-size", 0))
        self.add_flat(int(info["virtual-size"]), "unknown", None)
        self.oddities.append(_(_UNKNOWN))
        if "backing-filename" in info:
            self.follow(info["backing-filename"])
            self.parent_raw = info.get("backing-filename-format") == "raw"


class Qed(_QemuDisk):
    """QEMU's short-lived second format."""

    magic = b"QED\0"
    format = "QED"
    variant = N_("dynamic")
    kind = N_("clusters")
    signature = DiskField(
        0, 4, N_("signature"), "0x51454400", N_("the letters QED and a zero byte")
    )


class Vhdx(_QemuDisk):
    """Hyper-V's since 2012. Whether it is fixed QEMU does not tell."""

    magic = b"vhdxfile"
    format = "VHDX"
    signature = DiskField(0, 8, N_("file signature"), "vhdxfile", N_("the word vhdxfile"))
