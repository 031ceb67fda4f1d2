"""VirtualBox in a home of its own: found, kept away from the user's machines, its words read.

A ``VBOX_USER_HOME`` holds a whole registry of machines and media, and ``VBOX_IPC_SOCKETID`` names
the server (VBoxSVC) that keeps it, so that with both set the user's own VirtualBox is out of reach.
Source: Oracle VirtualBox User Guide, "VBoxManage" and "Where Oracle VirtualBox Stores its Files".
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

from labkit.commands import Result, run, start
from labkit.errors import LabError, MissingProgram
from labkit.messages import _

if TYPE_CHECKING:
    from subprocess import Popen

    from psutil import Process

HOW_TO_GET = "https://www.virtualbox.org/wiki/Downloads"
# Where the installers put it without touching PATH.
_PLACES = (
    "/Applications/VirtualBox.app/Contents/MacOS/VBoxManage",
    r"C:\Program Files\Oracle\VirtualBox\VBoxManage.exe",
)
_SYSTEM = {"win32": "windows", "darwin": "macosx"}.get(sys.platform, "linux")
_NEW_SETTINGS = """<?xml version="1.0"?>
<VirtualBox xmlns="http://www.virtualbox.org/" version="1.12-{system}">
  <Global><SystemProperties defaultMachineFolder={folder} defaultHardDiskFormat="VDI"/></Global>
</VirtualBox>
"""
# The warning before every answer while the kernel driver is missing.
_DRIVER = re.compile(
    r"^WARNING: The (?:character device /dev/vboxdrv|vboxdrv kernel module)(?:.*\n){1,12}?"
    r".*will not be able to start VMs.*\n",
    re.M,
)
# A progress that is over; other words may come between its pieces.
_DONE = re.compile(r"^(?:\d+%\.\.\.)*(?:\d+%\.\.\.\Z|100%\n)", re.M)
# A VBoxSVC about to end was called, and did nothing.
_ENDING = "Failed to create the VirtualBox object!"
_PATIENCE = 8.0  # seconds; VBoxSVC ends 5 s after its last client
_LAST_MOMENT = 5.0  # seconds that a killed process may take to be gone
_UUID_AT_END = re.compile(r"\{([0-9a-f-]{36})\}$", re.M)


def find_program() -> str:
    """Where VBoxManage is. Raises :class:`MissingProgram`."""
    folder = os.environ.get("VBOX_MSI_INSTALL_PATH") or os.environ.get("VBOX_INSTALL_PATH")
    on_windows = [os.path.join(folder, "VBoxManage.exe")] if folder else []
    for name in ("VBoxManage", "vboxmanage", *on_windows, *_PLACES):
        if program := shutil.which(name):
            return program
    raise MissingProgram(
        "VirtualBox is not installed here; get it from {address}.", address=HOW_TO_GET
    )


def users_home() -> Path:
    """Where the user's own VirtualBox is at home (User Guide, "Global Configuration Data")."""
    if set_by_user := os.environ.get("VBOX_USER_HOME"):
        return Path(set_by_user)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "VirtualBox"
    dotted = Path.home() / ".VirtualBox"  # on Linux of a version before 4.3
    if sys.platform == "win32" or dotted.is_dir():
        return dotted
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "VirtualBox"


