"""The bench: what a lesson's commands may name, what they change, and what is cleaned."""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from samples import disks as disks_corpus

from labkit.commands import Result
from labkit.errors import LabError, MissingProgram
from labkit.virtualbox import engine as bench
from labkit.virtualbox.engine import Bench, advice, brief, canonical, key, left_over, slow
from labkit.virtualbox.picture import machine_tree


@pytest.fixture
def plain(own_home: Path) -> Bench:
    """A bench without VirtualBox: enough for the guard."""
    found = Bench("77", False)
    found.folder.mkdir(parents=True)
    return found


@pytest.mark.parametrize(
    "words",
    [
        ["createmedium", "disk", "--filename", "a.vdi", "--size", "8"],
        ["createmedium", "--filename=sub/a.vdi"],
        ["createvm", "--name", "a/b", "--groups", "/lab"],
        ["createvm", "--name=/x", "--groups=/lab"],
        ["snapshot", "m", "take", "/etc/passwd", "--description", "../.. and /x"],
        ["snapshot", "m", "delete", "a/../b"],
        ["modifyvm", "m", "--nat-pf1", "ssh,tcp,127.0.0.1,2222,,22"],
        ["list", "vms"],
        ["closemedium", "disk", "./a.vdi"],
        ["clonemedium", "disk", "sub/../a.vdi", "b.vdi"],
        ["createmedium", "--filename", "..a.vdi"],
    ],
)
def test_what_is_inside_may_be_named(plain: Bench, words: list[str]) -> None:
    plain.guard("VBoxManage", words)


@pytest.mark.parametrize(
    "name, words",
    [
        ("VBoxManage", ["createmedium", "disk", "--filename", "/tmp/a.vdi"]),
        ("VBoxManage", ["createmedium", "disk", "--filename=/tmp/a.vdi"]),
        ("VBoxManage", ["registervm", "/home/me/VirtualBox VMs/mine/mine.vbox"]),
        ("VBoxManage", ["closemedium", "disk", "../12/a.vdi", "--delete"]),
        ("VBoxManage", ["closemedium", "disk", "sub/../../a.vdi", "--delete"]),
        ("VBoxManage", ["createvm", "--name", "a", "--basefolder", "~/VMs"]),
        ("VBoxManage", ["createmedium", "--variant", "RawDisk", "--property", "RawDrive=/dev/sda"]),
        ("VBoxManage", ["sharedfolder", "add", "m", "--name", "x", "--hostpath", "/"]),
        ("VBoxManage", ["import", "C:\\Users\\me\\a.ova"]),
        ("VBoxManage", ["import", "\\\\server\\a.ova"]),
        ("qemu-img", ["convert", "/etc/passwd", "a.img"]),
        ("qemu-img", ["info", ".."]),
        (
            "qemu-img",
            ["create", "-f", "qcow2", "-o", "size=1M,backing_file=/etc/passwd", "a.qcow2"],
        ),
        ("qemu-img", ["info", "file:/etc/passwd"]),
        ("qemu-img", ["info", "https://example.org/a.img"]),
        ("qemu-img", ["info", 'json:{"driver":"file","filename":"/etc/passwd"}']),
        ("qemu-img", ["info", "nbd:host:1"]),
        ("qemu-io", ["-c", "open /etc/passwd"]),
        ("tar", ["-C", "/", "-xf", "a.ova"]),
        ("tar", ["--directory=/", "-xf", "a"]),
        ("tar", ["-C..", "-xf", "a"]),
        ("tar", ["-xf", "a", "-C/"]),
        ("tar", ["-xf../a"]),
        ("mke2fs", ["-d", "/etc", "a.img"]),
    ],
)
def test_what_is_outside_is_refused(plain: Bench, name: str, words: list[str]) -> None:
    with pytest.raises(
        LabError, match=r"outside this lesson's folder|not a file of this lesson"
    ) as refused:
        plain.guard(name, words)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "words", ["-xPf a", "-xf a -P", "xPf a", "xfP a", "-xf a --absolute-names", "--abs -xf a"]
)
def test_tar_may_not_take_names_as_they_stand(plain: Bench, words: str) -> None:
    with pytest.raises(LabError, match=r"anywhere on this computer"):
        plain.guard("tar", words.split())


