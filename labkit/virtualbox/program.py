"""VirtualBox in a home of its own: VBoxManage found, kept away from the user's machines, its words tidied.

A ``VBOX_USER_HOME`` holds a whole registry of machines and media, and ``VBOX_IPC_SOCKETID`` names the server
(VBoxSVC) that keeps it, so that with both set the user's own VirtualBox is out of reach.
Source: Oracle VirtualBox User Guide, "VBoxManage" and "Where Oracle VirtualBox Stores its Files".
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

from labkit.commands import Result, run
from labkit.errors import LabError, MissingProgram

if TYPE_CHECKING:
    from psutil import Process

HOW_TO_GET = "https://www.virtualbox.org/wiki/Downloads"
_PLACES = (
    "/Applications/VirtualBox.app/Contents/MacOS/VBoxManage",
    r"C:\Program Files\Oracle\VirtualBox\VBoxManage.exe",
)  # their installers do not touch PATH
_SYSTEM = {"win32": "windows", "darwin": "macosx"}.get(sys.platform, "linux")
_HOME = """<?xml version="1.0"?>
<VirtualBox xmlns="http://www.virtualbox.org/" version="1.12-{system}">
  <Global><SystemProperties defaultMachineFolder={folder} defaultHardDiskFormat="VDI"/></Global>