class VirtualBox:
    """Its registry is in ``home``, new machines in ``folder``. Raises :class:`MissingProgram`."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.program = find_program()
        self.home = home
        self.folder = folder
        name = hashlib.sha256(str(home).encode()).hexdigest()[:10]
        ours = {"VBOX_USER_HOME": str(home), "VBOX_IPC_SOCKETID": f"labkit-{name}"}
        self.env = {**os.environ, **ours}
        if sys.platform != "win32":
            # Its words are translated otherwise, and names cut short.
            self.env["LC_ALL"] = "C.UTF-8"
        self.driver = True  # whether machines can be started; known after the first command
        self._waiting: Popen[bytes] | None = None

    def __str__(self) -> str:
        """As in "VirtualBox 7.2.22". Raises :class:`LabError` if VBoxManage does not say it."""
        answer = self.run(["--version"]).out
        version = re.search(r"^(\d+\.\d+\.\d+)", answer, re.M)
        if not version:
            raise LabError(
                "{program} does not tell its version ({answer!r}); install VirtualBox again: "
                "{address}.",
                program=self.program,
                answer=answer.strip()[:60],
                address=HOW_TO_GET,
            )
        return f"VirtualBox {version[1]}"

    def run(
        self,
        argv: Sequence[str],
        stdin: str | None = None,
        on_text: Callable[[str], None] | None = None,
        timeout: float | None = None,
    ) -> Result:
        """``VBoxManage *argv`` in ``folder``, as :func:`labkit.commands.run`; its output tidied."""
        if argv[:1] == ["export"] or argv[2:3] == ["delete"]:
            # Else a VBoxSVC just started (7.2) takes disks for 0 bytes long: it notes that in the
            # OVF, and merges the disks of a snapshot the other way.
            self.run(["list", "hdds"])
        for _attempt in range(2):
            result = run(
                [self.program, *argv],
                stdin,
                on_text=on_text,
                env=self.env,
                cwd=self.folder,
                timeout=timeout,
            )
            if not (result.code and _ENDING in result.err):
                break
        tidied = tuple((stream, self.tidy(text)) for stream, text in result.chunks)
        return result._replace(chunks=tidied)

    def tidy(self, text: str) -> str:
        """An output without the warning about the driver, which is noted, and a full progress."""
        without, warnings = _DRIVER.subn("", text)
        self.driver = self.driver and not warnings
        return _DONE.sub("", without)

    def ask(self, argv: Sequence[str]) -> str:
        """The standard output of a command. Raises :class:`LabError` with VirtualBox's reason."""
        result = self.run(argv, timeout=60)
        if result.code:
            lines = (line for line in result.err.splitlines() if line.strip())
            reason = next(lines, _("no reason given")).removeprefix("VBoxManage: error: ")
            raise LabError("VirtualBox says: {reason}", reason=reason)
        return result.out

    def running(self) -> list[str]:
        """The UUIDs of the machines that run. Raises :class:`LabError`."""
        return _UUID_AT_END.findall(self.ask(["list", "runningvms"]))

    def stay(self) -> None:
        """Keep VBoxSVC up, by a client that waits, till :meth:`end`.

        What a new one writes differs a little from what one wrote that made the machines, so a
        recording would depend on the pauses between its commands.
        """
        if not self._waiting or self._waiting.poll() is not None:
            argv = [self.program, "metrics", "collect", "--period", "86400"]  # seconds
            self._waiting = start(argv, None, self.env, self.folder, merged=True)

    def open(self) -> None:
        """Make the home if need be. Raises :class:`LabError` if only the user's own answers."""
        settings = self.home / "VirtualBox.xml"
        if not settings.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            text = _NEW_SETTINGS.format(system=_SYSTEM, folder=quoteattr(str(self.folder)))
            settings.write_text(text, "utf-8")
        deadline = time.monotonic() + _PATIENCE
        while not self.isolated():
            if sys.platform != "win32" or time.monotonic() > deadline:
                raise LabError(
                    "VirtualBox here answers with machines of your own, and no lesson goes "
                    "near them: close VirtualBox and all its windows, wait ten seconds, and "
                    "run the %lesson cell again."
                )
            time.sleep(1)

    def isolated(self) -> bool:
        """Whether commands reach our home: on Windows all programs share one VBoxSVC."""
        answer = self.ask(["list", "systemproperties"])
        folder = re.search(r"^Default machine folder: +(.*)$", answer, re.M)
        return folder is not None and Path(folder[1].strip()) == self.folder

    def processes(self) -> Iterator[Process]:
        """The processes that work on our home, also while VBoxManage is a shell script still."""
        import psutil

        for process in psutil.process_iter(["name", "environ"]):
            if (process.info["environ"] or {}).get("VBOX_USER_HOME") == str(self.home):
                yield process

    def end(self) -> None:
        """End all that works on our home, machines that run in it first."""
        import psutil

        if self._waiting:  # else what follows would take it for a machine that runs
            self._waiting.kill()
            self._waiting.wait()
        names = [str(process.info["name"]) for process in self.processes()]
        if not all("SVC" in name or "IPCD" in name for name in names):  # the servers alone
            for uuid in self.running():
                self.run(["controlvm", uuid, "poweroff"], timeout=60)
        deadline = time.monotonic() + _LAST_MOMENT
        # Again, for a client whose server is gone first may have started another.
        while (left := list(self.processes())) and time.monotonic() < deadline:
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.kill()  # what it holds in memory is of a folder about to go
            time.sleep(0.01)
        # The server's socket, but for Windows.
        socket = Path(f"/tmp/.vbox-{self.env['VBOX_IPC_SOCKETID']}-ipc")
        shutil.rmtree(socket, ignore_errors=True)