@pytest.mark.parametrize(
    "words", ["-tf P.ova", "-xf a.ova -CP", "-fPack.tar -x", "xf a.ova P", "-xOf a.ova aP.ovf"]
)
def test_tar_may_name_anything_inside(plain: Bench, words: str) -> None:
    plain.guard("tar", words.split())


def test_a_link_does_not_lead_outside(plain: Bench, tmp_path: Path) -> None:
    (plain.folder / "door").symlink_to(tmp_path)
    with pytest.raises(LabError, match="outside"):
        plain.guard("qemu-img", ["info", str(plain.folder / "door" / "x")])
    with pytest.raises(LabError, match="outside"):
        plain.run(["qemu-img", "info", "$PWD/../x"])


@pytest.mark.parametrize(
    "name, words", [("tar", ["-xf", "a.tar"]), ("VBoxManage", ["import", "a.ova"])]
)
def test_links_that_lead_inside_or_nowhere_are_fine(
    plain: Bench, tmp_path: Path, name: str, words: list[str]
) -> None:
    (plain.folder / "sub").mkdir()
    (plain.folder / "sub" / "a").symlink_to("../b")
    (plain.folder / "b").symlink_to("sub/a")
    plain.guard(name, words)
    (plain.folder / "sub" / "door").symlink_to(tmp_path)
    with pytest.raises(LabError, match="`door` is a link that leads outside"):
        plain.guard(name, words)


SETTINGS = """<?xml version="1.0"?>{doctype}<VirtualBox xmlns="http://www.virtualbox.org/" version="1.19-linux">
<Machine uuid="{{01234567-89ab-cdef-0123-456789abcdef}}" name="../m" snapshotFolder="{snapshots}">
<Groups><Group name="/lab"/></Groups><MediaRegistry><HardDisks>
<HardDisk uuid="{{fedcba98-7654-3210-fedc-ba9876543210}}" location="{disk}" format="VDI"/></HardDisks></MediaRegistry>
<Hardware><GuestProperties><GuestProperty name="/VirtualBox/x" value="/home/x"/></GuestProperties>
<SharedFolders><SharedFolder name="docs" hostPath="{shared}"/></SharedFolders></Hardware></Machine></VirtualBox>"""


@pytest.mark.parametrize(
    "field, value, fine",
    [
        ("disk", "m.vdi", True),
        ("disk", "../m.vdi", True),
        ("disk", "HERE/m.vdi", True),
        ("shared", "HERE", True),
        ("disk", "../../m.vdi", False),
        ("disk", "/home/me/m.vdi", False),
        ("disk", "C:\\m.vdi", False),
        ("snapshots", "/home/me", False),
        ("snapshots", "../..", False),
        ("shared", "/", False),
        ("doctype", '<!DOCTYPE x [<!ENTITY y "/home">]>', False),
    ],
)
@pytest.mark.parametrize("where", ["m/m.vbox", "m/m.txt", ".virtualbox/VirtualBox.xml"])
def test_settings_may_name_what_is_inside_alone(
    plain: Bench, where: str, field: str, value: str, fine: bool
) -> None:
    """However they came there: packed in an archive, or registered."""
    path = plain.folder / where
    path.parent.mkdir()
    fields = {"doctype": "", "snapshots": "Snapshots", "disk": "m.vdi", "shared": "../m"}
    fields[field] = value.replace("HERE", str(plain.folder))
    path.write_text(SETTINGS.format(**fields))
    words = ["registervm", f"m/../{where}"] if path.suffix == ".txt" else ["list", "vms"]
    if fine:
        return plain.guard("VBoxManage", words)
    with pytest.raises(
        LabError, match=r"outside this lesson's folder|no settings of VirtualBox have"
    ) as refused:
        plain.guard("VBoxManage", words)
    assert "\n" not in str(refused.value)
    plain.guard("qemu-img", ["info", "m.vdi"])  # which does not read them


def test_damaged_settings_are_left_to_virtualbox(plain: Bench) -> None:
    (plain.folder / "m.vbox").write_text('<VirtualBox disk="/home/me"')
    (plain.folder / "gone.vbox").symlink_to("nowhere")
    plain.guard("VBoxManage", ["registervm", "m.vbox"])


