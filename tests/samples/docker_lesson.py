"""A lesson on Docker without tasks: its folder, to be run on a real engine."""

from __future__ import annotations

from pathlib import Path

NAME = "77"


def lesson_folder(course: Path, name: str = NAME) -> Path:
    """The folder of a lesson in a course that has no other."""
    folder = course / "lessons" / name
    folder.mkdir(parents=True)
    (folder / "tasks.py").write_text('NEEDS = {"docker": ["docker"]}\n')
    return folder
