"""What commands may name: files of the lesson's folder, and nothing that leads out of it.

A table says for each program which rules its commands must keep; each rule raises LabError for
what would reach what is the student's own, or the computer itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

from labkit.disks import Elsewhere, open_disk
from labkit.errors import LabError
from labkit.show.text import clean
from labkit.virtualbox import guest, untrusted

# Beyond a lesson's folder: they alter the machine itself, reach other hosts, or run what they get.
_MACHINE_WIDE = {
    *("extpack", "hostonlyif", "hostonlynet", "updatecheck", "cloud", "cloudprofile"),
    *("internalcommands", "setproperty", "usbdevsource", "signova"),
}
_FREE_TEXT = {
    *("--name", "--description", "--groups", "--snapshot", "--new-name", "--vmname", "--unit")
}
_PATH = re.compile(  # within a word, what begins at a root or at home, or climbs with ..
    r"(?:(?<=[=:,;\s])|^)"
    r"(?:(?:[A-Za-z]:[\\/]|[\\/~])[^,;]*|[^=:,;\s]*\.\.(?:[\\/][^,;]*|$))"
)
_ATTACHED = re.compile(r"^-[A-Za-z]+?(?=[\\/~.]|[A-Za-z]:[\\/])")  # as in tar's -C.. and -C/
_NOT_STRIPPED = re.compile(r"--ab|--insecure|-[^-bCfFgHIKLNTVX]*P")  # tar takes / and .. as is
_ELSEWHERE = re.compile(
    r"\w+://|(?:^|[=,])(?:json|nbd|ssh|fat|host_device|blkdebug|rbd|nfs|iscsi|gluster):"
)
_FOLLOWED = ("QCOW2", "QED", "VMDK")  # formats whose parents QEMU finds by name
_DESCRIPTION = 1 << 20  # bytes that QEMU reads of a VMDK's description
_EXTENT = re.compile(  # how a line of it begins that names a file
    rb"(?:^|\n)[ \t\r\v\f]*(?:RW|RDONLY|NOACCESS)"
)


class Asked(NamedTuple):
    """A command about to run: the program ``name``, its ``words``, and the lesson's ``folder``."""

    name: str
    words: list[str]
    folder: Path

    @property
    def files(self) -> list[Path]:
        """The files of the folder that its words name."""
        parts = {
            part
            for word in self.words
            for part in (word, *re.split(r"[=:,\s]", word))
            if part and os.path.isfile(self.folder / part)
        }
        return [(self.folder / part).resolve() for part in sorted(parts)]


Rule = Callable[[Asked], None]


def guard(asked: Asked) -> None:
    """Raise :class:`LabError` if a command names what is outside the folder, or more than that."""
    for rule in RULES.get(asked.name, PATHS):
        rule(asked)


def command_first(asked: Asked) -> None:
    """Else what follows a general option would not be looked at."""
    if asked.words[1:] and asked.words[0].startswith("-"):
        raise LabError(
            "Leave out `{option:.20}`: here the command comes first, as in `VBoxManage "
            "{command:.20}`.",
            option=clean(asked.words[0]),
            command=clean(asked.words[1]),
        )


def not_machine_wide(asked: Asked) -> None:
    """A lesson alters its machines, not the computer that they run on."""
    command = "".join(asked.words[:1])
    if command in _MACHINE_WIDE or command.startswith("@"):
        raise LabError(
            "`VBoxManage {command:.40}` reaches beyond this lesson's machines, to the computer "
            "itself: use a terminal for it.",
            command=clean(command),
        )


def names_inside(asked: Asked) -> None:
    """Whatever looks like a path must lie in the folder."""
    for word in _not_free(asked):
        bare = _ATTACHED.sub("", word)
        if _ELSEWHERE.search(bare):
            raise LabError(
                "`{word:.60}` is not a file of this lesson: copy what you need into $PWD, and "
                "name it.",
                word=clean(bare),
            )
        for found in _PATH.finditer(bare):
            _must_be_inside(asked, found[0])


def _not_free(asked: Asked) -> Iterator[str]:
    """The words that may name a file: of VBoxManage's not those that it takes for a mere text."""
    if asked.name != "VBoxManage":
        yield from asked.words
        return
    text_follows = False
    for place, word in enumerate(asked.words):
        of_a_snapshot = place == 3 and asked.words[0] == "snapshot"
        is_text = text_follows or of_a_snapshot
        option, equals, _text = word.partition("=")
        with_text = option in _FREE_TEXT and not is_text
        text_follows = with_text and not equals
        if not is_text and not with_text:
            yield word


def _must_be_inside(asked: Asked, text: str) -> None:
    foreign = os.name == "posix" and PureWindowsPath(text).drive  # meant for a folder elsewhere
    try:
        path = (asked.folder / os.path.expanduser(text)).resolve()  # where its links lead
        inside = path.is_relative_to(asked.folder)
    except ValueError:  # no file can be called so
        inside = False
    if foreign or not inside:
        raise LabError(
            "`{path:.60}` is outside this lesson's folder, and what is there is yours: name "
            "files without a folder, or with `$PWD/` before them.",
            path=clean(text),
        )


