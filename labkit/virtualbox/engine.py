"""The bench: a lesson's own folder, and the programs that work on disks and machines in it.

A command runs in that folder, and may name files in it only, so whatever else a student has is out
of reach; the folder is ``$PWD`` in commands and in what is shown, which reads the same on every
machine. In it ``.virtualbox`` is a VirtualBox home. Cleaning ends what runs there, and removes the
folder.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

from labkit.commands import Result, run
from labkit.disks import Disk, open_disk
from labkit.engine import Command, Engine, Finding, Heard, Session, home
from labkit.errors import LabError, MissingProgram
from labkit.messages import N_, _
from labkit.show.progress import Bar
from labkit.virtualbox import guest, program, reads
from labkit.virtualbox.cleaning import Wanted, remove_new
from labkit.virtualbox.folder import HOME, Folder
from labkit.virtualbox.guard import Asked, guard
from labkit.virtualbox.output import advice, bars
from labkit.virtualbox.program import VirtualBox

_QEMU = N_(
    "https://www.qemu.org/download/, `sudo apt install qemu-utils` on Debian and Ubuntu, `brew "
    "install qemu` on macOS"
)
_E2FS = N_("`sudo apt install e2fsprogs` on Debian and Ubuntu, `brew install e2fsprogs` on macOS")
_SBIN = (  # not on every PATH
    "/sbin",
    "/usr/sbin",
    "/opt/homebrew/opt/e2fsprogs/sbin",
    "/usr/local/opt/e2fsprogs/sbin",
)
_SLOW = {
    *("createmedium", "clonemedium", "modifymedium", "clonevm", "snapshot", "startvm"),
    *("export", "import"),
}


class Bench(Engine):
    """The folder of ``lesson``, with VirtualBox if it uses that."""

    programs: ClassVar[Mapping[str, str]] = {
        "VBoxManage": program.HOW_TO_GET,
        "qemu-img": _QEMU,
        "qemu-io": _QEMU,
        "mke2fs": _E2FS,
        "resize2fs": _E2FS,
        "e2fsck": _E2FS,
        "dumpe2fs": _E2FS,
        "sfdisk": N_("`sudo apt install fdisk` on Debian and Ubuntu"),
        "tar": N_("your system's packages; Windows 10 and macOS bring it"),
        guest.WRITE: "",  # ours
    }
    timed = True
    undoes = True
    passing = ("media", "notes")
    literal = ("PWD",)
    rehearsed = False  # it is being recorded

    def __init__(self, lesson: str, programs: Sequence[str] = ("VBoxManage",)) -> None:
        path = (home() / "bench" / lesson).resolve()
        self.needs = programs
        self.virtualbox: VirtualBox | None = None
        if "VBoxManage" in programs:
            self.virtualbox = VirtualBox(path / HOME, path)
        self.folder = Folder(path, self.virtualbox)

    @classmethod
    def open(cls, session: Session, programs: Sequence[str]) -> Self:
        bench = cls(session.name, programs)
        bench.rehearsed = session.rehearsed
        bench.ready()
        return bench

    def ready(self) -> None:
        """Make the folder if need be.

        Raises :class:`LabError` if a program is missing, or VirtualBox cannot be kept apart.
        """
        for name in self.needs:
            self.where(name)
        try:
            self.folder.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LabError(
                "The lesson's folder {folder} cannot be made ({reason}): free some space, or "
                "set LABKIT_HOME to a folder of yours.",
                folder=self.folder.path,
                reason=error.strerror,
            ) from None
        if self.virtualbox:
            self.virtualbox.open()

    @classmethod
    def where(cls, name: str) -> str:
        """Where a program is. Raises :class:`MissingProgram` that says how to get it."""
        if name == "VBoxManage":
            return program.find_program()
        found = shutil.which(name) or shutil.which(name, path=":".join(_SBIN))
        if not found:
            how = _(cls.programs[name])
            raise MissingProgram(
                "{name} is not installed here; get it from {how}.", name=name, how=how
            )
        return found

    def versions(self) -> dict[str, str]:
        versions = {"VirtualBox": str(self.virtualbox)} if self.virtualbox else {}
        if "qemu-img" in self.needs:
            printed = run([self.where("qemu-img"), "--version"]).out
            found = re.search(r"version (\d+[.\d]*)", printed)
            versions["QEMU"] = f"QEMU {found[1] if found else ''}".strip()
        return versions

    @property
    def lacking(self) -> str:
        if self.virtualbox and not self.virtualbox.driver:
            return _("VirtualBox's kernel driver is not loaded, so machines cannot be started")
        return ""

    # -- commands -------------------------------------------------------------------------------

    @classmethod
    def parse(cls, argv: Sequence[str]) -> Command:
        name, *words = argv
        if name == guest.WRITE:
            guest.page_of(words)
        slow = name == "VBoxManage" and bool(_SLOW & set(words[:1]))
        return Command(tuple(argv), key(argv), slow=slow)

    @classmethod
    def advise(cls, result: Result, session: Session) -> str:
        return advice(result)

    @classmethod
    def brief(cls, result: Result) -> str:
        """Without the pages of usage that VBoxManage prints at a word it does not know."""
        if not result.code or "\nUsage - " not in result.err:
            return result.text
        lines = result.err.splitlines()
        mistakes = [line for line in lines if line.startswith("VBoxManage: error:")]
        return "\n".join(dict.fromkeys(mistakes))

    @classmethod
    def bars(cls, text: str) -> Sequence[Bar]:
        return bars(text)

    def run(self, command: Command, stdin: str | None, heard: Heard) -> Result:
        folder = str(self.folder.path)
        name, *words = (word.replace("$PWD", folder) for word in command.argv)
        told = (stdin or "").split() if name == "qemu-io" else []  # it takes commands there
        guard(Asked(name, [*words, *told], self.folder.path))
        result = self._run(name, words, stdin, heard)
        chunks = tuple((stream, self.folder.shown(text)) for stream, text in result.chunks)
        return Result(tuple(command.argv), result.code, chunks, result.seconds)

    def command(self, argv: Sequence[str]) -> Result:
        """Run a command for ourselves. Raises :class:`LabError`."""
        return self.run(self.parse(argv), None, None)

    def _run(self, name: str, words: list[str], stdin: str | None, heard: Heard) -> Result:
        if name == "VBoxManage":
            return self._vboxmanage(words, stdin, heard)
        if name == guest.WRITE:
            return self._guest_write(words)
        argv = [self.where(name), *words]
        return run(argv, stdin, on_text=heard, cwd=self.folder.path, merged=True)

    def _vboxmanage(self, words: list[str], stdin: str | None, heard: Heard) -> Result:
        if not self.virtualbox:
            raise LabError("This lesson works without VirtualBox.")
        if sys.platform == "win32" and not self.virtualbox.isolated():
            self.virtualbox.open()
        result = self.virtualbox.run(words, stdin=stdin, on_text=heard)
        if self.rehearsed:
            self.virtualbox.stay()
        return result

    def _guest_write(self, words: list[str]) -> Result:
        machine, page, text = guest.page_of(words)
        scratch, top = self.folder.path / HOME, self.folder.disk_files(machine)[0]
        return guest.write(self.where("qemu-io"), scratch, machine, top, page, text)

    # -- what there is --------------------------------------------------------------------------

    def world(self) -> dict[str, Any]:
        return self.folder.world()

    def fingerprint(self) -> str:
        return self.folder.fingerprint()

    def disk(self, name: str) -> Disk:
        """A disk file, with the parent that VirtualBox knows for it. Who calls closes it.

        Raises :class:`LabError`.
        """
        path = self.folder.path
        name = name.replace("$PWD", str(path))
        guard(Asked("", [name], path))
        return open_disk(path / name)

    def guest(self, machine: str) -> list[str]:
        """What a machine's guest would read at the start of each page. Raises LabError."""
        return guest.read(self.folder.disk_files(machine))

    def explore(self, session: Session) -> None:
        world = session.world()
        for file in world["files"]:
            reads.digest(session, file["path"])
        if not self.virtualbox:
            return
        for machine in world["machines"]:
            if machine["media"]:
                reads.pages(session, machine["name"])
        looks = [["list", "vms"], ["list", "hdds"]]
        looks += [["snapshot", machine["name"], "list"] for machine in world["machines"]]
        for words in looks:
            session.command(["VBoxManage", *words])

    # -- cleaning -------------------------------------------------------------------------------

    def mark(self) -> set[str]:
        machines = {machine["uuid"] for machine in self.world()["machines"]}
        return machines | set(map(self.folder.name, self.folder.files()))

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Every file, and so every machine and UUID, is as it was."""
        path = self.folder.path
        saved = path.with_name(f"{path.name}.part")
        self._end()
        shutil.rmtree(saved, ignore_errors=True)
        shutil.copytree(path, saved)
        try:
            yield
        finally:
            self._end()
            shutil.rmtree(path)
            saved.rename(path)

    def _end(self) -> None:
        if self.virtualbox:
            self.virtualbox.end()

    def remove(self) -> list[str]:
        """End all that works on the folder, and remove it; say what had to stay."""
        self._end()
        path = self.folder.path
        shutil.rmtree(path, ignore_errors=True)
        if path.exists():
            return [_("{folder} stays: a program has files of it open.", folder=path)]
        return []

    def clean(
        self, since: Container[str] | None = None, names: Container[str] | None = None
    ) -> list[str]:
        """Begin anew; or remove what is new since a mark, called one of ``names`` if given."""
        if since is not None:
            return remove_new(self.folder, self.command, Wanted(since, names))
        notes = self.remove()
        self.ready()
        return notes

    @classmethod
    def sweep(cls, lessons: Sequence[str]) -> list[str]:
        wanted = [name for name in left_over() if not lessons or name in lessons]
        try:
            needs = ["VBoxManage"] if wanted and program.find_program() else []
        except MissingProgram:
            needs = []  # then nothing of it can run
        return [note for lesson in wanted for note in cls(lesson, needs).remove()]

    @classmethod
    def examine(cls) -> Iterator[Finding]:
        for look in (_virtualbox, lambda: f"qemu-img: {cls.where('qemu-img')}"):
            try:
                yield Finding(True, look())
            except LabError as error:
                yield Finding(
                    False,
                    _(
                        "{why} Until then the lessons on machines and disks replay their "
                        "recordings.",
                        why=error,
                    ),
                )


ENGINE = Bench


def _virtualbox() -> str:
    virtualbox = VirtualBox(Path(), Path.cwd())
    version = str(virtualbox)  # whose answer also tells of the driver
    if virtualbox.driver:
        return version
    return _(
        "{version}; its kernel driver is not loaded, so machines cannot be started",
        version=version,
    )


def key(argv: Sequence[str]) -> tuple[str, ...]:
    """The argv as recordings know it: VBoxManage takes ``--name=x`` and ``--name x`` alike."""
    if argv[0] != "VBoxManage":
        return tuple(argv)
    words: list[str] = []
    for word in argv:
        words += word.split("=", 1) if re.match(r"--[a-z][\w-]*=", word) else [word]
    return tuple(words)


def left_over() -> list[str]:
    """Lessons that have a bench now."""
    found = home() / "bench"
    return sorted(path.name for path in found.iterdir() if path.is_dir()) if found.is_dir() else []
