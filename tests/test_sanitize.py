"""Every sanitise rule changes what it is meant for, and nothing that a lesson teaches."""

from __future__ import annotations

import pytest
from sanitize import RULES, sanitised


@pytest.mark.parametrize("one, other", [
    ("live · Docker 28.2\nhello", "replay · recorded 2026-11-24 on Docker 20.10.24\nhello"),
    ('<div><span aria-hidden="true" style="color:#009E73">●</span> live · Docker 28.2</div>',
     '<div><span aria-hidden="true" style="color:#0072B2">↻</span> replay · recorded 2026-11-24 on Docker 20</div>'),
    ("sha256:" + "a1" * 32, "sha256:" + "b2" * 32),
    ("d01bd1e71d4b: Pull complete", "ffffe71d4b00: Pull complete"),
    ("x   Exited (0) Less than a second ago", "x   Exited (0) 14 seconds ago"),
    ("Up 3 seconds", "Up About a minute"),
    ("NAME          SIZE", "NAME    SIZE"),
])
def test_rule_covers_what_varies(one: str, other: str) -> None:
    assert one != other
    assert sanitised(one) == sanitised(other)


@pytest.mark.parametrize("one, other", [
    ("size 22MB, wasted 20MB", "size 22MB, wasted 0B"),
    ("A /notes.txt", "C /notes.txt"),
    ("exit code 1", "exit code 0"),
    ("d01bd1e71d4b: Pull complete", "d01bd1e71d4b: Already exists"),
    ("✔ Task solved", "✘ Task solved"),
    ("7 layers", "6 layers"),
    ("deadbeef", "cafebabe"),
    ("    indented", "indented"),
    ("lab12/big:1", "lab12/big:2"),
])
def test_rules_leave_what_matters(one: str, other: str) -> None:
    assert sanitised(one) != sanitised(other)


def test_rules_are_few() -> None:
    assert len(RULES.sections()) <= 6
