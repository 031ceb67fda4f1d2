"""Guards over every committed lesson, and the proof of its checks: each answer of each task.

That a lesson's outputs are those of its recording is nbval's part (`pytest --nbval notebooks`).
Here is what nbval does not see: cells without stored outputs, unexplained exceptions, checks that
would pass anything.
"""

from __future__ import annotations

import ast
import copy
import datetime
import json
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import nbformat
import pytest
from conftest import NOTEBOOKS, Notebook
from IPython.core.inputtransformer2 import TransformerManager

from labkit import tasks
from labkit.engine import Engine, engines, spelled
from labkit.errors import LabError
from labkit.lesson import Lesson
from labkit.material import Material, Task, Try, material
from labkit.words import split

FOUND = sorted(NOTEBOOKS.glob("*/*.ipynb"))
LESSONS = sorted(path.parent.name for path in NOTEBOOKS.glob("lessons/*/tasks.py"))
KINDS = list(engines().values())
MODELLED = tuple(f"%{name} " for kind in KINDS if kind.modelled for name in kind.programs)
TYPED = tuple(f"%{name} " for kind in KINDS if not kind.modelled for name in kind.programs)
each = pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}/{path.stem}")
english = pytest.mark.parametrize(
    "path", [path for path in FOUND if path.parent.name == "en"], ids=lambda path: path.stem
)


def number(path: Path) -> str:
    return path.name.partition("-")[0]


def asks(path: Path) -> Material:
    return material(NOTEBOOKS / "lessons" / number(path))


def needed(name: str) -> dict[str, type[Engine]]:
    """The engines of a lesson that cannot be modelled, so that they are recorded."""
    kinds = {
        subject: engines()[subject] for subject in material(NOTEBOOKS / "lessons" / name).needs
    }
    return {subject: kind for subject, kind in kinds.items() if not kind.modelled}


RECORDED = [name for name in LESSONS if needed(name)]
recorded = pytest.mark.parametrize("name", RECORDED)


@lru_cache
def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code_cells(path: Path) -> list[Any]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def lines(path: Path) -> list[str]:
    return [line for cell in code_cells(path) for line in cell.source.splitlines()]


def magics(path: Path, name: str) -> list[list[str]]:
    """The words after each ``%name``, in order."""
    return [line.split()[1:] for line in lines(path) if line.split()[:1] == [f"%{name}"]]


@lru_cache
def recording(name: str) -> Any:
    return json.loads((NOTEBOOKS / "lessons" / name / "recording.json").read_text("utf-8"))


# -- the notebooks ------------------------------------------------------------------------------


def test_there_are_lessons() -> None:
    assert {"00", "12"} <= set(LESSONS) and {number(path) for path in FOUND} == set(LESSONS)
    kept = {path.parent.name for path in NOTEBOOKS.glob("lessons/*/recording.json")}
    assert kept == set(RECORDED)


