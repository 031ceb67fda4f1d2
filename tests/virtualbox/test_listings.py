"""VBoxManage's words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples.machines import uuid

from labkit.virtualbox.listings import parse_hdds, parse_machinereadable, parse_runningvms

HDDS = """UUID:           e59b2468-97e3-4a6a-9241-a1daa29f84c1
Parent UUID:    base
State:          created
Location:       /lab/a:b.vdi
Capacity:       64 MBytes
Child UUIDs:    8b807f56-02d7-400a-bf6d-774ece139d68
                86fd104d-c104-4703-a4c4-5d6fedaa3fbb

UUID:           8b807f56-02d7-400a-bf6d-774ece139d68
Parent UUID:    e59b2468-97e3-4a6a-9241-a1daa29f84c1
Capacity:       64 MBytes
"""
ENDS = pytest.mark.parametrize("end", ["\n", "\r\n"])


@ENDS
def test_hdds(end: str) -> None:
    first, second = parse_hdds(HDDS.replace("\n", end))
    assert (first["Location"], first["Parent UUID"]) == ("/lab/a:b.vdi", "base")
    assert first["Child UUIDs"].split() == [second["UUID"], "86fd104d-c104-4703-a4c4-5d6fedaa3fbb"]


@ENDS
def test_machinereadable(end: str) -> None:
    text = (
        'name="my "vm" \\ x"\nmemory=1024\n"SATA-0-0"="/a b.vdi"\nnote=""\n'
        'SnapshotDescription="one\ntwo "three""\nVMState="poweroff"\nVMState="forged"\n'
    )
    assert parse_machinereadable(text.replace("\n", end)) == {
        "name": 'my "vm" \\ x',
        "memory": "1024",
        "SATA-0-0": "/a b.vdi",
        "note": "",
        "SnapshotDescription": 'one\ntwo "three"',
        "VMState": "poweroff",
    }


def test_runningvms() -> None:
    text = f'"m" {{{uuid(1)}}}\n"a {{{uuid(2)}}} b" {{{uuid(3)}}}\n'
    assert parse_runningvms(text) == [uuid(1), uuid(3)]


@given(st.text(st.sampled_from('abU:"=\n\r\\ {}-é☃'), max_size=200) | st.text(max_size=100))
def test_no_words_are_too_strange(text: str) -> None:
    for listing in (text, f"UUID: {text}"):
        assert all("UUID" in disk for disk in parse_hdds(listing))
    parse_machinereadable(text)
    assert parse_machinereadable(f'name="{text}"')["name"].count("\n") <= text.count("\n")
    parse_runningvms(text)
