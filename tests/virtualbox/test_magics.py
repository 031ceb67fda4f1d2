"""The magics of machines and disks on recordings: what is typed, right and wrong."""

from __future__ import annotations

import re

import pytest
from conftest import Notebook

from labkit.virtualbox import reads

GROWS = "createmedium disk --filename grows.vdi --size 64"


@pytest.fixture
def seven(replay: Notebook) -> Notebook:
    replay.run("%load_ext labkit\n%lesson 07")
    return replay


@pytest.fixture
def nine(replay: Notebook) -> Notebook:
    """Lesson 09 with the snapshots installed and draft, and a page written since."""
    assert replay.until("09", "%what_if") == "%what_if VBoxManage snapshot lab09 restore draft"
    return replay


# -- programs -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spelt",
    [
        f"%VBoxManage {GROWS}",
        f"%vboxmanage {GROWS}",
        f"%VBoxManage   {GROWS.replace(' 64', '=64')}",
        f"%VBoxManage {GROWS.replace('grows.vdi', repr('grows.vdi'))}",
        f"%%commands\nvboxmanage {GROWS}",
    ],
)
def test_a_program_is_known_however_it_is_spelt(seven: Notebook, spelt: str) -> None:
    assert seven.words("%folder") == ["(empty)"]
    badge, *_, last = seven.run(spelt).splitlines()
    assert re.fullmatch(re.escape(seven.badge) + r" · took \d+\.\d\d s", badge)
    assert last.startswith("Medium created. UUID: ") and last in seven.html
    assert seven.words("%folder") == ["2 MiB  grows.vdi"]


def test_words_of_a_program_mean_nothing_to_python(seven: Notebook) -> None:
    seven.shell.user_ns["name"] = "WRONG"
    for line in ("%qemu-img info {name}", "%qemu_img info $name"):
        assert f"`qemu-img info '{line.split()[-1]}'` was not recorded" in seven.run(line)


def test_qemu_img_by_both_its_names(replay: Notebook) -> None:
    line = replay.until("07", "%qemu-img info")
    assert replay.words(line)[:2] == ["image: kvm.qcow2", "file format: qcow2"]
    assert replay.run(line.replace("%qemu-img", "%qemu_img")) == replay.run(line)
    assert "kvm.qcow2" in replay.run("%folder")


# -- disks --------------------------------------------------------------------------------------


def test_a_disk_marks_what_was_written_since(seven: Notebook) -> None:
    reserved = f"{GROWS.replace('grows', 'reserved')} --variant Fixed"
    seven.run(f"%VBoxManage {GROWS}\n%VBoxManage {reserved}")
    text = seven.run("%disk grows.vdi")
    assert "0 of 64 blocks" in text and "signature" in text
    assert "<svg" in seven.outputs[0]["text/html"]
    seven.run('%qemu-io -f vdi -c "write -q -P 0xab 40M 1" grows.vdi')
    text = seven.run("%disk $PWD/grows.vdi grows.vdi reserved.vdi")
    assert re.findall(r"^\S+vdi$", text, re.M) == ["$PWD/grows.vdi", "grows.vdi", "reserved.vdi"]
    assert text.count("1 of 64 blocks") == 2 and text.count("1 MiB more than before") == 1
    assert "signature" not in text
    assert "more than before" not in seven.run("%disk grows.vdi")


def test_a_guest_reads_what_it_wrote(nine: Notebook) -> None:
    installed = "page 0: Debian, freshly installed"
    missing = "page 1: report, with the last page missing"
    assert nine.words("%guest_read lab09") == [installed, missing]
    nine.run("%VBoxManage snapshot lab09 restore draft")
    assert nine.words("%guest_read lab09")[1] == "page 1: report, first draft"
    nine.until("09", '%guest_write lab09 0 "Debian')
    for name in ("lab09", reads.graph(nine.lesson).machine("lab09").uuid):
        assert nine.words(f"%guest_read {name}") == ["(nothing but zeros)"]
    assert nine.words('%guest_write lab09 0 "Debian, freshly installed"') == [
        "page 0: 64 KiB written into $PWD/lab09.vmdk"
    ]


def test_a_machine_without_a_disk_has_nothing_to_read(replay: Notebook) -> None:
    replay.until("09", "%VBoxManage createmedium")
    assert replay.words("%guest_read lab09") == [
        "? lab09 has no disk: attach one with `VBoxManage storageattach`."
    ]


# -- snapshots ----------------------------------------------------------------------------------


def test_snapshots_mark_what_is_new_and_what_is_gone(nine: Notebook) -> None:
    nine.run("%snapshots lab09")
    before = nine.run("%snapshots lab09")
    assert "● " in before and "current state" in before and not re.search("^[+−]", before, re.M)
    assert "▬  lab09.vmdk" in before and "<svg" in nine.outputs[0]["text/html"]
    nine.run("%VBoxManage snapshot lab09 restore draft")
    after = nine.run("%snapshots lab09")
    assert sorted(re.findall("^[+−](?=.*diff )", after, re.M)) == ["+", "−"]
    assert not re.search("^[+−]", nine.run("%snapshots"), re.M)  # another picture


