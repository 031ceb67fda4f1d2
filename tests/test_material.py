"""What a lesson asks, by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from samples.shelf_lesson import NUMBER

from labkit.errors import LabError
from labkit.material import Material, Prediction, Try, material

TASKS = """
from labkit.material import Task, Try
NEEDS = ()
TASKS = [Task(name, lambda lesson, answer: "", Try(), []) for name in ("one", "two")]
"""
PREDICTIONS = """
from labkit.material import Prediction
PREDICTIONS = [Prediction("guess", "?", {"A": "a"}, {"A": "why"}, lambda lesson: "A")]
"""


def test_material_by_name(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "predictions.py").write_text(PREDICTIONS)
    found = material(tmp_path)
    assert list(found.tasks) == ["one", "two"] and list(found.predictions) == ["guess"]
    assert found.task("two").name == "two" and found.prediction("guess").question == "?"
    for look, what in (
        (found.task, "task 'three'; it has: one, two."),
        (found.prediction, "prediction 'three'; it has: guess."),
    ):
        with pytest.raises(LabError) as caught:
            look("three")
        assert what in str(caught.value) and "\n" not in str(caught.value)


def test_a_lesson_without_tasks_asks_nothing(tmp_path: Path) -> None:
    assert material(tmp_path) == Material({}, {}, {}, None)
    with pytest.raises(LabError, match="it has: none"):
        material(tmp_path).task("one")


def test_material_is_plain_data() -> None:
    assert isinstance(NUMBER.solution.commands, Sequence) and Try().hint == ""
    assert Prediction("a", "b", {}, {}, lambda lesson: "A").name == "a"
