"""What VirtualBox and its kin print: what to do about it, and how far a command is."""

from __future__ import annotations

import pytest

from labkit.commands import Result
from labkit.virtualbox.output import advice, bars


@pytest.mark.parametrize(
    "words, told",
    [
        ("Hard disk 'a' has more than one child hard disk (2)", "%what_if"),
        ("Cannot close medium 'a' because it has 1 child media", "%what_if"),
        ("The virtual machine 'm' has terminated unexpectedly during startup", "kernel driver"),
        ("The machine 'm' is already locked for a session", "Another program is using it"),
        ('qemu-io: can\'t open a: Failed to get "write" lock', "Another program is using it"),
        ("Could not find a registered machine named 'x'", "list vms"),
        ("Could not find a snapshot named 'x'\nDetails: component SessionMachine", "MACHINE list"),
        ("This machine does not have any snapshots", "snapshot MACHINE list"),
        ("Cannot delete storage: medium 'a' is still attached to the machine", "detach it first"),
        ("Machine settings file '/a/full.vbox' already exists", "another name"),
        ("qemu-img: Could not open 'x': No such file or directory", "%folder"),
        ("Appliance import failed\nVBOX_E_FILE_ERROR", "nothing was imported"),
        ("VERR_DISK_FULL", "free some space"),
        ("qemu-img: x: No space left on device", "free some space"),
        ("Resizing to new size 1 is not yet supported\nVBOX_E_NOT_SUPPORTED", "to a VDI first"),
        ("Shrinking is not yet supported\nVBOX_E_NOT_SUPPORTED", "no disk smaller"),
        ("Invalid command 'foo'", "spelling"),
    ],
)
def test_what_to_do(words: str, told: str) -> None:
    chunks = (("err", f"VBoxManage: error: {words}\n"),)
    line = advice(Result(("VBoxManage",), 1, chunks))
    assert told in line and "\n" not in line
    assert advice(Result(("VBoxManage",), 0, chunks)) == ""


def test_where_its_own_words_are_enough() -> None:
    assert advice(Result(("tar",), 2, (("err", "tar: a.tar: is rubbish\n"),))) == ""


@pytest.mark.parametrize(
    ("text", "percents"),
    [
        ("", []),
        ("Waiting for the machine\n", []),
        ("0%", [0]),
        ("0%...10%...20%...", [20]),
        ("0%...10%...100%\n", [100]),
        ("Clone medium: 50% of it\n0%...30%", [30]),
        ("0%...10%\nMachine has been cloned", []),
    ],
)
def test_the_last_percent_counts(text: str, percents: list[int]) -> None:
    assert bars(text) == [("progress", percent, "") for percent in percents]
