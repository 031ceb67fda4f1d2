"""What VirtualBox has written down, and what somebody else may have."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from samples.machines import ROOT, chain, deep, disks, home, machine, uuid

from labkit.errors import LabError
from labkit.virtualbox.inventory import read_settings


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"no xml",
        b"<a/>",
        deep(2).encode()[:-200],
        b"\xff\xfe\x00",
        b"<VirtualBox/>",
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>',
        b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>',
        b'<?xml version="1.0" encoding="nosuch"?><x/>',
        ROOT.format("<MachineEncrypted/>").encode(),
    ],
)
def test_a_damaged_machine_is_noted_and_the_rest_is_there(tmp_path: Path, text: bytes) -> None:
    graph = read_settings(home(tmp_path, bad=text, good=machine("good", 2)))
    states = [(m.name, m.state) for m in graph.machines]
    assert states == [("bad", "inaccessible"), ("good", "poweroff")]
    (note,) = graph.notes
    assert note.startswith("bad.vbox ") and "\n" not in note and "passwd" not in note
    if b"Encrypted" in text:  # sound settings, only not of a machine
        return
    (tmp_path / "VirtualBox.xml").write_bytes(text)
    with pytest.raises(LabError, match=r"^VirtualBox\.xml .*$"):
        read_settings(tmp_path)


def test_a_missing_and_a_far_too_large_file(tmp_path: Path) -> None:
    where = home(tmp_path, gone=machine("gone", 1), large=b"")
    gone, large = where / "gone.vbox", where / "large.vbox"
    gone.unlink()
    with large.open("wb") as file:
        file.truncate(100 << 20)
    assert [m.state for m in read_settings(where).machines] == ["inaccessible"] * 2
    gone.mkdir()
    large.unlink()
    if hasattr(os, "mkfifo"):
        os.mkfifo(large)  # reading it would never end
    assert [m.state for m in read_settings(where).machines] == ["inaccessible"] * 2


@pytest.mark.parametrize(
    "attributes, state, changed",
    [
        ({}, "poweroff", False),
        ({"aborted": "true", "stateFile": "x"}, "aborted", False),
        ({"stateFile": "x", "currentSnapshot": uuid(1)}, "saved", True),
        ({"currentStateModified": "false", "currentSnapshot": uuid(1)}, "poweroff", False),
    ],
)
def test_states(tmp_path: Path, attributes: dict[str, str], state: str, changed: bool) -> None:
    (read,) = read_settings(home(tmp_path, m=machine("m", 1, **attributes))).machines
    assert (read.state, read.changed) == (state, changed)


def test_a_snapshot_as_it_is(tmp_path: Path) -> None:
    inside = chain(1).replace("<Snapshots>", "<Description>why</Description>", 1)
    inside = inside.replace("</Snapshots>", "").replace(' name="s0"', ' name="s0" stateFile="x"')
    (owner,) = read_settings(home(tmp_path, m=machine("m", 1, inside))).machines
    (read,) = owner.snapshots
    assert (read.description, read.online, read.media) == ("why", True, [uuid(0)])
    assert read.taken == "2026-01-01T00:00:00Z" and not read.current


def test_disks_of_before_version_5(tmp_path: Path) -> None:
    inside = chain(1).replace("<Hardware>", "").replace("</Hardware>", "")
    (read,) = read_settings(home(tmp_path, m=machine("m", 1, inside))).machines
    assert (read.media, read.snapshots[0].media) == ([uuid(1)], [uuid(0)])


def test_where_disks_are(tmp_path: Path) -> None:
    far = disks(1, "/far/away").replace(uuid(0), uuid(7))
    both = (disks(1) + far).replace("</HardDisks></MediaRegistry><MediaRegistry><HardDisks>", "")
    where = home(tmp_path, m=machine("m", 1, both))
    (where / "Snapshots").mkdir()
    (where / "Snapshots/0.vdi").write_bytes(b"x" * 100)
    registry = where / "VirtualBox.xml"
    floating = disks(1, "floating").replace(uuid(0), uuid(9))
    text = registry.read_text("utf-8").replace("</Global>", f"{floating}</Global>")
    registry.write_text(text, "utf-8")
    media = read_settings(where).media
    assert [(medium.uuid, medium.location, medium.size_on_disk) for medium in media] == [
        (uuid(9), str(where / "floating/0.vdi"), None),
        (uuid(0), str(where / "Snapshots/0.vdi"), 100),
        (uuid(7), str(Path("/far/away/0.vdi")), None),
    ]


def test_what_is_given_twice(tmp_path: Path) -> None:
    twins = "".join(f'<Snapshot uuid="{{{uuid(n)}}}" name="s"/>' for n in (1000, 1001, 1000))
    where = home(tmp_path, m=machine("m", 1, twins), n=machine("n", 1))
    graph = read_settings(where)
    (owner,) = graph.machines
    assert owner.name == "m"
    assert [s.uuid for s in owner.snapshots] == [uuid(1000), uuid(1001)]
    assert graph.notes == [
        "The UUID of a snapshot of m is given twice: that one is left out.",
        "The UUID of n is given twice: that one is left out.",
    ]