</VirtualBox>
"""
_DRIVER = re.compile(
    r"^WARNING: The (?:character device /dev/vboxdrv|vboxdrv kernel module)(?:.*\n){1,12}?"
    r".*will not be able to start VMs.*\n",
    re.M,
)
_DONE = re.compile(r"^(?:\d+%\.\.\.)+100%\n", re.M)
# What VirtualBox takes from an appliance as it stands, and would write to (or remove with the machine): paths.
_PATHS = {"href", "snapshotFolder", "stateFile", "path", "location", "tracefile"}
_DESCRIPTOR = 16 << 20  # bytes; a real one has some 10 KiB
_GOING = (
    "Failed to create the VirtualBox object!"  # a VBoxSVC about to go was called, and did nothing
)
_PATIENCE = 8.0  # seconds; VBoxSVC goes 5 s after its last client


def find_program() -> str:
    """Where VBoxManage is. Raises :class:`MissingProgram`."""
    folder = os.environ.get("VBOX_MSI_INSTALL_PATH") or os.environ.get(
        "VBOX_INSTALL_PATH"
    )  # set on Windows
    for name in (
        "VBoxManage",
        "vboxmanage",
        *([os.path.join(folder, "VBoxManage.exe")] if folder else []),
        *_PLACES,
    ):
        if found := shutil.which(name):
            return found
    raise MissingProgram(f"VirtualBox is not installed here; get it from {HOW_TO_GET}.")


def _descriptor(appliance: Path) -> bytes:
    """An appliance's OVF. Raises :class:`ValueError` or :class:`tarfile.TarError` if it is not where it must be.

    The first block of an OVA says it, so that VirtualBox and we can read no two different ones out of one archive.
    Source: DMTF DSP0243, "OVF package": a tar in USTAR format whose first file is the descriptor.
    """
    with appliance.open("rb") as file:
        size = _DESCRIPTOR  # of a longer one the end is missing, so it is not sound
        if appliance.suffix.lower() != ".ovf":  # that is how VirtualBox decides
            first = tarfile.TarInfo.frombuf(
                file.read(tarfile.BLOCKSIZE), "utf-8", "surrogateescape"
            )
            if first.type not in (
                tarfile.REGTYPE,
                tarfile.AREGTYPE,
            ) or not first.name.lower().endswith(".ovf"):
                raise ValueError("another file comes first")
            size = min(size, max(first.size, 0))  # it may say less than nothing
        return file.read(size)


def examine(appliance: Path) -> None:
    """Raise :class:`LabError` if an appliance would have VirtualBox write or remove files outside the new machine.

    VirtualBox (7.2) puts a disk where ``href`` says, be it above the machine's folder or anywhere on the computer, and
    deletes the ``stateFile`` of somebody else with the machine.
    """
    from defusedxml import ElementTree

    try:
        root = ElementTree.fromstring(_descriptor(appliance), forbid_dtd=True)
    except OSError as error:
        raise LabError(f"{appliance.name:.60} cannot be read ({error.strerror}).") from None
    except (
        tarfile.TarError,
        ElementTree.ParseError,
        ValueError,
        LookupError,
    ):  # defusedxml's own are ValueErrors
        raise LabError(
            f"{appliance.name:.60} is damaged, or no appliance: that is a plain tar (ustar) whose first "
            "file is a sound .ovf. Get it once more, or pack it again in that order."
        ) from None
    for element in root.iter():
        for name, value in element.items():
            path = PureWindowsPath(value)  # knows the separators of all systems
            if name.rpartition("}")[2] in _PATHS and (path.anchor or ".." in path.parts):
                raise LabError(
                    f"{appliance.name:.60} is not imported: with it VirtualBox would use {value[:60]!r}, "
                    "outside the new machine's folder. Do not trust whoever made it."
                )


@lru_cache  # they are looked at before every command
def examine_settings(path: Path, folder: Path, changed: int) -> None:
    """Raise :class:`LabError` if settings, ``changed`` then, name files outside ``folder``, which VirtualBox would use.

    Any attribute of theirs may be a path, but for names (of groups as /lab) and what a guest has said.
    """
    from defusedxml import ElementTree

    try:
        root = ElementTree.parse(path, forbid_dtd=True).getroot()
    except (OSError, ElementTree.ParseError):
        return  # which VirtualBox does not take either
    except (ValueError, LookupError):
        raise LabError(
            f"{path.name:.60} has parts that no settings of VirtualBox have: run the %lesson cell to start "
            "over without it."
        ) from None
    for element in root.iter():
        for name, value in element.items():
            way = PureWindowsPath(value)
            if (
                name == "name"
                or element.tag.endswith("}GuestProperty")
                or not (way.anchor or ".." in way.parts)
            ):
                continue
            if (os.name == "posix" and way.drive) or not (
                path.parent / value
            ).resolve().is_relative_to(folder):
                raise LabError(
                    f"{path.name:.60} names {value[:60]!r}, outside this lesson's folder, and VirtualBox "
                    "would use it: run the %lesson cell to start over without it."
                )


def users_home() -> Path:
    """Where the user's own VirtualBox keeps its registry. Source: User Guide, "Global Configuration Data"."""
    if set_by_user := os.environ.get("VBOX_USER_HOME"):
        return Path(set_by_user)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "VirtualBox"
    old = Path.home() / ".VirtualBox"
    linux = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "VirtualBox"
    return old if sys.platform == "win32" or old.is_dir() else linux


def _alive(process: Process) -> bool:
    import psutil

    try:
        return bool(
            process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        )  # init may reap it late
    except psutil.NoSuchProcess:
        return False