@pytest.mark.parametrize(
    "make, parent",
    [
        (disks_corpus.qcow2, "/home/me/own.img"),
        (disks_corpus.qcow2, "../own.img"),
        (disks_corpus.qed, "/home/me/own.img"),
        (disks_corpus.qcow2, "file:/home/me/own.img"),
        (disks_corpus.qcow2, 'json:{"driver":"file"}'),
        (disks_corpus.vmdk, "/home/me/own.vmdk"),
    ],
)
@pytest.mark.parametrize(
    "words",
    [
        ["qemu-img", "commit", "top"],
        ["qemu-img", "convert", "-O", "raw", "top", "copy"],
        ["qemu-io", "-c", "open top"],
        ["qemu-img", "info", "file:top"],
    ],
)
def test_a_disk_may_not_stand_on_what_is_outside(
    plain: Bench, make: Callable[..., bytes], parent: str, words: list[str]
) -> None:
    middle = disks_corpus.qcow2([None], [0], 65536, "bottom")
    (plain.folder / "top").write_bytes(disks_corpus.qcow2([None], [0], 65536, "middle"))
    (plain.folder / "middle").write_bytes(middle)
    plain.guard(words[0], words[1:])  # what it needs is missing, which QEMU tells
    (plain.folder / "bottom").write_bytes(make([None], [0], 65536, parent))
    with pytest.raises(
        LabError, match=r"`bottom` stands on .*outside this lesson's folder"
    ) as refused:
        plain.guard(words[0], words[1:])
    assert "\n" not in str(refused.value)
    (plain.folder / "bottom").write_bytes(
        disks_corpus.qcow2([None], [0], 65536, str(plain.folder / "top"))
    )
    plain.guard(words[0], words[1:])  # round in a circle, which QEMU tells


def test_a_parent_by_its_uuid_alone_is_virtualboxs_to_find(plain: Bench) -> None:
    text = disks_corpus.vmdk([None], [0], 65536, "own.vmdk")
    assert b'parentFileNameHint="own.vmdk"' in text
    (plain.folder / "a.vmdk").write_bytes(text.replace(b'Hint="own.vmdk"', b'Hint=""        '))
    plain.guard("qemu-io", ["-c", "write 0 1", "a.vmdk"])
    (plain.folder / "a.vmdk").write_bytes(text.replace(b'"own.vmdk"', b'"nbd:x:1" '))
    with pytest.raises(LabError, match=r"stands on .*nbd:x:1, outside"):
        plain.guard("qemu-io", ["-c", "write 0 1", "a.vmdk"])


def test_a_disk_may_not_be_kept_outside(plain: Bench) -> None:
    text = disks_corpus.description("monolithicFlat", ['RW 8 FLAT "/home/me/own.img" 0'])
    (plain.folder / "a.vmdk").write_bytes(text)
    for name, words in (
        ("qemu-io", ["-c", "write 0 1", "a.vmdk"]),
        ("qemu-img", ["convert", "-n", "b", "a.vmdk"]),
    ):
        with pytest.raises(LabError, match="outside its own folder"):
            plain.guard(name, words)


@pytest.mark.qemu
def test_nor_may_the_data_of_a_qcow2(plain: Bench) -> None:
    assert (
        plain.run(
            ["qemu-img", "create", "-f", "qcow2", "-o", "data_file=data.img", "a.qcow2", "1M"]
        ).code
        == 0
    )
    assert plain.run(["qemu-io", "-c", "write -q 0 1", "a.qcow2"]).code == 0
    image = plain.folder / "a.qcow2"
    image.write_bytes(
        image.read_bytes().replace(b"data.img", b"../x.img")
    )  # as in a disk from anywhere
    with pytest.raises(LabError, match=r"keeps its data outside its own folder: \.\./x\.img"):
        plain.run(["qemu-io", "-c", "write -q 0 1", "a.qcow2"])


def test_what_qemu_io_is_told_in_a_cell_names_what_is_inside_alone(plain: Bench) -> None:
    with pytest.raises(LabError, match="outside this lesson's folder"):
        plain.run(["qemu-io"], "open /home/me/own.img\nwrite 0 1M\n")


def test_into_what_is_not_understood_nothing_is_committed(plain: Bench) -> None:
    (plain.folder / "old.qcow").write_bytes(b"QFI\xfb\0\0\0\1" + bytes(504))
    plain.guard("qemu-img", ["info", "old.qcow"])
    with pytest.raises(LabError, match="not read further"):
        plain.guard("qemu-img", ["commit", "old.qcow"])


@pytest.mark.parametrize(
    "command", ["extpack", "hostonlyif", "setproperty", "internalcommands", "@file"]
)
def test_what_would_alter_the_computer_is_refused(plain: Bench, command: str) -> None:
    with pytest.raises(LabError, match="to the computer itself"):
        plain.guard("VBoxManage", [command, "x"])


