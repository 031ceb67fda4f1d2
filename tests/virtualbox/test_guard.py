"""What a command of the bench may name, and for each rule what would be lost without it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from samples import disks
from samples.benches import PROGRAMS, opened, outside
from samples.errors import refused
from samples.traps import (
    DISGUISED,
    KEPT,
    MEDIUM,
    OWN,
    THEIRS,
    WORDS,
    Trap,
    archive,
    beside,
    climbing,
    described,
    embedded,
    link,
    no_trap,
    registered,
    spread,
    standing,
)

from labkit.virtualbox import guest
from labkit.virtualbox.engine import Bench
from labkit.virtualbox.guard import (
    PATHS,
    RULES,
    Asked,
    Rule,
    appliances_inside,
    archive_inside,
    command_first,
    disks_inside,
    extents_inside,
    guard,
    links_inside,
    names_inside,
    not_machine_wide,
    settings_inside,
)
from labkit.words import split

OUTSIDE = "outside this lesson's folder"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A lesson's folder, and a student's own things beside it."""
    found = tmp_path / "bench" / "77"
    found.mkdir(parents=True)
    return found


def look(folder: Path, line: str, *words: str) -> None:
    """What is said of a command: a line, its program first, and more words."""
    name, *typed = line.split()
    guard(Asked(name, [*typed, *words], folder))


# -- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "VBoxManage list vms",
        "VBoxManage createmedium disk --filename a.vdi --size 8",
        "VBoxManage createmedium --filename=sub/a.vdi",
        "VBoxManage createmedium --filename ..a.vdi",
        "VBoxManage closemedium disk ./a.vdi",
        "VBoxManage clonemedium disk sub/../a.vdi b.vdi",
        "VBoxManage modifyvm m --nat-pf1 ssh,tcp,127.0.0.1,2222,,22",
        "VBoxManage createvm --name a/b --groups /lab",
        "VBoxManage createvm --name=/x --groups=/lab",
        "VBoxManage snapshot m take /etc/passwd --description ../..",
        "VBoxManage snapshot m delete a/../b",
        "VBoxManage snapshot m take --name",
        "guest_write m 0 /etc/passwd",
        "tar -tf P.ova",
        "tar -xf a.ova -CP",
        "tar -fPack.tar -x",
        "tar xf a.ova P",
        "tar -xOf a.ova aP.ovf",
        "qemu-img info ~nobody-of-that-name/a.img",
    ],
)
def test_what_is_inside_may_be_named_and_texts_may_say_anything(folder: Path, line: str) -> None:
    look(folder, line)


@pytest.mark.parametrize(
    "line",
    [
        "VBoxManage createmedium disk --filename /tmp/a.vdi",
        "VBoxManage createmedium disk --filename=/tmp/a.vdi",
        "VBoxManage closemedium disk ../12/a.vdi --delete",
        "VBoxManage closemedium disk sub/../../a.vdi --delete",
        "VBoxManage createvm --name a --basefolder ~/VMs",
        "VBoxManage createmedium --variant RawDisk --property RawDrive=/dev/sda",
        "VBoxManage sharedfolder add m --name x --hostpath /",
        "VBoxManage import C:\\Users\\me\\a.ova",
        "VBoxManage import \\\\server\\a.ova",
        # A text that is called like an option has no text of its own.
        "VBoxManage import --vmname --unit /home/me/a.ova",
        "VBoxManage snapshot m take --description /home/me/a.ova",
        "qemu-img convert /etc/passwd a.img",
        "qemu-img info ..",
        "qemu-img create -f qcow2 -o size=1M,backing_file=/etc/passwd a.qcow2",
        "qemu-img info file:/etc/passwd",
        "qemu-io -c",  # and "open /etc/passwd"
        "tar -C / -xf a.ova",
        "tar --directory=/ -xf a",
        "tar -C.. -xf a",
        "tar -xf a -C/",
        "tar -xf../a",
        "mke2fs -d /etc a.img",
    ],
)
def test_what_is_outside_may_not_be_named(folder: Path, line: str) -> None:
    more = ["open /etc/passwd"] if line.endswith("-c") else []
    assert OUTSIDE in refused(look, folder, line, *more)