def links_inside(asked: Asked) -> None:
    """Every program follows links, and somebody else may have packed them."""
    for path in asked.folder.rglob("*"):
        if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(asked.folder):
            raise LabError(
                "`{name:.60}` is a link that leads outside this lesson's folder, and commands "
                "would follow it: run the %lesson cell to start over without it.",
                name=clean(path.name),
            )


def archive_inside(asked: Asked) -> None:
    """tar takes / and .. off the names in an archive, unless it is told not to."""
    first = "".join(asked.words[:1])
    bundle = not first.startswith("-") and "P" in first  # as in tar xPf
    if bundle or any(map(_NOT_STRIPPED.match, asked.words)):
        raise LabError(
            "That option lets an archive write anywhere on this computer: leave it out, and "
            "tar keeps to this lesson's folder."
        )


def settings_inside(asked: Asked) -> None:
    """VirtualBox uses whatever files its settings name; what is registered is settings, too."""
    registered = asked.files if asked.words[:1] == ["registervm"] else []
    for path in asked.folder.rglob("*"):
        settings = path.suffix.lower() == ".vbox" or path.name == "VirtualBox.xml"
        if (settings or path in registered) and path.is_file():
            untrusted.examine_settings(path, asked.folder, path.stat().st_mtime_ns)


def appliances_inside(asked: Asked) -> None:
    """VirtualBox writes where an appliance says."""
    if "import" in asked.words:
        for path in asked.files:
            untrusted.examine_appliance(path)


def extents_inside(asked: Asked) -> None:
    """VirtualBox and QEMU use whatever files the description of a VMDK names.

    What looks like one is taken for one, also where our own reader would see no VMDK: QEMU does so
    if it is told the format, or if only comments come before ``version=1``.
    """
    for path in asked.folder.rglob("*"):
        for name in _extents(path):
            if {"/", "\\", ":"} & set(name):
                raise LabError(
                    "`{name:.60}` says that its data is in {extent:.60}, outside its own folder: "
                    "run the %lesson cell to start over without it, and do not trust whoever "
                    "made it.",
                    name=clean(path.name),
                    extent=clean(name),
                )


def _extents(path: Path) -> list[str]:
    """The names that would be a VMDK's extents if a file is one.

    Source: VMware, Virtual Disk Format 5.0 (technical note); QEMU, block/vmdk.c.
    """
    if not path.is_file():
        return []
    try:
        with path.open("rb") as file:
            text = file.read(_DESCRIPTION)
            if text.startswith(b"KDMV"):  # the header says at which sector it stands
                file.seek(int.from_bytes(text[28:36], "little") * 512)
                text = file.read(_DESCRIPTION)
    except (OSError, OverflowError, ValueError):
        return []  # nor can the programs
    pieces = text.split(b'"')
    names = (name for before, name in pairwise(pieces) if _EXTENT.search(before))
    return [name.decode("utf-8", "replace") for name in names]


def disks_inside(asked: Asked) -> None:
    """QEMU follows names it finds in a disk; `commit` writes into the parent, whatever it is."""
    for path in asked.files:
        _stands_inside(asked, path, writes="commit" in asked.words)


def _stands_inside(asked: Asked, path: Path, writes: bool) -> None:
    seen: set[Path] = set()
    raw = False
    while path.is_file() and path not in seen:
        seen.add(path)
        try:
            with open_disk(path, raw=raw) as disk:
                named, parent, raw = disk.parent, disk.parent_path, disk.parent_raw
                by_uuid = named in ("", disk.parent_uuid, "not named")
                followed = not by_uuid and disk.format in _FOLLOWED
        except LabError as error:
            if writes or isinstance(error, Elsewhere):
                raise
            return  # damaged, or not one of ours
        if not followed:  # a UUID alone, which only VirtualBox finds
            return
        if not parent or not parent.resolve().is_relative_to(asked.folder):
            raise LabError(
                "`{name:.60}` stands on {parent:.60}, outside this lesson's folder, and what "
                "is there is yours: do not trust whoever made it.",
                name=clean(path.name),
                parent=named,
            )
        path = parent


PATHS: tuple[Rule, ...] = (names_inside, links_inside)  # of programs that are not in the table
RULES: dict[str, tuple[Rule, ...]] = {
    "VBoxManage": (
        command_first,
        not_machine_wide,
        *PATHS,
        settings_inside,
        appliances_inside,
        extents_inside,
    ),
    guest.WRITE: (links_inside, settings_inside, extents_inside),
    "qemu-img": (*PATHS, extents_inside, disks_inside),
    "qemu-io": (*PATHS, extents_inside, disks_inside),
    "tar": (*PATHS, archive_inside),
}