@each
def test_it_is_a_valid_notebook_that_any_machine_can_open(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert notebook.nbformat == 4 and notebook.nbformat_minor >= 5
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    about = {"kernelspec", "language_info"}  # no name of a machine, no widget state
    assert set(notebook.metadata) == about and notebook.metadata.kernelspec.name == "python3"
    assert dict(notebook.metadata.language_info) == {"name": "python"}


@each
def test_every_code_cell_was_executed_in_order_and_stored(path: Path) -> None:
    """nbval never compares a cell without a stored execution."""
    cells = code_cells(path)
    counts = [cell.execution_count for cell in cells]
    assert counts == [*range(1, len(cells) + 1)], f"`labkit record {number(path)}` stores it"
    for cell in cells:
        typed = [line for line in cell.source.splitlines() if line.strip() and line[0] != "#"]
        assert bool(cell.outputs) == bool(typed), cell.source


@each
def test_a_lesson_is_magics_and_nothing_else(path: Path) -> None:
    """Students need no Python."""
    for cell in code_cells(path):
        typed = cell.source.splitlines()
        assert typed[0][:2] == "%%" or all(line[:1] in ("%", "#", "") for line in typed), typed
        assert ast.parse(TransformerManager().transform_cell(cell.source))


@each
def test_a_widget_is_called_after_its_cell_so_that_storing_again_changes_nothing(
    path: Path,
) -> None:
    for cell in code_cells(path):
        for place, output in enumerate(cell.outputs):
            if widget := output.data.get("application/vnd.jupyter.widget-view+json"):
                again = f"`labkit record {number(path)}` stores it"
                assert widget["model_id"] == f"{cell.id}-{place}", again


BAD = (
    "Traceback|Error:|\x1b|Cannot tell|shown again|set aside|started over|was not recorded|"
    "run that cell first"
)


@each
def test_no_output_is_an_error(path: Path) -> None:
    for cell in code_cells(path):
        for output in cell.outputs:
            assert output.output_type == "display_data", cell.source  # neither error nor stderr
            assert "text/plain" in output.data
            assert not re.search(BAD, "\n".join(map(str, output.data.values()))), cell.source


@each
def test_what_is_not_compared_is_explained(path: Path) -> None:
    ignored = 0
    for cell in read(path).cells:
        assert "NBVAL_" not in cell.source
        tags = cell.metadata.get("tags", [])
        assert tags in ([], ["nbval-ignore-output"])  # nor nbval-skip, nor raises-exception
        assert ("reason" in cell.metadata) == bool(tags)
        assert not tags or len(cell.metadata.reason) > 20, cell.source
        ignored += bool(tags)
    assert ignored <= 1


@each
def test_slides_and_instructor_notes(path: Path) -> None:
    cells = [(cell.metadata.slideshow.slide_type, cell.cell_type) for cell in read(path).cells]
    kinds = [kind for kind, _ in cells]
    assert set(kinds) <= {"slide", "subslide", "fragment", "skip", "notes", "-"}, kinds
    assert kinds[0] == "slide" and kinds.count("slide") >= 3
    assert {cell for kind, cell in cells if kind == "notes"} == {"markdown"}


@each
def test_it_has_the_anatomy_of_a_lesson(path: Path) -> None:
    first = read(path).cells[0].source
    assert re.match(rf"# {number(path)} · \w", first)
    assert "You will be able to" in first and re.search(r"\*\*Time:\*\* \d+ minutes", first)
    assert 3 <= len(re.findall(r"^- ", first, re.M)) <= 5, "three to five things, `- …`"
    assert re.match(r"\d\d-[a-z0-9-]+\.ipynb$", path.name)
    if path.parent.name == "en" and number(path) != "00":
        text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
        headings = re.findall(r"^## .*", text, re.M)
        assert {"## Recap", "## Since the slides (2016 → today)"} <= set(headings)
        assert "Further reading" in text


@each
def test_it_starts_with_labkit_and_its_own_number(path: Path) -> None:
    begins = f"%lesson {number(path)}"
    start = [line for cell in code_cells(path)[:3] for line in cell.source.splitlines()]
    assert start[0] == "%load_ext labkit" and magics(path, "lesson") == [[number(path)]]
    assert start[1 : start.index(begins)] in ([], ["%doctor"])


@each
def test_tasks_and_checks_belong_together(path: Path) -> None:
    """Each once, in the order of tasks.py."""
    found = [line for line in lines(path) if line[:6] in ("%task ", "%check")]
    known = asks(path).tasks
    assert found == [f"%{verb} {name}" for name in known for verb in ("task", "check")]
    assert len(known) >= (1 if number(path) == "00" else 2), "a lesson has two tasks or more"


@each
def test_predictions_are_made_before_and_answered_after(path: Path) -> None:
    known = asks(path).predictions
    names = [[name] for name in known]
    assert magics(path, "predict") == magics(path, "answer") == names
    assert len(names) >= (1 if number(path) == "00" else 3), "three predictions or more"
    typed = lines(path)
    for name in known if asks(path).needs else ():
        between = typed[typed.index(f"%predict {name}") + 1 : typed.index(f"%answer {name}")]
        ran = (*TYPED, *MODELLED, "%tunnel ", "%folder")
        assert any(line.startswith(ran) for line in between), f"{name}: nothing is run in between"


# A path of the machine a lesson was stored on, or of who stored it. (/tmp may be a container's.)
MACHINE = re.compile(
    r"/home/(?!me\b)|/root\b|/Users/|[A-Z]:\\\\?Users|/tmp/[\w-]*labkit|/venv/|site-packages|"
    + re.escape(str(NOTEBOOKS.parent))
)


@each
def test_nothing_tells_of_the_machine_it_was_made_on(path: Path) -> None:
    text = json.dumps(json.loads(path.read_text("utf-8")), ensure_ascii=False)
    assert not MACHINE.search(text), MACHINE.search(text)


# -- what lessons ask ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", LESSONS)
def test_tasks_carry_their_hints_and_their_wrong_answers(name: str) -> None:
    for task in material(NOTEBOOKS / "lessons" / name).tasks.values():
        assert re.fullmatch(r"[a-z0-9-]+", task.name)
        assert len(task.wrong) >= 2 and len(task.hints) >= 1, task.name
        hints = [attempt.hint for attempt in task.wrong]
        others = [(one, other) for one in hints for other in hints if one is not other]
        assert all(hints) and not any(one in other for one, other in others), task.name
        assert not task.solution.hint and (task.solution.commands or task.solution.answer)
        attempts = [task.solution, *task.wrong]
        answers = {(tuple(attempt.commands), attempt.answer) for attempt in attempts}
        assert len(answers) == len(attempts), task.name
        for line in (line for attempt in attempts for line in attempt.commands):
            assert f"%{line}".startswith((*TYPED, *MODELLED)), line


@pytest.mark.parametrize("name", LESSONS)
def test_predictions_explain_every_choice(name: str) -> None:
    for asked in material(NOTEBOOKS / "lessons" / name).predictions.values():
        letters = list(asked.choices)
        assert letters == list("ABCDE"[: len(letters)]) and len(letters) >= 2
        assert set(asked.why) == set(letters) and min(map(len, asked.why.values())) > 20
        assert len(set(asked.why.values())) == len(letters)
        assert asked.question.endswith(("?", "."))


# -- the recordings -----------------------------------------------------------------------------


@recorded
def test_a_recording_says_what_it_was_recorded_on(name: str) -> None:
    data = recording(name)
    assert data["header"]["lesson"] == name and data["header"]["engines"]
    for version in data["header"]["engines"].values():
        assert re.fullmatch(r"[A-Z]\w+ \d+\.\d+\.\d+", version)
    assert datetime.date.fromisoformat(data["header"]["recorded"]) >= datetime.date(2026, 1, 1)
    text = json.dumps(data, ensure_ascii=False)
    assert not MACHINE.search(text), MACHINE.search(text)
    assert data["steps"] and data["reads"]
    led_to = {"start", *(step["next"] for step in data["steps"])}
    lost = {step["at"] for step in data["steps"]} - led_to - {read["at"] for read in data["reads"]}
    assert not lost, "commands in a state nothing leads to"


@recorded
def test_a_recording_was_made_on_an_empty_engine(name: str) -> None:
    """Else a pull says "up to date", and what has a name of the lesson's makes it another one."""
    data = recording(name)
    worlds = [
        read["value"]["is"]
        for read in data["reads"]
        if (read["at"], read["what"]) == ("start", "world")
    ]
    (world,) = worlds
    engines_own = {"networks", "notes"}  # bridge, host, none
    assert {kind for kind, things in world.items() if things} <= engines_own
    said = "".join("".join(step["output"]) for step in data["steps"])
    assert "Image is up to date" not in said
    assert "Downloaded newer image" in said or "Pulling from" not in said


@each
def test_every_command_of_the_notebook_was_recorded(path: Path) -> None:
    for cell in code_cells(path):
        for line in cell.source.splitlines():
            typed = line.removeprefix("%before_after ").lstrip("%")
            for kind in needed(number(path)).values():
                program = spelled(typed.partition(" ")[0], kind.programs)
                if program and line[:1] == "%" and cell.source[:2] != "%%":
                    with suppress(LabError):  # which is what the lesson shows
                        command = kind.parse([program, *split(typed, kind.literal)[1:]])
                        known = {step["key"] for step in recording(number(path))["steps"]}
                        assert shlex.join(command.key) in known, line


@each
def test_stored_outputs_are_the_recordings(path: Path) -> None:
    if not needed(number(path)):
        return
    header = recording(number(path))["header"]
    badge = f"replay · recorded {header['recorded']} on {', '.join(header['engines'].values())}"
    magics = "forest layers answer check task snapshots disk folder guest_read"
    ours = (*(f"%{magic}" for magic in magics.split()), *TYPED)
    for cell in code_cells(path):
        if cell.source.startswith(ours) and not cell.source.startswith("%disk_"):
            for output in cell.outputs:
                first = output.data["text/plain"].splitlines()[0]
                assert re.sub(r" · took \d+\.\d\d s$", "", first) == badge, cell.source
                assert badge in output.data["text/html"]


# -- the proof ----------------------------------------------------------------------------------


@contextmanager
def aside(lesson: Lesson) -> Iterator[None]:
    """What is done inside leaves no trace in a lesson that is replayed."""
    tape = vars(lesson.tape)
    kept = {**tape}
    if "_played" in tape:  # a modelled lesson plays no recording
        kept["_played"] = {**tape["_played"]}
    modelled = [each for each in lesson.engines.values() if each.modelled]
    memory, task, passed = copy.deepcopy(lesson.memory), lesson.task, {*lesson.passed}
    marks = [each.mark() for each in modelled]
    yield
    tape.update(kept)
    lesson.memory, lesson.task, lesson.passed = memory, task, passed
    for each, mark in zip(modelled, marks, strict=True):
        each.clean(mark)


def away(*_: object) -> Any:
    raise LabError("The engine is away.")


def proven(cells: Notebook, task: Task) -> None:
    """Each answer has its verdict, twice and in any order; with no engine there is none."""
    lesson, told = cells.lesson, set[str]()
    for attempt in (Try(), *task.wrong, task.solution, *task.wrong[::-1]):
        tasks.begin(lesson, task)
        found = tasks.attempt_at(lesson, task, attempt)
        right = attempt is task.solution
        assert found.status == ("pass" if right else "fail"), (task.name, attempt, found)
        assert attempt.hint in found.text, (task.name, attempt, found)
        told |= {found.text} if attempt.hint else set()
    assert len(told) == len(task.wrong), f"{task.name}: two wrong answers are told the same"
    tasks.begin(lesson, task)
    for line in task.solution.commands:  # the same by hand, in cells
        cells.run(f"%{line}")
    check = f"%check {task.name} {task.solution.answer}"
    if not task.on_paper:
        with pytest.MonkeyPatch.context() as patch:
            for way in ("read", "content", "command"):
                patch.setattr(lesson.tape, way, away)
            patch.setattr(lesson, "engine", away)
            unknown = ("unknown", "Cannot tell: The engine is away.")
            assert tasks.verdict(lesson, task, task.solution.answer) == unknown
            assert "Cannot tell" in cells.run(check)
    assert "✔" in cells.run(check)


@english
def test_each_check_is_proven_and_the_lesson_is_the_same_every_time(
    path: Path, replay: Notebook
) -> None:
    """Run All, beside which each answer to each task is given, and each prediction looked up.

    Before what was predicted has happened, and after more has, its truth is the same letter or
    cannot be told. Then Run All again, plain: nothing has changed.
    """
    replay.run("%load_ext labkit")
    sources = [
        re.sub(r"^%(load_ext|doctor).*\n?", "", cell.source, flags=re.M)
        for cell in code_cells(path)
    ]
    asked, first, done = asks(path), list[str](), list[str]()
    letters: dict[str, set[str]] = {name: set() for name in asked.predictions}
    for source in filter(None, sources):
        first.append(replay.run(source))
        for name, prediction in asked.predictions.items():
            with aside(replay.lesson), suppress(LabError):
                letters[name].add(prediction.right(replay.lesson))
        if source.startswith("%task "):
            done.append(source.split()[1])
            with aside(replay.lesson):
                proven(replay, asked.task(done[-1]))
    assert done == list(asked.tasks)
    assert all(len(truth) == 1 for truth in letters.values()), sorted(letters.items())
    assert [replay.run(source) for source in filter(None, sources)] == first
