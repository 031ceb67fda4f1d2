"""What a lesson reads of machines and disks is the same in replay, and known in each new state."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from samples import disks
from samples.benches import MACHINE, settings_only
from samples.errors import refused
from samples.machines import deep, numbered, uuid

from labkit.lesson import Lesson
from labkit.rehearse import Rehearsal
from labkit.virtualbox import reads
from labkit.virtualbox.engine import Bench


def lesson_folder(tmp_path: Path, *programs: str) -> Path:
    """A lesson of its own that needs these programs of the bench."""
    folder = tmp_path / "lessons" / "77"
    folder.mkdir(parents=True)
    (folder / "tasks.py").write_text(f'NEEDS = {{"virtualbox": {list(programs)}}}\n')
    return folder


def replayed(lesson: Rehearsal) -> Lesson:
    lesson.tape.recording.save(lesson.recording)
    return Lesson("77", "replay", lesson.folder)


@pytest.fixture
def recorded(tmp_path: Path) -> Rehearsal:
    """Two files, and settings of a machine "m" with snapshots, but no VirtualBox."""
    lesson = Rehearsal("77", folder=lesson_folder(tmp_path))
    bench: Bench = lesson.engine("virtualbox")
    path = bench.folder.path
    bench.folder = settings_only(path, m=deep(2))
    (path / "a.vdi").write_bytes(disks.vdi([b"x" * 4096, None], [0], 4096))
    (path / "empty").touch()
    lesson.explored()
    return lesson


def test_a_recording_has_what_was_seen(recorded: Rehearsal) -> None:
    for lesson in (recorded, replayed(recorded)):
        assert reads.files(lesson) == {"a.vdi": reads.size(lesson, "a.vdi"), "empty": 0}
        assert "The file b.vdi is missing" in refused(reads.size, lesson, "b.vdi")
        for name in ("a.vdi", "$PWD/a.vdi"):
            disk = reads.disk(lesson, name)
            assert (disk.format, disk.capacity) == ("VDI", 8192)
        assert "empty: is empty" in refused(reads.disk, lesson, "empty")
        known = "There is no file b.vdi in the lesson's folder; there are: a.vdi, empty."
        assert refused(reads.disk, lesson, "b.vdi") == known
        graph = reads.graph(lesson)
        assert [snapshot.name for snapshot in graph.machine("m").snapshots] == ["s0", "s1"]
        assert "There is no machine 'x'" in refused(reads.guest, lesson, "x")


def test_a_differencing_disk_keeps_its_number() -> None:
    worlds = iter([numbered(0, 1, 2).to_json(), numbered(0, 2).to_json()])
    session: Any = SimpleNamespace(requires=print, memory={}, world=lambda: next(worlds))
    first, then = reads.graph(session).labels(), reads.graph(session).labels()
    assert then[uuid(2)].startswith("diff 2 ") and then.items() < first.items()


def test_a_lesson_without_the_bench(tmp_path: Path) -> None:
    folder = lesson_folder(tmp_path)
    (folder / "tasks.py").write_text("NEEDS = {}\n")
    lesson = Lesson("77", "live", folder)
    for read in (reads.graph, reads.files):
        assert "This lesson works without virtualbox" in refused(read, lesson)


@pytest.mark.live("virtualbox", "qemu-img")
def test_each_new_state_is_explored(tmp_path: Path) -> None:
    """The answers to all that a student is likely to ask there, once a recording is made."""
    lesson = Rehearsal("77", folder=lesson_folder(tmp_path, "VBoxManage", "qemu-img", "qemu-io"))
    commands = [f"VBoxManage {line}" for line in MACHINE]
    commands += ["guest_write m 1 first", "VBoxManage snapshot m take s", "guest_write m 1 second"]
    asked = ["VBoxManage list vms", "VBoxManage list hdds", "VBoxManage snapshot m list"]
    lesson.reset()
    told = []
    try:
        for line in commands:
            assert lesson.command(lesson.words(line)).code == 0
            told.append([lesson.command(line.split()).text for line in asked])
        live = reads.graph(lesson).to_json(), reads.disk(lesson, "m.vmdk").to_json()
    finally:
        lesson.engine("virtualbox").remove()
    again = replayed(lesson)
    for line, texts in zip(commands, told, strict=True):
        again.command(again.words(line))
        assert [again.command(look.split()).text for look in asked] == texts
    assert reads.guest(again, "m")[1] == "second"
    assert (reads.graph(again).to_json(), reads.disk(again, "m.vmdk").to_json()) == live
