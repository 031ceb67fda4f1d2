"""Guards over every committed lesson, and the proof of its checks: each answer of each task, given in replay.

That a lesson's outputs are those of its recording is nbval's part (`pytest --nbval notebooks`); here is what nbval
does not see: cells without stored outputs, unexplained exceptions, checks that would pass anything.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import re
import shlex
from pathlib import Path
from typing import Any

import nbformat
import pytest
from conftest import Notebook

from labkit import tasks
from labkit import words as shellwords
from labkit.docker import command_line as syntax
from labkit.errors import LabError
from labkit.lesson import Lesson
from labkit.virtualbox import engine as bench

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
FOUND = sorted(NOTEBOOKS.glob("*/*.ipynb"))
LESSONS = sorted(path.parent.name for path in NOTEBOOKS.glob("lessons/*/tasks.py"))
IGNORED = {
    "00": 1,
    "10": 1,
}  # cells whose output nbval does not compare: each explained in the cell, and counted here
MINIMUM = {
    "02": (5, 4),
    "03": (4, 3),
    "07": (4, 4),
    "09": (4, 2),
    "10": (3, 3),
    "12": (3, 4),
}  # predictions, tasks

COMMANDS = tuple(
    f"%{name} " for name in ("docker", *bench.PROGRAMS, *bench.OWN)
)  # what a student types
STATELESS = {
    "read-tag",
    "which-tunnel",
    "through-dsl",
}  # tasks about bytes on paper: no state that could be away
MODEL = ("%net ", "%tunnel ")  # what needs no engine and is on no tape
each = pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}/{path.stem}")


def number(path: Path) -> str:
    return path.name.partition("-")[0]


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code_cells(path: Path) -> list[Any]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def magics(path: Path, name: str) -> list[list[str]]:
    """The words after each ``%name``, in order."""
    lines = [line for cell in code_cells(path) for line in cell.source.splitlines()]
    return [line.split()[1:] for line in lines if line.split()[:1] == [f"%{name}"]]


def said(cell: Any) -> str:
    """All text stored as a cell's output."""
    return "\n".join(
        text
        for output in cell.outputs
        for text in [output.get("text", ""), *map(str, output.get("data", {}).values())]
    )


def test_there_are_lessons() -> None:
    assert {"00", "12"} <= set(LESSONS)
    assert {number(path) for path in FOUND} == set(LESSONS)
    assert {path.parent.name for path in NOTEBOOKS.glob("lessons/*/recording.json")} == set(LESSONS)