class VirtualBox:
    """VirtualBox with its registry in ``home`` and new machines in ``folder``. Raises :class:`MissingProgram`."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.program, self.home, self.folder = find_program(), home, folder
        name = hashlib.sha256(str(home).encode()).hexdigest()[:10]
        self.env = {
            **os.environ,
            "VBOX_USER_HOME": str(home),
            "VBOX_IPC_SOCKETID": f"labkit-{name}",
        }
        if sys.platform != "win32":
            self.env["LC_ALL"] = (
                "C.UTF-8"  # its words are translated otherwise, and names cut short
            )
        self.driver = True  # whether machines can be started; known after the first command

    @cached_property
    def version(self) -> str:
        """As in "7.2.22". Raises :class:`LabError` if VBoxManage does not say it."""
        said = self.run(["--version"]).out
        if not (found := re.search(r"^(\d+\.\d+\.\d+)", said, re.M)):
            raise LabError(
                f"{self.program} does not tell its version ({said.strip()[:60]!r}); install VirtualBox "
                f"again: {HOW_TO_GET}."
            )
        return found[1]

    def __str__(self) -> str:
        return f"VirtualBox {self.version}"

    def run(self, argv: Sequence[str], **options: object) -> Result:
        """``VBoxManage *argv`` in ``folder``, its output without the warning about the driver and a full progress."""
        if argv[:1] == ["export"]:
            self.run(
                ["list", "hdds"]
            )  # else a VBoxSVC just started (7.2) notes disks of 0 bytes in the OVF
        for _ in range(2):
            result = run([self.program, *argv], env=self.env, cwd=self.folder, **options)  # type: ignore[arg-type]
            if not (result.code and _GOING in result.err):
                break
        return result._replace(
            chunks=tuple((stream, self.tidy(text)) for stream, text in result.chunks)
        )

    def tidy(self, text: str) -> str:
        """What is worth reading of an output; notes whether the driver is missing."""
        without = _DRIVER.sub("", text)
        self.driver = self.driver and without == text
        return _DONE.sub("", without)

    def ask(self, argv: Sequence[str]) -> str:
        """The standard output of a command that reads. Raises :class:`LabError` with VirtualBox's own reason."""
        result = self.run(argv, timeout=60)
        if result.code:
            lines = [line for line in result.err.splitlines() if line.strip()] or [
                "no reason given"
            ]
            raise LabError(f"VirtualBox says: {lines[0].removeprefix('VBoxManage: error: ')}")
        return result.out

    def open(self) -> None:
        """Make the home if need be. Raises :class:`LabError` if what answers is not it but the user's own."""
        settings = self.home / "VirtualBox.xml"
        if not settings.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            settings.write_text(
                _HOME.format(system=_SYSTEM, folder=quoteattr(str(self.folder))), "utf-8"
            )
        deadline = time.monotonic() + _PATIENCE
        while not self.isolated():
            if sys.platform != "win32" or time.monotonic() > deadline:
                raise LabError(
                    "VirtualBox here answers with machines of your own, and no lesson goes near them: close "
                    "VirtualBox and all its windows, wait ten seconds, and run the %lesson cell again."
                )
            time.sleep(1)

    def isolated(self) -> bool:
        """Whether commands reach our home. On Windows all programs share one VBoxSVC, be it started by another."""
        found = re.search(
            r"^Default machine folder: +(.*)$", self.ask(["list", "systemproperties"]), re.M
        )
        return found is not None and Path(found[1].strip()) == self.folder

    def processes(self) -> Iterator[Process]:
        """VirtualBox's processes that work on our home."""
        import psutil

        for process in psutil.process_iter(["name"]):
            if str(process.info["name"]).startswith(("VBox", "VirtualBox")):
                try:
                    if process.environ().get("VBOX_USER_HOME") == str(self.home):
                        yield process
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue  # ended meanwhile, or somebody else's

    def end(self) -> None:
        """End all that works on our home, machines that run in it first."""
        import psutil

        mine = list(self.processes())
        if any(
            "SVC" not in process.info["name"] and "IPCD" not in process.info["name"]
            for process in mine
        ):
            for uuid in re.findall(r"\{([0-9a-f-]{36})\}$", self.ask(["list", "runningvms"]), re.M):
                self.run(["controlvm", uuid, "poweroff"], timeout=60)
            mine = list(self.processes())
        for process in mine:
            try:
                process.kill()  # what it holds in memory is of a folder about to go
            except psutil.NoSuchProcess:
                continue
        deadline = time.monotonic() + 5  # they are killed, so this takes a moment
        while time.monotonic() < deadline and any(map(_alive, mine)):
            time.sleep(0.01)
        shutil.rmtree(
            f"/tmp/.vbox-{self.env['VBOX_IPC_SOCKETID']}-ipc", ignore_errors=True
        )  # not on Windows