@pytest.mark.parametrize(
    "word",
    [
        "https://example.org/a.img",
        'json:{"driver":"file","filename":"/etc/passwd"}',
        'backing_file=json:{"driver":"file","filename":"/etc/passwd"}',
        "nbd:host:1",
    ],
)
def test_what_is_no_file_of_the_lesson_may_not_be_named(folder: Path, word: str) -> None:
    assert "is not a file of this lesson" in refused(look, folder, "qemu-img info", word)


@pytest.mark.parametrize("text", ["/a\0b", "../\0", "/\ud800", "/a\nb", "/" + "x" * 5000, "@a\nb"])
@pytest.mark.parametrize("program", [*RULES, "mke2fs"])
def test_whatever_is_typed_is_at_most_refused(folder: Path, program: str, text: str) -> None:
    if program == guest.WRITE or (text[0] == "@" and program != "VBoxManage"):
        look(folder, program, text, text)
    else:
        refused(look, folder, program, text, text)


@pytest.mark.parametrize("command", ["extpack", "hostonlyif", "setproperty", "@file"])
def test_what_would_alter_the_computer_is_refused(folder: Path, command: str) -> None:
    assert "to the computer itself" in refused(look, folder, f"VBoxManage {command} x")
    assert "command comes first" in refused(look, folder, f"VBoxManage -q {command} x")
    look(folder, "VBoxManage --version")


@pytest.mark.parametrize(
    "line", ["-xPf a", "-xf a -P", "xPf a", "xfP a", "-xf a --absolute-names", "--abs -xf a"]
)
def test_tar_may_not_take_names_as_they_stand(folder: Path, line: str) -> None:
    assert "anywhere on this computer" in refused(look, folder, f"tar {line}")


# -- what files of the folder name --------------------------------------------------------------


@pytest.mark.parametrize("line", ["tar -xf a", "VBoxManage list vms", "mke2fs a", "guest_write"])
def test_links_may_lead_inside_or_nowhere(folder: Path, tmp_path: Path, line: str) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "a").symlink_to("../b")
    (folder / "b").symlink_to("sub/a")
    look(folder, line)
    (folder / "sub" / "door").symlink_to(tmp_path)
    assert "`door` is a link that leads outside" in refused(look, folder, line)
    assert OUTSIDE in refused(look, folder, f"qemu-img info {folder}/sub/door/x")


@pytest.mark.parametrize(
    "line, file, examined",
    [
        ("VBoxManage list vms", "m/m.vbox", True),
        ("VBoxManage list vms", "m/M.VBOX", True),
        ("VBoxManage list vms", ".virtualbox/VirtualBox.xml", True),
        ("VBoxManage list vms", "m/m.txt", False),
        ("VBoxManage registervm m/../m/m.txt", "m/m.txt", True),
        ("guest_write m 0 x", ".virtualbox/VirtualBox.xml", True),
        ("qemu-img info m.vdi", "m/m.vbox", False),  # which does not read them
    ],
)
def test_settings_are_examined_whatever_they_are_called(
    folder: Path, line: str, file: str, examined: bool
) -> None:
    path = folder / file
    path.parent.mkdir()
    path.write_text('<VirtualBox xmlns="http://www.virtualbox.org/"><X y="/home/me"/></VirtualBox>')
    if examined:
        assert OUTSIDE in refused(look, folder, line)
    else:
        look(folder, line)


def test_damaged_settings_are_left_to_virtualbox(folder: Path) -> None:
    (folder / "m.vbox").write_text('<VirtualBox disk="/home/me"')
    (folder / "gone.vbox").symlink_to("nowhere")
    look(folder, "VBoxManage registervm m.vbox")