@each
def test_it_is_a_valid_notebook_that_any_machine_can_open(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert notebook.nbformat == 4 and notebook.nbformat_minor >= 5
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    assert set(notebook.metadata) == {
        "kernelspec",
        "language_info",
    }  # no name of a machine, no widget state
    assert notebook.metadata.kernelspec.name == "python3"
    assert dict(notebook.metadata.language_info) == {"name": "python"}


@each
def test_every_code_cell_was_executed_in_order_and_stored(path: Path) -> None:
    """nbval never compares a cell without a stored execution."""
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        lines = [
            line for line in cell.source.splitlines() if line.strip() and not line.startswith("#")
        ]
        assert bool(cell.outputs) == bool(lines), cell.source


@each
def test_a_widget_is_called_after_its_cell_so_that_storing_again_changes_nothing(
    path: Path,
) -> None:
    for cell in code_cells(path):
        for n, output in enumerate(cell.outputs):
            if widget := output.get("data", {}).get("application/vnd.jupyter.widget-view+json"):
                assert widget["model_id"] == f"{cell.id}-{n}", (
                    f"`labkit record {number(path)}` stores it"
                )


@each
def test_no_output_is_an_error(path: Path) -> None:
    for cell in code_cells(path):
        for output in cell.outputs:
            assert output.output_type == "display_data", cell.source  # so neither error nor stderr
            assert "text/plain" in output.data
        for word in (
            "Traceback",
            "Error:",
            "\x1b",
            "Cannot tell",
            "shown again",
            "set aside",
            "started over",
            "was not recorded",
            "run that cell first",
        ):
            assert word not in said(cell), cell.source


@each
def test_what_is_not_compared_is_explained_and_counted(path: Path) -> None:
    ignoring = [
        cell for cell in code_cells(path) if "nbval-ignore-output" in cell.metadata.get("tags", [])
    ]
    assert len(ignoring) == IGNORED.get(number(path), 0)
    for cell in ignoring:
        assert len(cell.metadata.get("reason", "")) > 20, cell.source
    for cell in read(path).cells:
        assert "NBVAL_" not in cell.source
        tags = set(cell.metadata.get("tags", []))
        assert tags <= {"nbval-ignore-output"}, (
            tags
        )  # nor nbval-skip, nbval-raises-exception, raises-exception
        assert ("reason" in cell.metadata) == ("nbval-ignore-output" in tags)


@each
def test_slides_and_instructor_notes(path: Path) -> None:
    kinds = [cell.metadata.get("slideshow", {}).get("slide_type") for cell in read(path).cells]
    assert set(kinds) <= {"slide", "subslide", "fragment", "skip", "notes", "-"}, kinds
    assert kinds[0] == "slide" and kinds.count("slide") >= 3 and "notes" in kinds
    notes = [cell for cell in read(path).cells if cell.metadata.slideshow.slide_type == "notes"]
    assert all(cell.cell_type == "markdown" for cell in notes)


@each
def test_it_has_the_anatomy_of_a_lesson(path: Path) -> None:
    first = read(path).cells[0].source
    assert re.match(rf"# {number(path)} · \w", first)
    assert "You will be able to" in first and re.search(r"\*\*Time:\*\* \d+ minutes", first)
    assert 3 <= len(re.findall(r"^- ", first, re.M)) <= 5
    assert re.match(r"\d\d-[a-z0-9-]+\.ipynb$", path.name)
    headings = [
        line
        for cell in read(path).cells
        if cell.cell_type == "markdown"
        for line in cell.source.splitlines()
        if line.startswith("## ")
    ]
    if path.parent.name == "en" and number(path) != "00":
        assert {"## Recap", "## Since the slides (2016 → today)"} <= set(headings)
        assert any("Further reading" in cell.source for cell in read(path).cells)


@each
def test_it_starts_with_labkit_and_its_own_number(path: Path) -> None:
    lines = [line for cell in code_cells(path)[:3] for line in cell.source.splitlines()]
    assert lines[0] == "%load_ext labkit"
    assert [line for line in lines if line.startswith("%lesson")] == [f"%lesson {number(path)}"]
    assert magics(path, "lesson") == [[number(path)]]
    before = lines[1 : lines.index(f"%lesson {number(path)}")]
    assert before in ([], ["%doctor"])


@each
def test_tasks_and_checks_belong_together(path: Path) -> None:
    found = tasks.material(NOTEBOOKS / "lessons" / number(path))
    begun, checked = magics(path, "task"), magics(path, "check")
    assert (
        begun == checked == [[name] for name in found.tasks]
    )  # each once, in the order of tasks.py
    assert len(begun) >= MINIMUM.get(number(path), (1, 1))[1]
    order = [
        line
        for cell in code_cells(path)
        for line in cell.source.splitlines()
        if line[:6] in ("%task ", "%check")
    ]
    assert order == [f"%{verb} {name}" for name in found.tasks for verb in ("task", "check")]


@each
def test_predictions_are_made_before_and_answered_after(path: Path) -> None:
    found = tasks.material(NOTEBOOKS / "lessons" / number(path))
    asked, answered = magics(path, "predict"), magics(path, "answer")
    assert asked == answered == [[name] for name in found.predictions]
    assert len(asked) >= MINIMUM.get(number(path), (1, 1))[0]
    lines = [line for cell in code_cells(path) for line in cell.source.splitlines()]
    for name in found.predictions:
        between = lines[lines.index(f"%predict {name}") + 1 : lines.index(f"%answer {name}")]
        ran = [
            line for line in between if line.startswith((*COMMANDS, *MODEL)) or line == "%folder"
        ]
        assert ran, f"{name}: nothing is run in between"


@pytest.mark.parametrize("name", LESSONS)
def test_tasks_carry_their_hints_and_their_wrong_answers(name: str) -> None:
    for task in tasks.material(NOTEBOOKS / "lessons" / name).tasks.values():
        assert len(task.wrong) >= 2 and len(task.hints) >= 1, task.name
        hints = [attempt.hint for attempt in task.wrong]
        assert all(hints) and len(set(hints)) == len(hints), task.name
        assert not any(one in other for one in hints for other in hints if one is not other), (
            task.name
        )
        assert not task.solution.hint and (task.solution.commands or task.solution.answer)
        answers = [
            (tuple(attempt.commands), attempt.answer) for attempt in (task.solution, *task.wrong)
        ]
        assert len(set(answers)) == len(answers), task.name
        for attempt in (task.solution, *task.wrong):
            assert all(
                f"%{command}".startswith((*COMMANDS, *MODEL)) for command in attempt.commands
            )
        assert re.fullmatch(r"[a-z0-9-]+", task.name)


@pytest.mark.parametrize("name", LESSONS)
def test_predictions_explain_every_choice(name: str) -> None:
    for asked in tasks.material(NOTEBOOKS / "lessons" / name).predictions.values():
        assert (
            list(asked.choices) == list("ABCDE"[: len(asked.choices)]) and len(asked.choices) >= 2
        )
        assert set(asked.why) == set(asked.choices) and all(
            len(text) > 20 for text in asked.why.values()
        )
        assert len(set(asked.why.values())) == len(asked.why) and asked.question.endswith(
            ("?", ".")
        )


# A path of the machine a lesson was stored on, or of whoever stored it. (/tmp may be a container's.)
MACHINE = re.compile(
    "|".join(
        [
            r"/home/(?!me\b)",
            r"/root\b",
            r"/Users/",
            r"[A-Z]:\\\\?Users",
            r"/tmp/[\w-]*labkit",
            r"/venv/",
            r"site-packages",
            re.escape(str(NOTEBOOKS.parent)),
        ]
    )
)


@each
def test_nothing_tells_of_the_machine_it_was_made_on(path: Path) -> None:
    text = json.dumps(json.loads(path.read_text("utf-8")), ensure_ascii=False)
    assert not MACHINE.search(text), MACHINE.search(text)


@pytest.mark.parametrize("name", LESSONS)
def test_a_recording_says_what_it_was_recorded_on(name: str) -> None:
    path = NOTEBOOKS / "lessons" / name / "recording.json"
    data = json.loads(path.read_text("utf-8"))
    assert data["header"]["lesson"] == name
    assert data["header"]["engines"]
    for engine in data["header"]["engines"].values():
        assert re.fullmatch(r"(Docker|VirtualBox|QEMU) \d+\.\d+\.\d+", engine)
    assert datetime.date.fromisoformat(data["header"]["recorded"]) >= datetime.date(2026, 1, 1)
    assert data["steps"] and data["reads"]
    text = path.read_text("utf-8")
    assert not MACHINE.search(text), MACHINE.search(text)
    states = {"start", *(step["next"] for step in data["steps"])}
    lost = {step["at"] for step in data["steps"]} - states - {read["at"] for read in data["reads"]}
    assert not lost, "commands in a state nothing leads to"


@pytest.mark.parametrize("name", LESSONS)
def test_a_recording_was_made_on_an_empty_engine(name: str) -> None:
    """Else a pull says "up to date", and what is called as something of the lesson makes it another lesson."""
    data = json.loads((NOTEBOOKS / "lessons" / name / "recording.json").read_text("utf-8"))
    world = next(
        read["value"]["is"]
        for read in data["reads"]
        if (read["at"], read["what"]) == ("start", "world")
    )
    kinds = (
        ("images", "containers")
        if "docker" in data["header"]["engines"]
        else ("machines", "media", "files")
    )
    assert all(world[kind] == [] for kind in kinds)
    if "docker" not in data["header"]["engines"]:
        return
    said = "".join("".join(step["output"]) for step in data["steps"])
    assert "Image is up to date" not in said and (
        "Downloaded newer image" in said or "Pulling from" not in said
    )


@each
def test_every_command_of_the_notebook_was_recorded(path: Path) -> None:
    data = json.loads((NOTEBOOKS / "lessons" / number(path) / "recording.json").read_text("utf-8"))
    keys = {step["key"] for step in data["steps"]}
    for cell in code_cells(path):
        for line in cell.source.splitlines():
            if line.startswith(("%docker ", "%before_after docker ")) and " -it " not in line:
                words = (
                    shellwords.split(line)[1:]
                    if line.startswith("%docker")
                    else shellwords.split(line)[2:]
                )
                assert shlex.join(syntax.parse(words).key) in keys, line
            elif line.startswith(COMMANDS[1:]) and not cell.source.startswith("%%"):
                program, *words = Lesson.words(line[1:])
                assert shlex.join(bench.key([bench.canonical(program), *words])) in keys, line


@each
def test_stored_outputs_are_the_recordings(path: Path) -> None:
    header = json.loads(
        (NOTEBOOKS / "lessons" / number(path) / "recording.json").read_text("utf-8")
    )["header"]
    badge = f"replay · recorded {header['recorded']} on {', '.join(header['engines'].values())}"
    for cell in code_cells(path):
        ours = (
            "%forest",
            "%layers",
            "%answer",
            "%check",
            "%task",
            "%snapshots",
            "%disk ",
            "%folder",
            "%guest_read",
        )
        if cell.source.startswith((*ours, *COMMANDS)):
            first = [output.data["text/plain"].splitlines()[0] for output in cell.outputs]
            assert all(re.sub(r" · took \d+\.\d\d s$", "", line) == badge for line in first), (
                cell.source
            )
            assert all(badge in output.data["text/html"] for output in cell.outputs)


# -- the proof ----------------------------------------------------------------------------------


def away(*_: object) -> Any:
    raise LabError("The engine is away.")


@pytest.mark.parametrize(
    "path", [path for path in FOUND if path.parent.name == "en"], ids=lambda path: path.stem
)
def test_each_check_is_proven(
    path: Path, replay: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    proven = 0
    for cell in code_cells(path):
        replay.run(cell.source)
        if not cell.source.startswith("%task "):
            continue
        lesson = replay.lesson
        task = tasks.material(lesson.folder).task(cell.source.split()[1])
        told: set[str] = set()
        for attempt in (tasks.Try(), *task.wrong, task.solution, *task.wrong[::-1]):
            tasks.begin(lesson, task)
            found = tasks.attempt_at(lesson, task, attempt)
            right = attempt is task.solution
            assert found.status == ("pass" if right else "fail"), (task.name, attempt, found)
            assert attempt.hint in found.text, (task.name, attempt, found)
            if attempt.hint:
                told.add(found.text)
        assert len(told) == len(task.wrong), f"{task.name}: two wrong answers are told the same"
        tasks.begin(lesson, task)
        for line in task.solution.commands:  # the same by hand, in cells
            replay.run(f"%{line}")
        with monkeypatch.context() as patch:
            for way in ("read", "content", "command"):
                patch.setattr(lesson.tape, way, away)
            patch.setattr(type(lesson.console), "topology", property(away))
            if task.name not in STATELESS:
                assert tasks.verdict(lesson, task, task.solution.answer) == (
                    "unknown",
                    "The engine is away.",
                )
                assert "Cannot tell" in replay.run(f"%check {task.name} {task.solution.answer}")
        assert "✔" in replay.run(f"%check {task.name} {task.solution.answer}")
        tasks.begin(lesson, task)  # and on with the lesson as in Run All, with the task unsolved
        proven += 1
    assert proven == len(tasks.material(replay.lesson.folder).tasks)


@pytest.mark.parametrize(
    "path", [path for path in FOUND if path.parent.name == "en"], ids=lambda path: path.stem
)
def test_run_all_twice_is_the_same(path: Path, replay: Notebook) -> None:
    replay.run("%load_ext labkit")
    cells = [
        re.sub(r"^%(load_ext|doctor).*\n?", "", cell.source, flags=re.M)
        for cell in code_cells(path)
    ]
    first, second = ([replay.run(source) for source in cells] for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    "path", [path for path in FOUND if number(path) in MINIMUM], ids=lambda path: path.stem
)
def test_an_answer_is_true_whenever_it_is_asked_for(path: Path, replay: Notebook) -> None:
    """Before what was predicted has happened, and after more has: the same letter, or that it cannot be told now."""
    told: dict[str, set[str]] = {}
    for cell in code_cells(path):
        replay.run(cell.source)
        for name, asked in tasks.material(replay.lesson.folder).predictions.items():
            with contextlib.suppress(LabError):
                told.setdefault(name, set()).add(asked.right(replay.lesson))
    assert all(len(letters) == 1 for letters in told.values()), sorted(told.items())
