"""The house stays small and readable: sizes, and a picture that is true."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest
from lanes import lane

from labkit.engine import SUBJECTS
from labkit.material import material

ROOT = Path(__file__).resolve().parent.parent
LABKIT = sorted((ROOT / "labkit").rglob("*.py"))
BESIDE_LESSONS = sorted((ROOT / "notebooks" / "lessons").glob("*/*.py"))


def lines(paths: list[Path]) -> int:
    return sum(len(path.read_text("utf-8").splitlines()) for path in paths)


@pytest.mark.parametrize("path", [*LABKIT, *BESIDE_LESSONS], ids=lambda path: path.name)
def test_a_module_and_its_functions_fit_on_a_few_screens(path: Path) -> None:
    assert lines([path]) <= 400
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 50, node.name


def test_the_core_is_small_and_lessons_own_little_code() -> None:
    core = [path for path in LABKIT if path.relative_to(ROOT / "labkit").parts[0] not in SUBJECTS]
    assert lines(core) <= 3_000, "lines of the core: what is a subject's belongs there"
    asks = ("tasks.py", "predictions.py")
    assert lines([path for path in BESIDE_LESSONS if path.name not in asks]) <= 1_500


def test_a_subject_is_under_the_contracts() -> None:
    about = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    core, apart = about["tool"]["importlinter"]["contracts"][1:3]
    assert set(SUBJECTS.values()) == set(core["forbidden_modules"]) == set(apart["modules"])


def test_each_lesson_is_in_the_tables() -> None:
    for readme in (ROOT / "README.md", ROOT / "notebooks" / "README.md"):
        linked = re.findall(r"\(.*?(\d\d-[a-z-]+\.ipynb)\)", readme.read_text("utf-8"))
        assert {*linked} == {path.name for path in ROOT.glob("notebooks/*/*.ipynb")}, readme


def test_each_lesson_is_compared_live_in_the_lane_of_its_first_engine() -> None:
    for folder in (ROOT / "notebooks" / "lessons").glob("*/"):
        for first in [*material(folder).needs][:1]:
            assert [path for path in lane(first) if path.name[:2] == folder.name]


def test_the_picture_of_the_house_shows_its_imports() -> None:
    grimp = pytest.importorskip("grimp")
    graph = grimp.build_graph("labkit")
    rooms = sorted(graph.find_children("labkit"))
    arrows = {
        room: {
            other
            for other in rooms
            if room != other
            and graph.direct_import_exists(importer=room, imported=other, as_packages=True)
        }
        for room in rooms
    }

    def reached(room: str) -> set[str]:
        return arrows[room] | {far for near in arrows[room] for far in reached(near)}

    needed = {  # an arrow is left out if another way leads there
        (room, other)
        for room in rooms
        for other in arrows[room]
        if not any(other in reached(between) for between in arrows[room] - {other})
    }
    picture = (ROOT / "docs" / "house.svg").read_text("utf-8")
    drawn = re.findall(r"<title>\.(\w+)&#45;&gt;\.(\w+)</title>", picture)
    assert {(f"labkit.{a}", f"labkit.{b}") for a, b in drawn} == needed, (
        "draw it again: import-linter drawgraph labkit | tred | dot -Tsvg > docs/house.svg"
    )