@pytest.mark.parametrize(
    "make, parent",
    [
        (disks.qcow2, "/home/me/own.img"),
        (disks.qcow2, "../own.img"),
        (disks.qcow2, "file:/home/me/own.img"),
        (disks.qcow2, 'json:{"driver":"file"}'),
        (disks.vmdk, "/home/me/own.vmdk"),
        pytest.param(disks.qed, "/home/me/own.img", marks=pytest.mark.live("qemu-img")),
    ],
)
@pytest.mark.parametrize(
    "line",
    [
        "qemu-img commit top",
        "qemu-img convert -O raw top copy",
        "qemu-img info file:top",
        "qemu-io",
    ],
)
def test_a_disk_may_not_stand_on_what_is_outside(
    folder: Path, make: Callable[..., bytes], parent: str, line: str
) -> None:
    def put(name: str, made: Callable[..., bytes], below: str) -> None:
        (folder / name).write_bytes(made([None], [0], 65536, below))

    words = ["-c", "open top"] if line == "qemu-io" else []
    put("top", disks.qcow2, "middle")
    put("middle", disks.qcow2, "bottom")
    look(folder, line, *words)  # what it needs is missing, which QEMU tells
    put("bottom", make, parent)
    assert "`bottom` stands on " in refused(look, folder, line, *words)
    put("bottom", disks.qcow2, str(folder / "top"))
    look(folder, line, *words)  # round in a circle, which QEMU tells


def test_a_parent_by_its_uuid_alone_is_virtualboxs_to_find(folder: Path) -> None:
    text = disks.vmdk([None], [0], 65536, "own.vmdk")
    assert b'parentFileNameHint="own.vmdk"' in text
    (folder / "a.vmdk").write_bytes(text.replace(b'Hint="own.vmdk"', b'Hint=""        '))
    look(folder, "qemu-io a.vmdk")
    (folder / "a.vmdk").write_bytes(text.replace(b'"own.vmdk"', b'"nbd:x:1" '))
    assert "nbd:x:1, outside" in refused(look, folder, "qemu-io a.vmdk")


@pytest.mark.live("qemu-img")
def test_nor_may_the_data_of_a_qcow2_be_kept_there(plain: Bench) -> None:
    for line in (
        "qemu-img create -f qcow2 -o data_file=data.img a.qcow2 1M",
        "qemu-io -c 'write -q 0 1' a.qcow2",
    ):
        assert plain.command(split(line)).code == 0
    image = plain.folder.path / "a.qcow2"
    image.write_bytes(image.read_bytes().replace(b"data.img", b"../x.img"))
    assert "outside its own folder: ../x.img" in refused(plain.command, split(line))


def test_into_what_is_not_understood_nothing_is_committed(folder: Path) -> None:
    (folder / "old.qcow").write_bytes(b"QFI\xfb\0\0\0\1" + bytes(504))
    look(folder, "qemu-img info old.qcow")
    assert "not read further" in refused(look, folder, "qemu-img commit old.qcow")


@pytest.mark.parametrize("extent", ["/home/me/own.img", "../own.img", "sub\\own.img", "nbd:x:1"])
@pytest.mark.parametrize(
    "make", [bytes, embedded, lambda text: text.replace(b"RW 2048 FLAT", b" \tRW\n2048 FLAT\n")]
)
@pytest.mark.parametrize("begin", ["# Disk DescriptorFile", "# any comment"])
def test_a_disk_may_not_be_kept_outside(
    folder: Path, make: Callable[[bytes], bytes], begin: str, extent: str
) -> None:
    (folder / "a").write_bytes(make(described("own.img", begin)))
    for line in ("VBoxManage list hdds", "qemu-img info b", "qemu-io", "guest_write m 0 x"):
        look(folder, line)
    (folder / "a").write_bytes(make(described(extent, begin)))
    for line in ("VBoxManage list hdds", "qemu-img info b", "qemu-io", "guest_write m 0 x"):
        assert "outside its own folder" in refused(look, folder, line)
    look(folder, "tar -tf a")  # which does not read it


def test_a_description_that_is_nowhere_names_nothing(folder: Path) -> None:
    text = embedded(described("/home/me/own.img"))
    for place in (1 << 20, 1 << 52, (1 << 64) - 1):
        (folder / "a").write_bytes(text[:28] + place.to_bytes(8, "little") + text[36:])
        look(folder, "qemu-img info b")


# -- what would be lost -------------------------------------------------------------------------

NEEDS = {
    "VBoxManage": ("virtualbox",),
    guest.WRITE: ("virtualbox", "qemu-img"),
    "qemu-img": ("qemu-img",),
    "qemu-io": ("qemu-img",),
}


