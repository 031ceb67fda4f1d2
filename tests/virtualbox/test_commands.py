"""`labkit snapshots`, and the bench's lines of `labkit doctor`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from conftest import Told
from samples.disks import vdi
from samples.machines import ORACLE, attached, chain, home, machine, uuid

from labkit.virtualbox.engine import Bench


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A VirtualBox home of the user's: a machine of two snapshots, a linked clone of the first."""
    monkeypatch.setenv("VBOX_USER_HOME", str(tmp_path))
    base = machine("base", 1, chain(2), currentSnapshot=f"{{{uuid(1001)}}}")
    inner = f'<HardDisk uuid="{{{uuid(1)}}}"'
    clones = f'<HardDisk uuid="{{{uuid(77)}}}" location="77.vdi" format="VDI"/>'
    base = base.replace(inner, f"{clones}{inner}")
    home(tmp_path, base=base, clone=machine("clone", 2, attached(77)), alone=machine("alone", 3))
    (tmp_path / "Snapshots").mkdir()
    (tmp_path / "Snapshots" / "0.vdi").write_bytes(vdi([b"x" * 4096, None], [0], 4096))
    return tmp_path


@pytest.mark.parametrize(
    "names, there",
    [
        ((), "base alone clone"),
        (("alone",), "alone"),
        (("base", "alone"), "base alone"),
        (("clone",), "base clone"),
        ((uuid(3),), "alone"),
    ],
)
def test_snapshots_draws_machines(
    machines: Path, told: Told, names: tuple[str, ...], there: str
) -> None:
    text = told("snapshots", *names)
    assert set(re.findall("▣  (?:.* )?(base|clone|alone)", text)) == set(there.split())
    assert ("s1" in text) == ("base" in there) and ("linked to" in text) == ("clone" in there)
    assert text.count("The file of 77.vdi is missing") <= 1  # what is in doubt is said
    assert "The file of diff 1" in text
    data = json.loads(told("snapshots", *names, "--json"))
    assert {found["name"] for found in data["machines"]} == set(there.split())


def test_snapshots_as_data(machines: Path, told: Told) -> None:
    data = json.loads(told("snapshots", "--json"))
    assert set(data) == {"machines", "media", "notes"}
    assert data["notes"] and all("missing" in note for note in data["notes"])
    base, clone, _ = data["machines"]
    keys = "name", "uuid", "parent", "taken", "current"
    assert [tuple(snapshot[key] for key in keys) for snapshot in base["snapshots"]] == [
        ("s0", uuid(1000), None, "2026-01-01T00:00:00Z", False),
        ("s1", uuid(1001), uuid(1000), "2026-01-01T00:00:00Z", True),
    ]
    assert base["linked_to"] is None
    assert clone["linked_to"] == {"machine": "base", "snapshot": "s0", "uuid": uuid(1000)}
    keys = "uuid", "parent", "format", "capacity", "size_on_disk", "used_by"  # type: ignore[assignment]
    size = (machines / "Snapshots" / "0.vdi").stat().st_size
    assert [tuple(medium[key] for key in keys) for medium in data["media"]][:2] == [
        (uuid(0), None, "VDI", 8192, size, ["base @ s0"]),
        (uuid(77), uuid(0), "VDI", None, None, ["clone"]),
    ]


def test_snapshots_as_a_file(machines: Path, told: Told) -> None:
    picture = machines / "mine.svg"
    lines = told("snapshots", "base", "--save", str(picture)).splitlines()
    assert lines[0] == f"Saved in {picture}." and "The file of diff 1" in "".join(lines[1:])
    drawn = picture.read_text("utf-8")
    assert drawn.startswith("<svg") and ">s1<" in drawn and "alone" not in drawn
    assert "cannot be written" in told("snapshots", "--save", f"{picture}/x.svg", code=1)


@pytest.mark.parametrize(
    "argv, line",
    [
        (["nosuch"], "There is no machine 'nosuch' here, only: base, clone, alone."),
        (["base", "nosuch", "--json"], "There is no machine 'nosuch'"),
        (
            ["--lesson", "09"],
            "Lesson '09' has nothing on this machine; these have: 07. Run its %lesson cell first.",
        ),
        (["--lesson", "../../x", "m"], "Lesson '../../x' has nothing on this machine"),
    ],
)
def test_snapshots_of_what_is_not_there(
    machines: Path, own_home: Path, told: Told, argv: list[str], line: str
) -> None:
    (own_home / "bench" / "07").mkdir(parents=True)
    assert line in told("snapshots", *argv, code=1)


def test_snapshots_where_there_is_no_virtualbox_and_where_it_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    monkeypatch.setenv("VBOX_USER_HOME", str(tmp_path))
    assert told("snapshots") == "(empty)\n"
    data = json.loads(told("snapshots", "--json"))
    assert data == {"machines": [], "media": [], "notes": []}
    (tmp_path / "VirtualBox.xml").write_text("damaged")
    assert "VirtualBox.xml is damaged" in told("snapshots", code=1)


@pytest.mark.live("virtualbox")
def test_snapshots_of_a_lesson(machines: Path, told: Told) -> None:
    bench = Bench("77")
    try:
        bench.ready()
        made = bench.command(["VBoxManage", "createvm", "--name", "mine", "--register"])
        assert made.code == 0
        (found,) = json.loads(told("snapshots", "--lesson", "77", "--json"))["machines"]
        assert (found["name"], found["snapshots"], found["linked_to"]) == ("mine", [], None)
        assert "mine" in told("snapshots", "mine", "--lesson", "77")
        assert "only: mine" in told("snapshots", "base", "--lesson", "77", code=1)
    finally:
        assert bench.remove() == []


# -- doctor -------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="a program in one line of sh")
def test_doctor_says_that_machines_cannot_be_started(
    told: Told, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "VBoxManage"
    program.write_text(f"#!/bin/sh\nprintf '%s' '{ORACLE}7.2.22r1\n'\n")
    program.chmod(0o755)
    monkeypatch.setattr("labkit.virtualbox.program.find_program", lambda: str(program))
    line = "✔ VirtualBox 7.2.22; its kernel driver is not loaded, so machines cannot be started\n"
    assert line in told("doctor")


def test_doctor_says_where_to_get_what_is_missing(
    told: Told, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("labkit.virtualbox.program._PLACES", ())
    lines = told("doctor").splitlines()
    for name in ("VirtualBox", "qemu-img"):  # each, for both are needed
        missing = f"✘ {name} is not installed here; get it from https://www."
        (line,) = [line for line in lines if line.startswith(missing)]
        assert "replay" in line
