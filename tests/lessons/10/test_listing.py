"""VBoxManage's words."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from samples.lessons import beside

parse_machinereadable = beside("10", "listing").parse_machinereadable


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


@given(st.text(st.sampled_from('abU:"=\n\r\\ {}-é☃'), max_size=200) | st.text(max_size=100))
def test_no_words_are_too_strange(text: str) -> None:
    parse_machinereadable(text)
    assert parse_machinereadable(f'name="{text}"')["name"].count("\n") <= text.count("\n")