class Loss(NamedTuple):
    """A command that reaches a student's things, once a trap is laid and a rule is left out."""

    rule: Rule
    line: str
    trap: Trap = no_trap

    @property
    def program(self) -> str:
        return self.line.partition(" ")[0]


LOSSES = [
    Loss(command_first, "VBoxManage -q @words", WORDS),
    Loss(not_machine_wide, "VBoxManage @words", WORDS),
    Loss(names_inside, f"VBoxManage {MEDIUM} {THEIRS}/x.vdi"),
    Loss(links_inside, f"VBoxManage {MEDIUM} door/x.vdi", link("door", "")),
    Loss(settings_inside, "VBoxManage unregistervm m --delete", registered),
    Loss(appliances_inside, "VBoxManage import a.ova", climbing),
    Loss(extents_inside, "VBoxManage clonemedium a.vmdk copy.img --format RAW", KEPT),
    Loss(links_inside, "guest_write m 0 evil", beside(spread("a.img"), link("a.img"))),
    Loss(settings_inside, "guest_write m 0 evil", registered),
    Loss(extents_inside, "guest_write m 0 evil", spread("THEIRS/own.img")),
    Loss(names_inside, f"qemu-img convert -O raw {THEIRS}/own.img copy"),
    Loss(links_inside, "qemu-img resize -f raw a.img 2M", link("a.img")),
    Loss(extents_inside, "qemu-img convert -O raw a.vmdk copy", DISGUISED),
    Loss(disks_inside, "qemu-img commit a.qcow2", standing(bytes(65536))),
    Loss(names_inside, f"qemu-io -f raw -c 'write 0 1' {THEIRS}/own.img"),
    Loss(links_inside, "qemu-io -f raw -c 'write 0 1' a.img", link("a.img")),
    Loss(extents_inside, "qemu-io -f vmdk -c 'write 0 1' a.vmdk", DISGUISED),
    Loss(disks_inside, "qemu-io -c 'read -v 0 512' a.qcow2", standing(None)),
    Loss(names_inside, f"tar -xf a.tar -C {THEIRS}", archive("evil")),
    Loss(links_inside, "tar -xf a.tar", beside(archive("door/evil"), link("door", ""))),
    Loss(archive_inside, "tar -xPf a.tar", archive(f"{THEIRS}/evil")),
    Loss(names_inside, f"mke2fs -q -F {THEIRS}/own.img"),
    Loss(links_inside, "mke2fs -q -F a.img", link("a.img")),
]


def test_each_rule_of_each_program_has_its_loss() -> None:
    table = {**RULES, "mke2fs": PATHS}
    rules = [(program, rule) for program, rules in table.items() for rule in rules]
    assert sorted(rules, key=str) == sorted(((at.program, at.rule) for at in LOSSES), key=str)


@pytest.mark.parametrize(
    "loss",
    [
        pytest.param(
            loss,
            id=f"{loss.program} {loss.rule.__name__}",
            marks=pytest.mark.live(*NEEDS.get(loss.program, (loss.program,))),
        )
        for loss in LOSSES
    ],
)
def test_what_would_be_lost_without_a_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loss: Loss
) -> None:
    """Once the programs themselves refuse one, this fails, and that rule may go."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "own.img").write_bytes(OWN.ljust(1 << 20, b"\0"))
    with opened(*(PROGRAMS if "virtualbox" in NEEDS.get(loss.program, ()) else ())) as bench:
        loss.trap(bench, theirs)
        before = outside(bench.folder, tmp_path)

        def is_lost(told: str = "") -> bool:
            files = [path for path in bench.folder.files() if not path.is_symlink()]
            read = any(OWN in path.read_bytes() for path in files)
            return read or OWN.decode() in told or outside(bench.folder, tmp_path) != before

        argv = split(loss.line)
        refused(bench.command, argv)
        assert not is_lost()
        rules = RULES.get(loss.program, PATHS)
        without = tuple(rule for rule in rules if rule is not loss.rule)
        monkeypatch.setitem(RULES, loss.program, without)
        result = bench.command(argv)
        assert result.code == 0 and is_lost(result.text), result.text