def test_an_option_before_the_command_hides_nothing(plain: Bench) -> None:
    plain.guard("VBoxManage", ["--version"])
    with pytest.raises(LabError, match="command comes first"):
        plain.guard("VBoxManage", ["-q", "extpack", "install"])


@pytest.mark.parametrize(
    "typed, name",
    [
        ("VBoxManage", "VBoxManage"),
        ("vboxmanage", "VBoxManage"),
        ("qemu_img", "qemu-img"),
        ("guest_write", "guest_write"),
        ("rm", ""),
        ("", ""),
    ],
)
def test_names_of_programs(typed: str, name: str) -> None:
    assert canonical(typed) == name


def test_keys_and_what_is_slow() -> None:
    assert key(["VBoxManage", "createvm", "--name=a=b", "-x=1"]) == [
        "VBoxManage",
        "createvm",
        "--name",
        "a=b",
        "-x=1",
    ]
    assert key(["qemu-img", "--output=json"]) == ["qemu-img", "--output=json"]
    assert (
        slow(["VBoxManage", "clonevm", "x"])
        and not slow(["VBoxManage"])
        and not slow(["qemu-img", "info"])
    )


def test_a_missing_program_says_where_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(bench, "_SBIN", ())
    for name in set(bench.PROGRAMS) - {"VBoxManage"}:
        with pytest.raises(MissingProgram, match=f"{name} is not installed here; get it from "):
            Bench.program(name)


@pytest.mark.parametrize(
    "said, told",
    [
        ("VBoxManage: error: Hard disk 'a' has more than one child hard disk (2)", "%what_if"),
        ("VBoxManage: error: Cannot close medium 'a' because it has 1 child media", "%what_if"),
        (
            "VBoxManage: error: The virtual machine 'm' has terminated unexpectedly during startup",
            "kernel driver",
        ),
        (
            "VBoxManage: error: The machine 'm' is already locked for a session",
            "Another program is using it",
        ),
        (
            'qemu-io: can\'t open device a: Failed to get "write" lock',
            "Another program is using it",
        ),
        ("VBoxManage: error: Could not find a registered machine named 'x'", "list vms"),
        (
            "VBoxManage: error: Could not find a snapshot named 'x'\nVBoxManage: error: Details: code VBOX_E_OBJECT_NOT_FOUND "
            "(0x80bb0001), component SessionMachine, interface IMachine",
            "snapshot MACHINE list",
        ),
        ("VBoxManage: error: This machine does not have any snapshots", "snapshot MACHINE list"),
        ("VBoxManage: error: Machine settings file '/a/full.vbox' already exists", "another name"),
        ("qemu-img: Could not open 'x': No such file or directory", "%folder"),
        ("VBoxManage: error: VERR_DISK_FULL", "free some space"),
        ("qemu-img: x: No space left on device", "free some space"),
        (
            "VBoxManage: error: Resizing to new size 1 is not yet supported for medium 'a'\nVBOX_E_NOT_SUPPORTED",
            "VDI",
        ),
        (
            "VBoxManage: error: Shrinking is not yet supported for medium 'a'\nVBOX_E_NOT_SUPPORTED",
            "no disk smaller",
        ),
        ("VBoxManage: error: Invalid command 'foo'", "spelling"),
    ],
)
def test_advice(said: str, told: str) -> None:
    found = advice(Result(("VBoxManage",), 1, (("err", said + "\n"),)))
    assert told in found and "\n" not in found
    assert advice(Result(("VBoxManage",), 0, (("err", said + "\n"),))) == ""


def test_pages_of_usage_are_left_out() -> None:
    usage = (
        "VBoxManage: error: Invalid command 'foo'\nUsage - Oracle VirtualBox:\n"
        + "  VBoxManage x\n" * 300
    )
    assert (
        brief(Result(("VBoxManage",), 2, (("err", usage),)))
        == "VBoxManage: error: Invalid command 'foo'"
    )
    asked = Result(("VBoxManage",), 0, (("out", "\nUsage - Oracle VirtualBox:\n"),))
    assert brief(asked) == asked.text  # `VBoxManage help`


# -- the real programs --------------------------------------------------------------------------

