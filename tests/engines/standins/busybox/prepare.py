"""Write rootfs.tar: Debian's static busybox, a hard link for each of its names, a few files."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

BUSYBOX = Path(
    os.environ["LABKIT_BUSYBOX"]
)  # the program, unpacked from the package by standins.py
EPOCH = int(os.environ["SOURCE_DATE_EPOCH"])
FOLDERS = {
    "bin": 0o755,
    "dev": 0o755,
    "etc": 0o755,
    "home": 0o755,
    "root": 0o700,
    "tmp": 0o1777,
    "usr": 0o755,
    "usr/bin": 0o755,
    "usr/sbin": 0o755,
    "var": 0o755,
    "var/www": 0o755,
}
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n"
    "daemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
    "www-data:x:33:33:www-data:/var/www:/bin/false\n"
    "nobody:x:65534:65534:nobody:/home:/bin/false\n",
    "etc/group": "root:x:0:\ndaemon:x:1:\nwww-data:x:33:\nnogroup:x:65534:\n",
    "etc/shadow": "root:*:::::::\ndaemon:*:::::::\nwww-data:*:::::::\nnobody:*:::::::\n",
}


def member(
    name: str, mode: int, kind: bytes = tarfile.REGTYPE, target: str = ""
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.mode, info.type, info.linkname, info.mtime = mode, kind, target, EPOCH
    return info


def add(tar: tarfile.TarFile, name: str, mode: int, data: bytes) -> None:
    info = member(name, mode)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


if __name__ == "__main__":
    listed = subprocess.run(
        [BUSYBOX, "--list"], check=True, capture_output=True, text=True
    ).stdout.split()
    first, *others = sorted({"busybox", *listed})
    with tarfile.open("rootfs.tar", "w") as archive:
        for folder, bits in FOLDERS.items():
            archive.addfile(member(folder, bits, tarfile.DIRTYPE))
        add(archive, f"bin/{first}", 0o755, BUSYBOX.read_bytes())
        for applet in others:
            archive.addfile(member(f"bin/{applet}", 0o755, tarfile.LNKTYPE, f"bin/{first}"))
        for file, text in FILES.items():
            add(archive, file, 0o600 if file == "etc/shadow" else 0o644, text.encode())
