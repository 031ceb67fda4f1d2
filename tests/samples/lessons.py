"""Code that lessons own, for its tests."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from labkit.material import material

LESSONS = Path(__file__).resolve().parents[2] / "notebooks" / "lessons"


def beside(lesson: str, module: str) -> Any:
    """A module of a lesson, loaded as the lesson loads it."""
    material(LESSONS / lesson)
    return importlib.import_module(f"labkit_lesson_{lesson}.{module}")