@pytest.mark.parametrize(
    "command, said",
    [
        ("VBoxManage snapshot lab09 restore draft", "Lost for ever: what was written since into"),
        ("vboxmanage snapshot lab09 delete 'draft'", "Nobody can go back to 'draft' any more"),
        ("VBoxManage snapshot lab09 delete installed", "is merged into lab09.vmdk"),
    ],
)
def test_what_if_tells_and_does_nothing(nine: Notebook, command: str, said: str) -> None:
    state = nine.lesson.tape.state
    nothing, *told = nine.words(f"%what_if {command}")
    assert nothing == "? Nothing has been done yet." and said in "\n".join(told)
    assert nine.lesson.tape.state == state
    assert "draft" in nine.run("%VBoxManage snapshot lab09 list")


# -- mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line, said",
    [
        ("%VBoxManage", "was not recorded"),
        ("%VBoxManage list vmss", "the nearest it has here is `VBoxManage list vms`"),
        ("%vboxmanage list 'vms", "A quote is opened"),
        ("%VBoxManage list vms | wc", "belongs to a shell"),
        ("%VBoxManage snapshot nosuch list", "was not recorded"),
        ("%%VBoxManage list vms\nx", "was not recorded"),
        ("%qemu-img", "was not recorded"),
        ("%qemu-img info nosuch.qcow2", "was not recorded"),
        ("%qemu-img info x > y", "belongs to a shell"),
        ("%guest_write", "Use it as `%guest_write MACHINE PAGE"),
        ("%guest_write lab09 0", "Use it as `%guest_write"),
        ("%guest_write lab09 one x", "page from 0 to 15"),
        ("%guest_write lab09 16 x", "page from 0 to 15"),
        ("%guest_write lab09 -1 x", "page from 0 to 15"),
        ("%guest_write lab09 0 two words", "Use it as `%guest_write"),
        ("%guest_write lab09 ² x", "page from 0 to 15"),
        ("%guest_write lab09 0 never", "was not recorded"),
        ("%guest_write nosuch 0 x", "was not recorded"),
        ("%guest_read", "Use it as `%guest_read MACHINE`"),
        ("%guest_read lab09 x", "Use it as `%guest_read MACHINE`"),
        ("%guest_read nosuch", "There is no machine 'nosuch' here, only: lab09."),
        ("%guest_read 'x", "A quote is opened"),
        ("%folder x", "Use it as `%folder`"),
        ("%snapshots nosuch", "There is no machine 'nosuch' here, only: lab09."),
        ("%snapshots lab09 nosuch", "There is no machine 'nosuch'"),
        ("%snapshots 'lab09", "A quote is opened"),
        ("%what_if", "`%what_if VBoxManage snapshot MACHINE delete SNAPSHOT`"),
        ("%what_if VBoxManage snapshot lab09 take x", "deletes or restores"),
        ("%what_if VBoxManage snapshot lab09 delete", "deletes or restores"),
        ("%what_if docker snapshot lab09 delete draft", "deletes or restores"),
        ("%what_if VBoxManage snapshot nosuch delete x", "There is no machine 'nosuch'"),
        (
            "%what_if VBoxManage snapshot lab09 restore x",
            "lab09 has no snapshot 'x'; it has: installed, draft.",
        ),
        ("%disk", "Name a disk file of the lesson"),
        ("%disk nosuch", "There is no file nosuch in the lesson's folder"),
        ("%disk lab09.vmdk ../x", "There is no file ../x"),
        ("%disk /etc/passwd", "There is no file /etc/passwd"),
        ("%disk lab09.vmdk | cat", "belongs to a shell"),
    ],
)
def test_a_mistake_is_one_line_of_teaching(nine: Notebook, line: str, said: str) -> None:
    state, (text,) = nine.lesson.tape.state, nine.words(line)
    assert said in text and text.startswith("? ") and len(text) < 500
    assert nine.lesson.tape.state == state


@pytest.mark.parametrize(
    "line",
    [
        "%VBoxManage list vms",
        "%qemu-img info x",
        "%guest_write m 0 x",
        "%%commands\nVBoxManage list vms",
        "%guest_read m",
        "%folder",
        "%snapshots",
        "%what_if VBoxManage snapshot m delete s",
        "%disk x",
    ],
)
def test_a_lesson_without_machines(replay: Notebook, line: str) -> None:
    replay.run("%load_ext labkit\n%lesson 12")
    text = replay.words(line)[-1]
    assert text.startswith("? This lesson works without ")
    assert text.endswith("; its commands are: docker.")
