"""A lesson in progress: its name, its mode, its engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labkit.errors import LabError
from labkit.lesson import Lesson

COURSE = Path(__file__).resolve().parent.parent / "notebooks" / "lessons"


KNOWN = ", ".join(sorted(path.name for path in COURSE.iterdir()))


@pytest.mark.parametrize(
    "name",
    [
        "../12",
        "..",
        ".",
        "",
        "12/../12",
        "/etc",
        "nosuch",
        "nosuch/x",
        "x" * 5000,
        "a\0b",
        "_x",
        "tasks.py",
        str(COURSE / "12"),
        "\udcff",
    ],
)
def test_a_lessons_name_is_never_a_path(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(COURSE.parent / "en")
    with pytest.raises(LabError) as caught:
        Lesson(name, "replay")
    text = str(caught.value)
    assert "There is no lesson" in text and KNOWN in text and "\n" not in text and len(text) < 300


def test_a_mode_that_is_none(toy: Any, toy_folder: Path) -> None:
    with pytest.raises(LabError, match="live or replay"):
        Lesson("77", "liev", toy_folder)


def test_neither_engine_nor_recording(toy: Any, toy_folder: Path) -> None:
    toy.away = True
    with pytest.raises(LabError) as caught:
        Lesson("77", None, toy_folder)
    said = str(caught.value)
    assert "does not answer" in said and "There is no recording" in said and "\n" not in said
    with pytest.raises(LabError, match="does not answer"):
        Lesson("77", "live", toy_folder)


def test_the_mode_is_chosen_by_whether_an_engine_answers(
    replayed: Lesson, toy: Any, toy_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.away = False
    assert Lesson("77", None, toy_folder).badge == "live · Shelf 1.0.0"
    monkeypatch.setenv("LABKIT_MODE", "replay")
    assert Lesson("77", None, toy_folder).badge.startswith("replay · recorded 20")
    monkeypatch.delenv("LABKIT_MODE")
    toy.away = True
    lesson = Lesson("77", None, toy_folder)
    assert lesson.badge.endswith("on Shelf 1.0.0") and "does not answer" in lesson.why_replayed
