"""What a task made goes, with VBoxManage where it knows of it; what others stand on stays whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from samples.benches import MACHINE, do, linked, paths, settings_only
from samples.machines import machine, uuid

from labkit.commands import Result
from labkit.virtualbox.cleaning import Wanted, remove_new
from labkit.virtualbox.engine import Bench

CLONE = "clonevm m --snapshot s --options link --name"  # not registered


def test_files_that_are_new_go_or_those_that_a_task_names(plain: Bench) -> None:
    def put(*names: str) -> None:
        for name in names:
            (plain.folder.path / name).parent.mkdir(exist_ok=True)
            (plain.folder.path / name).touch()

    put("before", "sub/before")
    mark = plain.mark()
    put("mine", "other", "sub/mine", "lost/lost.vbox", "lost/disk", "kept/disk")
    assert plain.clean(mark, {"mine", "lost", "before"}) == []
    assert paths(plain) == ["before", "kept/disk", "other", "sub/before", "sub/mine"]
    assert plain.clean(mark) == []
    assert paths(plain) == ["before", "sub/before"]


def test_what_virtualbox_does_not_let_go_is_told(tmp_path: Path) -> None:
    folder = settings_only(tmp_path, m=machine("m", 1))
    (tmp_path / "a.vdi").touch()
    known = f"UUID: {uuid(2)}\nLocation: {tmp_path}/a.vdi\n"
    asked: Any = folder.virtualbox
    asked.ask = lambda argv: known
    locked = (("err", "VBoxManage: error: it is locked\nVBoxManage: error: Details\n"),)
    left = remove_new(folder, lambda argv: Result(tuple(argv), 1, locked), Wanted((), None))
    assert left == [f"{name} stays: VBoxManage: error: it is locked" for name in ("m", "a.vdi")]
    assert (tmp_path / "a.vdi").exists()


@pytest.mark.live("virtualbox")
class TestReal:
    def test_what_a_task_made_goes_and_the_rest_stays(self, bench: Bench) -> None:
        do(bench, *MACHINE, "snapshot m take s")
        mark, before = bench.mark(), bench.world()
        do(
            bench,
            linked("linked"),
            "clonevm m --name full --register",
            "snapshot linked take deeper",
            "createmedium disk --filename more.vdi --size 8",
        )
        (bench.folder.path / "note.txt").write_text("x")
        assert bench.clean(mark, {"full", "more.vdi"}) == []
        assert {machine["name"] for machine in bench.world()["machines"]} == {"m", "linked"}
        assert "note.txt" in paths(bench)
        assert bench.clean(mark) == []
        assert bench.world() == before

    def test_a_machine_that_was_not_registered_goes_too(self, bench: Bench) -> None:
        do(bench, *MACHINE, "snapshot m take s", f"{CLONE} kept")
        mark, before = bench.mark(), paths(bench)
        do(bench, f"{CLONE} lost", "clonevm m --name full --register")
        assert bench.clean(mark, {"lost", "m", "kept"}) == []
        assert "full/full.vbox" in paths(bench) and "lost/lost.vbox" not in paths(bench)
        do(bench, linked("lost"))  # its name is free again
        assert bench.clean(mark) == []
        assert paths(bench) == before

    def test_what_another_stands_on_stays_whole(self, bench: Bench) -> None:
        mark = bench.mark()
        do(bench, *MACHINE, "snapshot m take s", linked("linked"))
        before = bench.world()
        assert bench.clean(mark, {"m"}) == ["m stays: linked stands on it."]
        assert bench.world() == before

    def test_what_virtualbox_only_opened_goes_from_its_registry_too(self, bench: Bench) -> None:
        mark = bench.mark()
        do(bench, "createmedium disk --filename new.vdi --size 8")
        (bench.folder.path / "copy.vdi").write_bytes((bench.folder.path / "new.vdi").read_bytes())
        do(bench, "closemedium disk new.vdi --delete", "modifymedium disk copy.vdi --resize 16")
        assert bench.clean(mark) == []
        do(bench, "createmedium disk --filename copy.vdi --size 8")
