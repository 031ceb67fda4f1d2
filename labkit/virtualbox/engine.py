"""The bench: a lesson's own folder, and the programs that work on disks and machines in it.

A command runs in that folder, and may name files in it only, so whatever else a student has is out of reach; the
folder is ``$PWD`` in commands and in what is shown, which reads the same on every machine. In it ``.virtualbox`` is a
VirtualBox home. Cleaning ends what runs there, and removes the folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Container, Iterator, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

from labkit.commands import Result, run
from labkit.disks import Disk, Elsewhere, open_disk
from labkit.errors import LabError, MissingProgram
from labkit.ledger import home
from labkit.virtualbox import program as virtualbox
from labkit.virtualbox.inventory import read_home
from labkit.virtualbox.listings import parse_hdds
from labkit.virtualbox.program import VirtualBox
from labkit.virtualbox.snapshots import Graph
from labkit.virtualbox.untrusted import examine_appliance, examine_settings

# The programs of the lessons, and where one gets them.
PROGRAMS = {
    "VBoxManage": virtualbox.HOW_TO_GET,
    **dict.fromkeys(
        ("qemu-img", "qemu-io"),
        "https://www.qemu.org/download/, `sudo apt install qemu-utils` on Debian "
        "and Ubuntu, `brew install qemu` on macOS",
    ),
    **dict.fromkeys(
        ("mke2fs", "resize2fs", "e2fsck", "dumpe2fs"),
        "`sudo apt install e2fsprogs` on Debian and Ubuntu, `brew install e2fsprogs` on macOS",
    ),
    "sfdisk": "`sudo apt install fdisk` on Debian and Ubuntu",
    "tar": "your system's packages; Windows 10 and macOS bring it",
}
OWN = ("guest_write",)  # what is no program, but ours
PAGE = (
    1 << 16
)  # bytes: a grain of a VMDK, the least that can be written without reading the disk below
PAGES = 16  # how many of them `guest_read` looks at
_SBIN = (
    "/sbin",
    "/usr/sbin",
    "/opt/homebrew/opt/e2fsprogs/sbin",
    "/usr/local/opt/e2fsprogs/sbin",
)  # not on every PATH
# Beyond a lesson's folder: they alter the machine itself, reach other hosts, or run what they are given.
_MACHINE_WIDE = {
    "extpack",
    "hostonlyif",
    "hostonlynet",
    "updatecheck",
    "cloud",
    "cloudprofile",
    "internalcommands",
    "setproperty",
    "usbdevsource",
    "signova",
}
_FREE_TEXT = {
    "--name",
    "--description",
    "--groups",
    "--snapshot",
    "--new-name",
    "--vmname",
    "--unit",
}
_PATH = re.compile(
    r"(?:(?<=[=:,;\s])|^)"  # within a word, what begins at a root or at home, or climbs with ..
    r"(?:(?:[A-Za-z]:[\\/]|[\\/~])[^,;]*|[^=:,;\s]*\.\.(?:[\\/][^,;]*|$))"
)
_ATTACHED = re.compile(r"^-[A-Za-z]+?(?=[\\/~.]|[A-Za-z]:[\\/])")  # as in tar's -C.. and -C/
_NOT_STRIPPED = re.compile(
    r"--ab|--insecure|-[^-bCfFgHIKLNTVX]*P"
)  # tar then takes / and .. as they stand
_ELSEWHERE = re.compile(
    r"\w+://|^json:|^(?:nbd|ssh|fat|host_device|blkdebug|rbd|nfs|iscsi|gluster):"
)
_PASSING = re.compile(
    r"\.(?:log(?:\.\d+)?|dat|part)$|-prev$|\.vbox-tmp$"
)  # VirtualBox's own notes, not a state
_UUID = re.compile(r"\{[0-9a-f-]{36}\}")
_SLOW = {
    "createmedium",
    "clonemedium",
    "clonevm",
    "export",
    "import",
    "snapshot",
    "modifymedium",
    "startvm",
}
_ADVICE = [
    (re.compile(pattern, re.I), advice)
    for pattern, advice in (
        (
            r"more than one child (?:hard disk|snapshot)|has \d+ child|VBOX_E_OBJECT_IN_USE.*child|has one child snapshot",
            "Other disks stand on that one, so it cannot be merged away: `%what_if` shows which; remove those first.",
        ),
        (
            r"terminated unexpectedly during startup|kernel driver|VERR_VM_DRIVER|VERR_SUPLIB|\(rc=-1908\)",
            "Starting a machine needs VirtualBox's kernel driver, and it is not loaded here: reinstall VirtualBox, or read "
            "the recorded outputs.",
        ),
        (
            r"already locked|is locked|locked for (?:reading|writing|a session)|Failed to get \"\w+\" lock|VERR_SHARING_VIOL",
            "Another program is using it: power the machine off, or close what has the disk open, and run the cell again.",
        ),
        (
            r"Cannot (?:delete|close|unregister|detach).*(?:attached|in use)|is attached to \d+ |still attached",
            "It is attached to a machine: detach it first (`storageattach … --medium none`), or delete the machine.",
        ),
        (
            r"VERR_DISK_FULL|No space left on device|not enough (?:free )?space",
            "The disk of this computer is full: free some space and run the cell again; nothing of the lesson is lost.",
        ),
        (
            r"already exists|VERR_ALREADY_EXISTS|UUID \{[\w-]+\} of the medium|because a hard disk .* with UUID",
            "There is one of that name (or UUID) already: choose another name, or run the %lesson cell to start over.",
        ),
        (
            r"Could not find a registered machine",
            "No machine of that name here: `%VBoxManage list vms` lists those of this lesson.",
        ),
        (
            r"Could not find a snapshot|snapshot .* not found|does not have any snapshots",
            "No snapshot of that name: `%VBoxManage snapshot MACHINE list` shows them.",
        ),
        (
            r"VERR_FILE_NOT_FOUND|VERR_PATH_NOT_FOUND|Could not find file for the medium|No such file or directory",
            "That file is not in the lesson's folder: `%folder` lists what is there.",
        ),
        (
            r"Appliance (?:read|import) failed",
            "The appliance is damaged, or made wrongly, and nothing was imported: get it once more, from whoever made it.",
        ),
        (
            r"Shrinking is not yet supported",
            "VirtualBox makes no disk smaller: make a new one, and copy what is on it from inside the guest.",
        ),
        (
            r"VERR_NOT_SUPPORTED|VBOX_E_NOT_SUPPORTED|does not support resizing|not supported",
            "This format or variant cannot do that: convert the disk to a VDI first (`clonemedium … --format VDI`).",
        ),
        (
            r"^Usage - |Invalid command|Unknown option|Invalid parameter|Syntax error",
            "VBoxManage did not understand that: check the spelling; `%VBoxManage help COMMAND` shows what it takes.",
        ),
    )
]


def advice(result: Result) -> str:
    """One line on what to do about a failed command ("" when the program's own words are enough)."""
    return (
        next((text for pattern, text in _ADVICE if pattern.search(result.text)), "")
        if result.code
        else ""
    )


def brief(result: Result) -> str:
    """A command's words, without the pages of usage that VBoxManage prints at a word it does not know."""
    mistake = [line for line in result.err.splitlines() if line.startswith("VBoxManage: error:")]
    return (
        "\n".join(dict.fromkeys(mistake))
        if result.code and "\nUsage - " in result.err
        else result.text
    )


def canonical(name: str) -> str:
    """A program's name however it is spelt: ``vboxmanage`` and ``qemu_img`` work too. "" if it is none of ours."""
    wanted = name.lower().replace("_", "-")
    return next(
        (program for program in (*PROGRAMS, *OWN) if program.lower().replace("_", "-") == wanted),
        "",
    )


def key(argv: Sequence[str]) -> list[str]:
    """The argv as recordings know it: VBoxManage takes ``--name=x`` and ``--name x`` alike."""
    if argv[0] != "VBoxManage":
        return list(argv)
    return [
        part
        for word in argv
        for part in (word.split("=", 1) if re.match(r"--[a-z][\w-]*=", word) else [word])
    ]


def page_of(words: Sequence[str]) -> tuple[str, int, str]:
    """What follows `guest_write`: machine, page, text. Raises :class:`LabError`."""
    if len(words) != 3 or not re.fullmatch("[0-9]{1,4}", words[1]) or int(words[1]) >= PAGES:
        raise LabError(
            f'Use it as `%guest_write MACHINE PAGE "text"`, with a page from 0 to {PAGES - 1}.'
        )
    return words[0], int(words[1]), words[2]


def slow(argv: Sequence[str]) -> bool:
    """Whether a command may take long enough to show how far it is."""
    return argv[0] == "VBoxManage" and bool(_SLOW & {*argv[1:2]})


class Bench:
    """The folder of ``lesson`` with the ``needs`` among PROGRAMS at hand; :meth:`open` is the way to get one."""

    def __init__(self, lesson: str, virtualbox: bool) -> None:
        self.folder = (home() / "bench" / lesson).resolve()
        self.virtualbox = (
            VirtualBox(self.folder / ".virtualbox", self.folder) if virtualbox else None
        )
        self.thorough = (
            True  # ask VirtualBox about every machine, not only about disks and what runs
        )

    @classmethod
    def open(cls, lesson: str, needs: Sequence[str]) -> Bench:
        """A bench that is ready. Raises :class:`LabError` if a program is missing or is not to be kept apart."""
        bench = cls(lesson, "VBoxManage" in needs)
        bench.ready(needs)
        return bench

    def ready(self, needs: Sequence[str]) -> None:
        """Make the folder if need be. Raises :class:`LabError` as :meth:`open`."""
        for name in needs:
            self.program(name)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LabError(
                f"The lesson's folder {self.folder} cannot be made ({error.strerror}): free some space, or "
                "set LABKIT_HOME to a folder of yours."
            ) from None
        if self.virtualbox:
            self.virtualbox.open()

    @staticmethod
    def program(name: str) -> str:
        """Where a program is. Raises :class:`MissingProgram` that says how to get it."""
        if name == "VBoxManage":
            return virtualbox.find_program()
        found = shutil.which(name) or shutil.which(name, path=":".join(_SBIN))
        if not found:
            raise MissingProgram(f"{name} is not installed here; get it from {PROGRAMS[name]}.")
        return found

    def versions(self, needs: Sequence[str]) -> dict[str, str]:
        """Name and version of VirtualBox and QEMU, of those the lesson needs, for the badge."""
        found = {"VirtualBox": str(self.virtualbox)} if self.virtualbox else {}
        if "qemu-img" in needs:
            said = re.search(
                r"version (\d+[.\d]*)", run([self.program("qemu-img"), "--version"]).out
            )
            found["QEMU"] = f"QEMU {said[1] if said else ''}".strip()
        return found

    # -- commands -------------------------------------------------------------------------------

    def run(
        self,
        argv: Sequence[str],
        stdin: str | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Result:
        """Run one of PROGRAMS in the folder. Raises :class:`LabError` for a command that would reach beyond it."""
        name, *words = (word.replace("$PWD", str(self.folder)) for word in argv)
        self.guard(
            name, [*words, *(stdin or "").split()] if name == "qemu-io" else words
        )  # it takes commands there
        if name == "VBoxManage":
            if not self.virtualbox:
                raise LabError(
                    "This lesson works without VirtualBox: use VBoxManage in the lessons 07 to 10."
                )
            if sys.platform == "win32" and not self.virtualbox.isolated():
                self.virtualbox.open()
            result = self.virtualbox.run(words, stdin=stdin, on_text=on_text)
        elif name == "guest_write":
            result = self._guest_write(words)
        else:
            result = run(
                [self.program(name), *words], stdin, on_text=on_text, cwd=self.folder, merged=True
            )
        chunks = tuple((stream, self._shown(text)) for stream, text in result.chunks)
        return Result((name, *argv[1:]), result.code, chunks, result.seconds)

    def _shown(self, text: str) -> str:
        return text.replace(str(self.folder), "$PWD")

    def guard(self, name: str, words: Sequence[str]) -> None:
        """Raise :class:`LabError` if a command names what is outside the folder, or would alter the computer itself."""
        if (
            name == "VBoxManage" and words[1:] and words[0].startswith("-")
        ):  # else what follows would not be looked at
            raise LabError(
                f"Leave out `{words[0]:.20}`: here the command comes first, as in `VBoxManage "
                f"{words[1]:.20}`."
            )
        if (
            name == "VBoxManage"
            and words[:1]
            and (words[0] in _MACHINE_WIDE or words[0].startswith("@"))
        ):
            raise LabError(
                f"`VBoxManage {words[0]}` reaches beyond this lesson's machines, to the computer itself: "
                "use a terminal for it."
            )
        free = (
            {3} if name == "VBoxManage" and words[:1] == ["snapshot"] else set[int]()
        )  # its name may be anything
        free |= {at + 1 for at, word in enumerate(words) if word in _FREE_TEXT}
        for at, word in enumerate(words):
            if at in free or word.partition("=")[0] in _FREE_TEXT:
                continue
            word = _ATTACHED.sub("", word)
            if _ELSEWHERE.search(word):
                raise LabError(
                    f"`{word:.60}` is not a file of this lesson: copy what you need into $PWD, and name it."
                )
            for found in _PATH.finditer(word):
                path = Path(found[0]).expanduser()
                foreign = (
                    os.name == "posix" and PureWindowsPath(found[0]).drive
                )  # meant for a folder elsewhere
                if foreign or not (self.folder / path).resolve().is_relative_to(self.folder):
                    raise LabError(
                        f"`{found[0]:.60}` is outside this lesson's folder, and what is there is yours: "
                        "name files without a folder, or with `$PWD/` before them."
                    )
        bundle = (
            name == "tar" and words[:1] and words[0][:1] != "-" and "P" in words[0]
        )  # as in tar xPf
        if bundle or (name == "tar" and any(map(_NOT_STRIPPED.match, words))):
            raise LabError(
                "That option lets an archive write anywhere on this computer: leave it out, and tar keeps "
                "to this lesson's folder."
            )
        parts = {part for word in words for part in (word, *re.split(r"[=:,\s]", word)) if part}
        named = [
            (self.folder / part).resolve()
            for part in sorted(parts)
            if os.path.isfile(self.folder / part)
        ]
        if name in ("VBoxManage", "tar"):  # they follow names that somebody else has packed
            for path in self.folder.rglob("*"):
                if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(
                    self.folder
                ):
                    raise LabError(
                        f"`{path.name:.60}` is a link that leads outside this lesson's folder, and {name} "
                        "would follow it: run the %lesson cell to start over without it."
                    )
                settings = path.suffix.lower() == ".vbox" or path.name == "VirtualBox.xml"
                settings |= words[:1] == ["registervm"] and path in named  # whatever it is called
                if name == "VBoxManage" and settings and path.is_file():
                    examine_settings(path, self.folder, path.stat().st_mtime_ns)
        if name == "VBoxManage" and "import" in words:
            for path in named:
                examine_appliance(path)
        if name in ("qemu-img", "qemu-io"):
            for path in named:
                self._stays(path, "commit" in words)

    def _stays(self, path: Path, writes: bool) -> None:
        """Raise :class:`LabError` if a disk stands on, or is kept in, files outside the folder.

        QEMU follows the names that it finds in a disk, and ``writes`` into the parent with `commit`, whatever that is.
        """
        seen, raw = set[Path](), False
        while path.is_file() and path not in seen:
            seen.add(path)
            try:
                with open_disk(path, raw=raw) as disk:
                    said, parent, raw = disk.parent, disk.parent_path, disk.parent_raw
                    named = said not in ("", disk.parent_uuid, "not named") and disk.format in (
                        "QCOW2",
                        "QED",
                        "VMDK",
                    )
            except LabError as error:
                if writes or isinstance(error, Elsewhere):
                    raise
                return  # damaged, or not one of ours
            if not named:  # a UUID alone, which only VirtualBox finds, or a format of whose parents QEMU knows nothing
                return
            if not parent or not parent.resolve().is_relative_to(self.folder):
                raise LabError(
                    f"`{path.name:.60}` stands on {said:.60}, outside this lesson's folder, and what is "
                    "there is yours: do not trust whoever made it."
                )
            path = parent

    # -- structured reads -----------------------------------------------------------------------

    def files(self) -> Iterator[Path]:
        """All files of the lesson, sorted, without what VirtualBox notes for itself."""
        for path in sorted(self.folder.rglob("*")):
            if (
                path.is_file()
                and not _PASSING.search(path.name)
                and self.folder / ".virtualbox" not in path.parents
            ):
                yield path

    def _name(self, file: Path) -> str:
        return file.relative_to(self.folder).as_posix()

    def state(self) -> str:
        """Changes whenever a command has changed anything: a hash over all files."""
        found = hashlib.sha256()
        for path in [*self.files(), self.folder / ".virtualbox" / "VirtualBox.xml"]:
            if path.exists():
                about = path.stat()
                text = path.suffix in (
                    ".vbox",
                    ".xml",
                )  # written again now and then, with the same words
                found.update(
                    f"{path}\0{path.read_bytes()!r}\0".encode()
                    if text
                    else f"{path}\0{about.st_size}\0{about.st_mtime_ns}\0".encode()
                )
        return found.hexdigest()

    def graph(self, ask: bool = True) -> Graph:
        """Machines, snapshots and media, from VirtualBox's settings and, unless not to ``ask``, its own words.

        Raises :class:`LabError`.
        """
        if not self.virtualbox:
            return Graph([], [], [])
        return read_home(self.virtualbox.home, self.virtualbox.ask if ask else None, self.thorough)

    def world(self) -> dict[str, Any]:
        """Machines, media (as :meth:`Graph.to_json`), and files with their size in bytes; paths begin with $PWD."""
        files = [
            {"path": self._name(path), "size": path.stat().st_size}
            for path in self.files()
            if path.suffix not in (".vbox", ".nvram")
        ]
        files.sort(
            key=lambda file: (_UUID.sub("{}", str(file["path"])).split("/"), file["size"])
        )  # UUIDs are random
        found = json.dumps({**self.graph().to_json(), "files": files})
        shown = found.replace(json.dumps(str(self.folder))[1:-1], "$PWD")
        return dict(json.loads(shown))

    def disk(self, name: str) -> Disk:
        """A disk file, with the parent that VirtualBox knows for it. Who calls closes it. Raises :class:`LabError`."""
        self.guard("", [name])
        return open_disk(self.folder / name.replace("$PWD", str(self.folder)))

    # -- what a running guest would see and do ---------------------------------------------------

    def _chain(self, machine: str) -> list[Path]:
        """The files of a machine's first disk, that of the current state first. Raises :class:`LabError`."""
        return [Path(medium.location) for medium in self.graph(ask=False).disks(machine)]

    def _guest_write(self, words: Sequence[str]) -> Result:
        """Put a text at the start of one page of a machine's disk, in the file where VirtualBox would write it."""
        machine, page, text = page_of(words)
        top, data = self._chain(machine)[0], text.encode()[:PAGE]
        with open_disk(top) as disk:
            if disk.format != "VMDK":
                raise LabError(
                    f"{machine:.60} has a {disk.format}, and only into a VMDK can one page be written while "
                    "the machine is off: create its disk with `--format VMDK`."
                )
        with tempfile.NamedTemporaryFile(
            dir=self.folder / ".virtualbox", suffix=".part", delete=False
        ) as file:
            file.write(data.ljust(PAGE, b"\0"))
        try:
            done = run(
                [
                    self.program("qemu-io"),
                    "-f",
                    "vmdk",
                    "-c",
                    f"write -s .virtualbox/{Path(file.name).name} {page * PAGE} {PAGE}",
                    str(top),
                ],
                cwd=self.folder,
                timeout=60,
            )  # qemu-io knows no quotes: a path without spaces
        finally:
            Path(file.name).unlink()
        if done.code or "wrote" not in done.out:
            return done
        said = f"page {page}: {PAGE // 1024} KiB written into {top}\n"
        return done._replace(chunks=(("out", said),))

    def guest(self, machine: str) -> list[str]:
        """The text at the start of each of the first PAGES pages, as the machine's guest would read them."""
        with contextlib.ExitStack() as stack:
            disks = [stack.enter_context(open_disk(path)) for path in self._chain(machine)]
            for disk, parent in itertools.pairwise(disks):
                disk.set_parent(parent)
            return [
                disks[0]
                .read(page * PAGE, min(PAGE, disks[0].capacity - page * PAGE))
                .partition(b"\0")[0]
                .decode("utf-8", "replace")
                for page in range(min(PAGES, disks[0].capacity // PAGE))
            ]

    # -- cleaning -------------------------------------------------------------------------------

    def mark(self, lesson: str = "") -> set[str]:
        """What is there now, for :meth:`clean` to leave alone."""
        return {thing["uuid"] for thing in self.world()["machines"]} | {
            *map(self._name, self.files())
        }

    @contextlib.contextmanager
    def undone(self) -> Iterator[None]:
        """Whatever is done inside is undone at the end: every file, and so every machine and UUID, is as it was."""
        saved = self.folder.with_name(f"{self.folder.name}.part")
        self._end()
        shutil.rmtree(saved, ignore_errors=True)
        shutil.copytree(self.folder, saved)
        try:
            yield
        finally:
            self._end()
            shutil.rmtree(self.folder)
            saved.rename(self.folder)

    def _end(self) -> None:
        if self.virtualbox:
            self.virtualbox.end()

    def clean(
        self,
        lesson: str = "",
        since: Container[str] | None = None,
        names: Container[str] | None = None,
    ) -> list[str]:
        """Remove the whole folder; or what is new since a :meth:`mark`, called one of ``names`` if given.

        Says what had to stay.
        """
        if since is None:
            self._end()
            shutil.rmtree(self.folder, ignore_errors=True)
            return (
                [f"{self.folder} stays: a program has files of it open."]
                if self.folder.exists()
                else []
            )
        said: dict[str, str] = {}
        while True:  # clones stand on machines, disks on disks: once more while that helps
            left = list(self._remove(since, names))
            if not left or {name for name, _ in left} == set(said):
                return [f"{name} stays: {why}" for name, why in left]
            said = dict(left)

    def _remove(
        self, since: Container[str], names: Container[str] | None
    ) -> Iterator[tuple[str, str]]:
        """One round of removing; what could not go yet, and why."""
        world = self.world()
        for machine in world["machines"][::-1]:
            if machine["uuid"] not in since and (names is None or machine["name"] in names):
                if clones := [
                    other["name"]
                    for other in world["machines"]
                    if (other["linked_to"] or {}).get("machine") == machine["name"]
                ]:
                    yield (
                        machine["name"],
                        f"{', '.join(clones)} stands on it.",
                    )  # half of it would go otherwise
                    continue
                result = self.run(["VBoxManage", "unregistervm", machine["uuid"], "--delete"])
                if result.code:
                    yield machine["name"], result.err.strip().partition("\n")[0]
        said = (
            self.virtualbox.ask(["list", "hdds"]) if self.virtualbox else ""
        )  # its settings lack what it only opened
        media = {Path(disk.get("Location", "")) for disk in parse_hdds(said)}
        machines = {machine.name for machine in self.graph(ask=False).machines}
        for file in [*self.files()]:
            path = self._name(file)
            owner = path.rpartition("/")[0].partition("/")[0]
            lost = bool(owner) and owner not in machines  # of a machine made without `--register`
            if path in since or (file.suffix in (".vbox", ".nvram") and not lost):
                continue
            if names is None or path in names or (lost and owner in names):
                if file in media:
                    result = self.run(
                        ["VBoxManage", "closemedium", "disk", f"$PWD/{path}", "--delete"]
                    )
                    if not result.code or not file.exists():
                        continue
                    yield path, result.err.strip().partition("\n")[0]
                else:
                    file.unlink(missing_ok=True)


def left_over() -> list[str]:
    """Lessons that have a bench now."""
    found = home() / "bench"
    return sorted(path.name for path in found.iterdir() if path.is_dir()) if found.is_dir() else []