NEEDS = ("VBoxManage", "qemu-img", "qemu-io")
MACHINE = [
    "createvm --name m --register",
    "createmedium disk --filename m.vmdk --size 16 --format VMDK",
    "storagectl m --name SATA --add sata",
    "storageattach m --storagectl SATA --port 0 --device 0 --type hdd --medium m.vmdk",
]


@pytest.fixture
def ours(own_home: Path) -> Iterator[Bench]:
    found = Bench.open("77", NEEDS)
    yield found
    found.clean()
    assert not found.folder.exists() and left_over() == []


def do(ours: Bench, *lines: str) -> None:
    for line in lines:
        result = ours.run(["VBoxManage", *line.split()])
        assert result.code == 0, result.text


@pytest.mark.virtualbox
@pytest.mark.qemu
class TestReal:
    def test_commands_run_in_the_folder_which_is_called_pwd(self, ours: Bench) -> None:
        do(ours, *MACHINE, "createmedium disk --filename $PWD/sub.vdi --size 8")
        said = ours.run(["VBoxManage", "showmediuminfo", "disk", "m.vmdk"]).out
        assert "Location:       $PWD/m.vmdk\n" in said and str(ours.folder) not in said
        assert [file["path"] for file in ours.world()["files"]] == ["m.vmdk", "sub.vdi"]
        assert {m["location"] for m in ours.world()["media"]} == {"$PWD/m.vmdk", "$PWD/sub.vdi"}
        assert "VirtualBox" in ours.versions(NEEDS) and ours.versions(NEEDS)["QEMU"].startswith(
            "QEMU "
        )
        assert left_over() == ["77"]

    def test_state_changes_when_something_changes(self, ours: Bench) -> None:
        do(ours, *MACHINE)
        state = ours.state()
        for argv in (
            ["VBoxManage", "list", "hdds", "-l"],
            ["VBoxManage", "showvminfo", "m"],
            ["qemu-img", "info", "m.vmdk"],
        ):
            ours.run(argv)
            assert ours.state() == state, argv
        for argv in (
            ["qemu-io", "-f", "vmdk", "-c", "write -q 0 64k", "m.vmdk"],
            ["VBoxManage", "snapshot", "m", "take", "s"],
            ["VBoxManage", "modifyvm", "m", "--memory", "64"],
        ):
            assert ours.run(argv).code == 0
            assert ours.state() != state, argv
            state = ours.state()

    def test_the_guest_reads_what_virtualbox_would_give_it(self, ours: Bench) -> None:
        """The oracle: VirtualBox itself flattens the chain."""
        do(ours, *MACHINE)
        texts = [""] * 16
        for page, text in ((0, "zero"), (1, "año 1"), (15, "last")):
            texts[page] = text
            assert ours.run(["guest_write", "m", str(page), text]).code == 0
        do(ours, "snapshot m take s1")
        ours.run(["guest_write", "m", "1", "one, again"])
        do(ours, "snapshot m take s2", "snapshot m take s3")
        ours.run(["guest_write", "m", "2", "two"])
        texts[1:3] = ["one, again", "two"]
        assert ours.guest("m") == texts
        top = ours.graph().machine("m").media[0]
        do(ours, f"clonemedium disk {top} flat.img --format RAW")
        data = (ours.folder / "flat.img").read_bytes()
        assert [
            data[page << 16 : (page + 1) << 16].partition(b"\0")[0].decode() for page in range(16)
        ] == texts

    @pytest.mark.parametrize(
        "words", [["m"], ["m", "16", "x"], ["m", "-1", "x"], ["m", "a", "x"], ["m", "0", "x", ""]]
    )
    def test_a_page_that_is_none(self, ours: Bench, words: list[str]) -> None:
        with pytest.raises(LabError, match="Use it as `%guest_write"):
            ours.run(["guest_write", *words])

    def test_a_guest_without_a_disk_or_with_another_format(self, ours: Bench) -> None:
        do(ours, "createvm --name m --register")
        with pytest.raises(LabError, match="has no disk"):
            ours.guest("m")
        do(
            ours,
            "createmedium disk --filename m.vdi --size 8",
            *MACHINE[2:3],
            "storageattach m --storagectl SATA --port 0 --device 0 --type hdd --medium m.vdi",
        )
        assert set(ours.guest("m")) == {""}
        with pytest.raises(LabError, match="--format VMDK"):
            ours.run(["guest_write", "m", "0", "x"])

    def test_settings_are_registered_again_unless_they_name_what_is_outside(
        self, ours: Bench, tmp_path: Path
    ) -> None:
        theirs = tmp_path / "theirs.vmdk"
        do(ours, *MACHINE, "snapshot m take s", "clonevm m --snapshot s --options link --name seat")
        do(
            ours,
            "registervm seat/seat.vbox",
            "sharedfolder add seat --name x --hostpath $PWD",
            "unregistervm m",
        )
        settings = ours.folder / "m" / "m.vbox"
        text = settings.read_text("utf-8")
        assert "../m.vmdk" in text or "m.vmdk" in text
        do(ours, "registervm m/m.vbox", "unregistervm m")
        theirs.write_bytes((ours.folder / "m.vmdk").read_bytes())
        settings.write_text(
            re.sub(r'location="[^"]*m.vmdk"', f'location="{theirs}"', text), "utf-8"
        )
        with pytest.raises(
            LabError, match=r"names .* outside this lesson's folder, and VirtualBox"
        ):
            ours.run(["VBoxManage", "registervm", "m/m.vbox"])
        settings.write_text(text, "utf-8")
        do(ours, "registervm m/m.vbox")

    def test_an_archive_may_not_put_another_registry_in_place(
        self, ours: Bench, tmp_path: Path
    ) -> None:
        registry = ours.folder / ".virtualbox" / "VirtualBox.xml"
        evil = registry.read_text("utf-8").replace(f'"{ours.folder}"', f'"{tmp_path}"')
        assert str(tmp_path) in evil
        with tarfile.open(ours.folder / "evil.tar", "w") as archive:
            info = tarfile.TarInfo(".virtualbox/VirtualBox.xml")
            info.size = len(evil.encode())
            archive.addfile(info, io.BytesIO(evil.encode()))
        assert ours.run(["tar", "-xf", "evil.tar"]).code == 0
        with pytest.raises(
            LabError, match=r"names .* outside this lesson's folder, and VirtualBox"
        ):
            ours.run(["VBoxManage", "createvm", "--name", "m", "--register"])

    def test_what_qemu_made_and_virtualbox_opened_goes_from_its_registry_too(
        self, ours: Bench
    ) -> None:
        mark = ours.mark()
        assert ours.run(["qemu-img", "create", "-q", "-f", "vdi", "new.vdi", "8M"]).code == 0
        do(ours, "modifymedium disk new.vdi --resize 16")
        assert ours.clean("77", mark) == []
        do(ours, "createmedium disk --filename new.vdi --size 8")

    def test_what_a_task_made_goes_and_the_rest_stays(self, ours: Bench) -> None:
        do(ours, *MACHINE, "snapshot m take s")
        mark, before = ours.mark(), ours.world()
        do(
            ours,
            "clonevm m --snapshot s --options link --name linked --register",
            "clonevm m --name full --register",
            "snapshot linked take deeper",
            "createmedium disk --filename more.vdi --size 8",
        )
        (ours.folder / "note.txt").write_text("x")
        assert ours.clean("77", mark, {"full", "more.vdi"}) == []
        assert {m["name"] for m in ours.world()["machines"]} == {"m", "linked"}
        assert "note.txt" in {file["path"] for file in ours.world()["files"]}
        assert ours.clean("77", mark) == []
        assert ours.world() == before

    def test_a_machine_that_was_not_registered_goes_too(self, ours: Bench) -> None:
        do(ours, *MACHINE, "snapshot m take s", "clonevm m --snapshot s --options link --name kept")
        mark, before = ours.mark(), sorted(ours.files())
        do(
            ours,
            "clonevm m --snapshot s --options link --name lost",
            "clonevm m --name full --register",
        )
        assert ours.clean("77", mark, {"lost", "m", "kept"}) == []
        assert (ours.folder / "full" / "full.vbox").exists() and not (
            ours.folder / "lost" / "lost.vbox"
        ).exists()
        do(
            ours, "clonevm m --snapshot s --options link --name lost --register"
        )  # its name is free again
        assert ours.clean("77", mark) == []
        assert sorted(ours.files()) == before

    def test_what_another_stands_on_stays_whole(self, ours: Bench) -> None:
        mark = ours.mark()
        do(
            ours,
            *MACHINE,
            "snapshot m take s",
            "clonevm m --snapshot s --options link --name linked --register",
        )
        before = ours.world()
        assert ours.clean("77", mark, {"m"}) == ["m stays: linked stands on it."]
        assert ours.world() == before

    def test_a_trial_leaves_no_trace(self, ours: Bench) -> None:
        do(ours, *MACHINE)
        before, state = ours.world(), ours.state()
        with ours.undone():
            do(ours, "snapshot m take s", "unregistervm m --delete")
            assert ours.world() != before
        assert ours.world() == before and ours.state() == state

    @pytest.mark.skipif(
        not Path("/proc/self/fd").is_dir(), reason="sees in /proc when the disk is open"
    )
    def test_a_disk_in_use_is_told_and_nothing_is_lost(self, ours: Bench) -> None:
        do(ours, *MACHINE)
        before = (ours.folder / "m.vmdk").read_bytes()
        disk = ours.folder / "m.vmdk"
        holder = subprocess.Popen(
            ["qemu-io", "-f", "vmdk", str(disk)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        try:
            deadline = time.monotonic() + 10
            while disk not in [
                Path(os.readlink(fd)) for fd in Path(f"/proc/{holder.pid}/fd").iterdir()
            ]:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            time.sleep(0.2)  # it locks what it has opened
            result = ours.run(["guest_write", "m", "0", "x"])
            assert "lock" in result.text and disk.read_bytes() == before
            assert "Another program is using it" in advice(result)
        finally:
            holder.kill()
            holder.wait()

    def test_a_disk_that_is_gone_or_moved(self, ours: Bench) -> None:
        do(ours, *MACHINE, "snapshot m take s")
        (ours.folder / "m.vmdk").rename(ours.folder / "moved.vmdk")
        with pytest.raises(LabError) as said:
            ours.guest("m")
        assert "m.vmdk" in str(said.value) and "\n" not in str(said.value)
        assert ours.world()["machines"][0]["name"] == "m"
        (ours.folder / "moved.vmdk").rename(ours.folder / "m.vmdk")
        assert set(ours.guest("m")) == {""}

    @pytest.mark.skipif(
        os.name != "posix" or os.geteuid() != 0, reason="mounting a small disk needs root"
    )
    def test_the_disk_of_the_computer_is_full(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        small = tmp_path / "small"
        small.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(small)]
        if subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("this machine does not let root mount a tmpfs")
        try:
            monkeypatch.setenv("LABKIT_HOME", str(small))
            full = Bench.open("77", NEEDS)
            do(full, *MACHINE)
            result = full.run(
                [
                    "VBoxManage",
                    "createmedium",
                    "disk",
                    "--filename",
                    "big.vdi",
                    "--size",
                    "64",
                    "--variant",
                    "Fixed",
                ]
            )
            assert result.code and "free some space" in advice(result), result.text
            assert '"m"' in full.run(["VBoxManage", "list", "vms"]).out
            full.clean()
        finally:
            subprocess.run(["umount", str(small)], check=True)

    def test_names_that_are_hard(self, ours: Bench) -> None:
        do(ours, *MACHINE)
        names = [
            'with "quotes"',
            "a/b\\c",
            "two\nlines",
            "snow ☃ and 😀",
            "-" + "x" * 1000,
            "it's $HOME",
        ]
        for name in names:
            forged = f'SnapshotName-9="{name}"'
            result = ours.run(
                ["VBoxManage", "snapshot", "m", "take", name, "--description", forged]
            )
            assert result.code == 0, result.text
        graph = ours.graph()
        assert [snapshot.name for snapshot in graph.machine("m").snapshots] == names
        text = str(machine_tree(graph))
        assert text and all(len(line) < 300 for line in text.splitlines())

    def test_two_of_one_name(self, ours: Bench) -> None:
        do(ours, *MACHINE, "snapshot m take s", "snapshot m take s")
        again = ours.run(["VBoxManage", "createvm", "--name", "m", "--register"])
        assert again.code and "another name" in advice(again)
        assert len(ours.graph().machine("m").snapshots) == 2
        (ours.folder / "copy.vmdk").write_bytes(
            (ours.folder / "m.vmdk").read_bytes()
        )  # and so with the same UUID
        twice = ours.run(
            [
                "VBoxManage",
                "storageattach",
                "m",
                "--storagectl",
                "SATA",
                "--port",
                "1",
                "--device",
                "0",
                "--type",
                "hdd",
                "--medium",
                "copy.vmdk",
            ]
        )
        assert twice.code and "another name" in advice(twice), twice.text
