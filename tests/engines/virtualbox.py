"""VirtualBox where apt has none: Debian sid's, whole in a folder, for ordinary paths.

The wrapper gives each call a mount namespace of its own, in which the folder's /usr lies over the
machine's and all else is as outside: every path means the same, and no mount is left on the
machine. So nothing of the user's is ever inside the folder, and removing it removes only
VirtualBox. Creating machines and disks needs no more; starting a machine needs a kernel driver,
which the folder has not.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import standins
from dockerd import EngineError, mounts

WRAPPER = Path(os.environ.get("LABKIT_VBOXMANAGE", "/usr/local/bin/VBoxManage"))
PLACES = [
    "/Applications/VirtualBox.app/Contents/MacOS/VBoxManage"
]  # its installer does not touch PATH
MIRROR = "http://deb.debian.org/debian"
MARK = "# VirtualBox lives in a folder of its own"
# VBoxSVC, the server, outlives the call that started it by five seconds, and stays in that call's
# namespace. It sees a file system mounted meanwhile only as far as the machine shares its mounts
# (systemd does, a container seldom): hence `slave`, which lets mounts in, and none out. Others than
# root get a user namespace in which they seem to be root, so VirtualBox would look for their
# settings in root's home. The folder has no locale but C.UTF-8, without which names that are not
# ASCII are cut short.
SCRIPT = f"""#!/bin/sh
{MARK}; engines.py wrote this and may replace it.
user=
if [ "$(id -u)" != 0 ]; then
  user=--map-root-user
  export VBOX_USER_HOME="${{VBOX_USER_HOME:-$HOME/.config/VirtualBox}}"
fi
export LC_ALL=C.UTF-8
exec unshare --mount --propagation slave $user sh -c '
mount --rbind /usr/local "$0/usr/local" &&
mount --rbind "$0/usr" /usr &&
mount --bind "$0/etc/ld.so.cache" /etc/ld.so.cache &&
exec /usr/bin/VBoxManage "$@"' FOLDER "$@"
"""


def script(folder: Path) -> str:
    return SCRIPT.replace("FOLDER", shlex.quote(str(folder)))


def is_ours(file: Path, folder: Path) -> bool:
    """Whether a file is a wrapper for this folder, of today or of an earlier engines.py."""
    try:
        text = file.read_bytes()[:4096].decode(errors="replace")
    except OSError:
        return False
    return MARK in text and shlex.quote(str(folder)) + ' "$@"' in text


def others(folder: Path) -> str:
    """The first VBoxManage on PATH or at a usual place; "" if none but this folder's wrapper."""
    folders = filter(None, os.environ.get("PATH", "").split(os.pathsep))
    files = [
        os.path.join(place, name) for place in folders for name in ("VBoxManage", "vboxmanage")
    ]
    return next(
        (
            file
            for file in [*files, *PLACES]
            if shutil.which(file) and not is_ours(Path(file), folder)
        ),
        "",
    )


def version(program: str) -> str:
    """As in "VirtualBox 7.2.22_Debianr175245". Raises EngineError."""
    done = subprocess.run(
        [program, "--version"], capture_output=True, text=True, timeout=60, check=False
    )
    said = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines() or [
        "nothing"
    ]
    if done.returncode:
        raise EngineError(f"{program} does not work, it says: {said[-1]}; remove it or repair it")
    return f"VirtualBox {said[-1]}"  # after a warning that the driver is missing


def mirror() -> str:
    """Debian's mirror as this machine's apt knows it; on Ubuntu Debian's own."""
    argv = [
        "apt-get",
        "indextargets",
        "--format",
        "$(REPO_URI)",
        "Origin: Debian",
        "Created-By: Packages",
    ]
    said = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.split()
    return next((uri.rstrip("/") for uri in sorted(said) if "security" not in uri), MIRROR)


def remove(folder: Path) -> None:
    """Remove what a build has left, if anything.

    Raises EngineError rather than remove what is mounted in it.
    """
    # mountinfo has real paths, their white space and backslashes in octal (proc(5)).
    if left := mounts(folder.resolve()):
        raise EngineError(
            f"{left[0]} is a mount in what an interrupted build has left: unmount it first"
        )
    if folder.exists():
        shutil.rmtree(folder)


def build(folder: Path, log: Path) -> None:
    """Make the folder: in another beside it that is renamed when whole.

    Needs root and mmdebstrap. Raises EngineError.

    mmdebstrap mounts the machine's /dev/shm and more inside, and leaves it there when it is killed;
    to remove that half would be to empty them. So it runs in namespaces of its own that end with
    us, and their mounts with them.
    """
    half = folder.with_name(f"{folder.name}.half")
    remove(half)
    argv = [
        *(
            "setpriv",
            "--pdeathsig",
            "KILL",
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ),
        "mmdebstrap",
        "--variant=minbase",
        "--include=virtualbox",
        '--aptopt=APT::Install-Recommends "false"',  # a desktop program, and the driver's source
        # A mirror may lag behind; sid's files expire in a week.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "sid",
        str(half),
        f"deb {mirror()} sid main contrib",
    ]
    log.write_text("")
    try:
        standins.run(argv, folder.parent, {**os.environ, "LC_ALL": "C.UTF-8"}, log)
        half.rename(folder)
    except EngineError:
        # apt names the cause; after it all complain that what they called has failed.
        lines = log.read_text(errors="replace").splitlines()
        reason = next((line for line in lines if line.startswith("E: ")), lines[-1])[:200]
        if re.search(r"Unable to (locate|correct|satisfy)|no installation candidate", reason):
            said = (
                f"Debian sid has no virtualbox to install at the moment ({reason}): install "
                "VirtualBox yourself"
            )
        else:
            said = f"making {folder} failed: {reason} (log: {log})"
        raise EngineError(said) from None
    finally:
        remove(half)


def check_wrapper(folder: Path) -> None:
    """Raises EngineError if there is a file in the wrapper's place that is not ours to replace."""
    if os.path.lexists(WRAPPER) and not is_ours(WRAPPER, folder):
        raise EngineError(
            f"{WRAPPER} is somebody else's: remove it, or see that it works and is on PATH"
        )


def wrap(folder: Path) -> None:
    """Write the wrapper, unless it is as it should be."""
    if WRAPPER.exists() and WRAPPER.read_text() == script(folder):
        return
    new = WRAPPER.with_name(
        f"{WRAPPER.name}.new"
    )  # renamed, as a shell that runs the old one reads on in it
    new.write_text(script(folder))
    new.chmod(0o755)
    new.rename(WRAPPER)


def servers(folder: Path) -> list[int]:
    """Pids of the VBoxSVC that run from this folder, whatever their path is in their namespace."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "exe").samefile(
                folder / "usr/lib/virtualbox/VBoxSVC"
            ):
                found.append(int(entry.name))
        except OSError:  # another user's, ended meanwhile or a zombie; or there is no such folder
            continue
    return found
