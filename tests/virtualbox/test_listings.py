"""VBoxManage's words."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from samples.machines import uuid

from labkit.virtualbox.program import parse_machinereadable, parse_runningvms


def test_machinereadable() -> None:
    text = (
        'name="my "vm" \\ x"\nmemory=1024\n"SATA-0-0"="/a b.vdi"\nnote=""\n'
        'SnapshotDescription="one\ntwo "three""\nVMState="poweroff"\nVMState="forged"\n'
        'never="ended\nnot="even here'
    )
    assert parse_machinereadable(text) == {
        "name": 'my "vm" \\ x',
        "memory": "1024",
        "SATA-0-0": "/a b.vdi",
        "note": "",
        "SnapshotDescription": 'one\ntwo "three"',
        "VMState": "poweroff",
        "never": 'ended\nnot="even here',
    }


def test_runningvms() -> None:
    text = f'"m" {{{uuid(1)}}}\n"a {{{uuid(2)}}} b" {{{uuid(3)}}}\n'
    assert parse_runningvms(text) == [uuid(1), uuid(3)]


@given(st.text(st.sampled_from('abU:"=\n\r\\ {}-é☃'), max_size=200) | st.text(max_size=100))
def test_no_words_are_too_strange(text: str) -> None:
    parse_machinereadable(text)
    assert parse_machinereadable(f'name="{text}"')["name"].count("\n") <= text.count("\n")
    parse_runningvms(text)
