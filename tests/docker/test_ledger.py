"""The ledger: what it holds survives, and what it does not hold is never touched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples.errors import refused

from labkit.docker.ledger import Entry, Ledger
from labkit.engine import home

WORDS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r"), min_size=1, max_size=12
)
ENTRIES = st.lists(
    st.tuples(st.sampled_from(["container", "image", "volume", "network"]), WORDS)
    | st.tuples(st.just("tag"), WORDS, WORDS),
    max_size=5,
)


def test_home_is_the_users_own_unless_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    assert home() == tmp_path
    monkeypatch.delenv("LABKIT_HOME")
    monkeypatch.setenv("HOME" if os.name == "posix" else "USERPROFILE", str(tmp_path / "me"))
    assert home() == tmp_path / "me" / ".labkit"


@given(ENTRIES, ENTRIES)
def test_what_is_added_is_there_in_order(
    tmp_path_factory: pytest.TempPathFactory, first: list[Entry], second: list[Entry]
) -> None:
    ledger = Ledger(tmp_path_factory.mktemp("ledger") / "engine")
    ledger.add("12", first)
    ledger.add("12", second)
    assert Ledger(ledger.folder).entries("12") == [*first, *second]
    assert ledger.entries("13") == []
    for entry in [*first, *second]:
        assert ledger.owns(*entry)


def test_lessons_are_those_that_made_something(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "a" / "b")
    assert ledger.lessons() == [] and ledger.entries("12") == []
    ledger.add("12", [("container", "c1")])
    ledger.add("00", [("image", "i1")])
    ledger.keep("12", [("container", "c1")])
    assert ledger.lessons() == ["00", "12"]
    ledger.keep("12", [])
    ledger.keep("12", [])  # twice does no harm
    assert ledger.lessons() == ["00"] and ledger.entries("12") == []


def test_only_the_very_same_thing_is_owned(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.add("12", [("tag", "mine:1", "sha256:1"), ("container", "abcdef")])
    assert ledger.owns("tag", "mine:1", "sha256:1") and ledger.owns("container", "abcdef")
    assert not ledger.owns("tag", "mine:1", "sha256:2")  # the name has moved
    assert not ledger.owns("tag", "mine:1")
    assert not ledger.owns("container", "abc") and not ledger.owns("image", "abcdef")


def test_keeping_replaces_all(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "engine")
    ledger.add("12", [("container", str(n)) for n in range(5)])
    ledger.keep("12", [("container", "1"), ("container", "3")])
    assert ledger.entries("12") == [("container", "1"), ("container", "3")]
    assert ledger.lessons() == ["12"]


@pytest.mark.parametrize("damage", ["container\t3", "container", "\n\n", "\0\0\n", "x\n"])
def test_a_line_cut_short_is_nobodys(tmp_path: Path, damage: str) -> None:
    """Docker takes the beginning of an ID for the whole: it could name a thing of the student's."""
    ledger = Ledger(tmp_path)
    ledger.add("12", [("container", "whole")])
    with (tmp_path / "12").open("a") as file:
        file.write(damage)
    assert ledger.entries("12") == [("container", "whole")]
    ledger.add("12", [("container", "next")])
    assert ledger.entries("12") == [("container", "whole"), ("container", "next")]


@pytest.mark.parametrize(
    "name", ["../12", "..", ".", "", "a/b", "/etc/passwd", "..\\x", "a\0b", "..."]
)
def test_a_name_is_never_a_path(tmp_path: Path, name: str) -> None:
    ledger = Ledger(tmp_path / "engine")
    ledger.add("12", [("container", "c")])
    (tmp_path / "12").write_text("a student's own notes\t1\n")
    for use in (
        lambda: ledger.entries(name),
        lambda: ledger.add(name, [("container", "x")]),
        lambda: ledger.keep(name, []),
        lambda: ledger.keep(name, [("container", "x")]),
    ):
        assert "no lesson's name" in refused(use)
    assert (tmp_path / "12").read_text() == "a student's own notes\t1\n"
    assert ledger.entries("12") == [("container", "c")]


def test_a_folder_that_cannot_be_written_names_what_to_remove(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ledger = Ledger(tmp_path / "file" / "engine")
    made = [("container", "c1"), ("tag", "mine:1", "sha256:2")]
    assert "remove by hand: c1, mine:1." in refused(ledger.add, "12", made)
    assert "could not update" in refused(ledger.keep, "12", made)


FULL = """
import resource, sys
from pathlib import Path
from labkit.errors import LabError
from labkit.docker.ledger import Ledger
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))  # as on a full disk
for change in (Ledger.add, Ledger.keep):
    try:
        made = [("container", "c" * 60), ("container", "d" * 60)]
        change(Ledger(Path(sys.argv[1])), "12", made)
    except LabError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limits there")
def test_a_full_disk_loses_nothing_that_was_noted(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "engine")
    ledger.add("12", [("container", "c1")])
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(ledger.folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    added, kept = done.stdout.splitlines()
    assert done.stderr == "" and f"{'c' * 40}, {'d' * 40}." in added and "could not update" in kept
    assert ledger.entries("12") == [("container", "c1")] and ledger.lessons() == ["12"]
