"""Tasks on a toy engine: live, recorded, and replayed; a check that cannot know is never green."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import Any

import pytest

from labkit import tasks
from labkit.commands import Result
from labkit.docker.command_line import Words
from labkit.docker.engine import Docker
from labkit.errors import LabError
from labkit.ledger import Ledger
from labkit.lesson import Lesson
from labkit.tasks import Material, NotYet, Prediction, Task, Try, Unproven, material


class Toy:
    """An engine with containers only: `docker run --name NAME IMAGE`, `docker rm NAME`, `docker ps`."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger(folder)
        self.containers: dict[str, str] = {"student": "own"}
        self.stuck: set[str] = set()
        self.away = False

    def __str__(self) -> str:
        return "Docker 0.1"

    def ask(self) -> None:
        if self.away:
            raise LabError("The Docker engine does not answer (any more).")

    def world(self) -> dict[str, Any]:
        self.ask()
        return {
            "images": [],
            "volumes": [],
            "networks": [],
            "containers": [
                {"id": name, "name": name, "image": image, "image_id": image, "state": "running"}
                for name, image in self.containers.items()
            ],
        }

    def changes(self, container: str) -> list[dict[str, str]]:
        self.ask()
        return []

    def run(
        self, argv: Sequence[str], words: Words, lesson: str, stdin: str | None, on_text: object
    ) -> Result:
        self.ask()
        if words.name == "run":
            name = dict(words.options)["--name"]
            if name in self.containers:
                return Result(tuple(argv), 125, (("err", "Conflict\n"),))
            self.containers[name] = words.words[0]
            self.ledger.add(lesson, [("container", name)])
        if words.name == "rm":
            self.containers.pop(words.words[0], None)
        return Result(tuple(argv), 0, (("out", f"{sorted(self.containers)}\n"),))

    def mark(self, lesson: str) -> int:
        return len(self.ledger.entries(lesson))

    def clean(self, lesson: str, since: int = 0, names: Container[str] | None = None) -> list[str]:
        entries, kept = self.ledger.entries(lesson), []
        for entry in entries[since:]:
            if entry[1] in self.stuck or (names is not None and entry[1] not in names):
                kept.append(entry)
            else:
                self.containers.pop(entry[1], None)
        self.ledger.keep(lesson, [*entries[:since], *kept])
        return [f"{entry[1]} stays: stuck" for entry in kept if entry[1] in self.stuck]


def check_mine(lesson: Lesson, answer: str) -> str:
    mine = lesson.container("mine")
    if not mine:
        raise NotYet("There is no container called `mine`.")
    if mine["image"] != "right":
        raise NotYet(f"`mine` runs {mine['image']}.")
    return "It is there."


def check_number(lesson: Lesson, answer: str) -> str:
    if answer != "2":
        raise NotYet(f"Not {answer!r}.")
    return f"Yes, {len(lesson.world()['containers'])}."


MINE = Task(
    "mine",
    check_mine,
    Try(["docker run --name mine right"]),
    [
        Try(["docker run --name mine wrong"], hint="runs wrong"),
        Try(["docker run --name other right"], hint="no container called"),
    ],
    ["a", "b"],
)
NUMBER = Task(
    "number",
    check_number,
    Try(answer="2"),
    [Try(answer="3", hint="Not '3'"), Try(answer="x", hint="'x'")],
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lessons" / "77").mkdir(parents=True)
    return tmp_path / "lessons" / "77"


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    toy = Toy(tmp_path / "ledger")
    monkeypatch.setattr(Docker, "find", lambda: toy)
    return toy


@pytest.fixture
def live(toy: Toy, folder: Path) -> Lesson:
    lesson = Lesson("77", "live", folder)
    lesson.command(["docker", "run", "--name", "base", "right"])
    return lesson


@pytest.fixture
def replay(toy: Toy, folder: Path) -> Lesson:
    lesson = Lesson("77", "record", folder)
    lesson.command(["docker", "run", "--name", "base", "right"])
    for task in (MINE, NUMBER):
        tasks.begin(lesson, task)
        tasks.finish(lesson, task)  # as Run All does, without an answer
    lesson.command(["docker", "run", "--name", "after", "right"])
    lesson.tape.save(lesson.recording)
    toy.away = True
    again = Lesson("77", "replay", folder)
    again.command(["docker", "run", "--name", "base", "right"])
    return again


def status(lesson: Lesson, task: Task, attempt: Try) -> tuple[str, str]:
    tasks.begin(lesson, task)
    return tuple(tasks.attempt_at(lesson, task, attempt))  # type: ignore[return-value]


@pytest.mark.parametrize("mode", ["live", "replay"])
def test_each_answer_has_its_verdict(mode: str, request: pytest.FixtureRequest) -> None:
    lesson = request.getfixturevalue(mode)
    for _ in range(2):
        for task in (MINE, NUMBER):
            assert status(lesson, task, Try())[0] == "fail"
            for wrong in task.wrong:
                found, text = status(lesson, task, wrong)
                assert found == "fail" and wrong.hint in text
            assert status(lesson, task, task.solution)[0] == "pass"


def test_when_the_engine_is_away_nobody_can_tell(live: Lesson, toy: Toy) -> None:
    tasks.begin(live, MINE)
    live.command(["docker", "run", "--name", "mine", "right"])
    toy.away = True
    found = tasks.finish(live, MINE)
    assert found.status == "unknown" and "does not answer" in found.text
    assert live.passed == set() and live.task
    toy.away = False
    assert tasks.finish(live, MINE).status == "pass"


def test_what_was_not_recorded_cannot_be_told(replay: Lesson) -> None:
    tasks.begin(replay, MINE)
    for key in [key for key in replay.tape._reads if key[0] not in ("start", replay.tape.state)]:
        del replay.tape._reads[key]
    replay.command(["docker", "run", "--name", "mine", "right"])
    assert tasks.finish(replay, MINE).status == "unknown"


@pytest.mark.parametrize("mode", ["live", "replay"])
def test_a_solved_task_is_left_and_the_lesson_goes_on(
    mode: str, request: pytest.FixtureRequest, toy: Toy
) -> None:
    lesson = request.getfixturevalue(mode)
    state = lesson.tape.state
    tasks.begin(lesson, MINE)
    lesson.command(["docker", "run", "--name", "mine", "right"])
    assert tasks.finish(lesson, MINE).status == "pass"
    assert lesson.task is None and lesson.tape.state == state and lesson.container("mine") is None
    if mode == "live":
        assert sorted(toy.containers) == ["base", "student"]
    again = tasks.finish(lesson, MINE)
    assert again.status == "pass" and "Already solved" in again.text and "%task mine" in again.text
    assert (
        "after" in lesson.command(["docker", "run", "--name", "after", "right"]).out
        and not lesson.tape.remark
    )
    tasks.begin(lesson, MINE)
    assert tasks.finish(lesson, MINE).status == "fail"


def test_an_unsolved_task_keeps_what_the_student_made(live: Lesson, toy: Toy) -> None:
    tasks.begin(live, MINE)
    live.command(["docker", "run", "--name", "mine", "wrong"])
    assert tasks.finish(live, MINE).status == "fail" and toy.containers["mine"] == "wrong"
    assert live.task and live.task[0] == "mine"
    tasks.begin(live, MINE)  # again: now it goes
    assert "mine" not in toy.containers and toy.containers == {"student": "own", "base": "right"}


def test_checking_another_task_leaves_the_open_one_alone(live: Lesson, toy: Toy) -> None:
    tasks.begin(live, MINE)
    live.command(["docker", "run", "--name", "mine", "wrong"])
    assert tasks.finish(live, NUMBER, "2").status == "pass"
    assert toy.containers["mine"] == "wrong" and live.task and live.task[0] == "mine"


def test_starting_another_task_leaves_the_open_one(live: Lesson, toy: Toy) -> None:
    tasks.begin(live, MINE)
    live.command(["docker", "run", "--name", "mine", "wrong"])
    tasks.begin(live, NUMBER)
    assert "mine" not in toy.containers and live.task and live.task[0] == "number"


def test_what_has_to_stay_is_said(live: Lesson, toy: Toy) -> None:
    tasks.begin(live, MINE)
    live.command(["docker", "run", "--name", "mine", "wrong"])
    toy.stuck.add("mine")
    assert tasks.begin(live, MINE) == ["mine stays: stuck"]


def test_answers_are_trimmed(live: Lesson) -> None:
    assert tasks.verdict(live, NUMBER, "  2 \n").status == "pass"


def test_a_check_leaves_the_tape_as_it_was(live: Lesson) -> None:
    for task in (MINE, NUMBER):
        tasks.verdict(live, task)
        assert live.tape.checking is False

    def broken(lesson: Lesson, answer: str) -> str:
        raise RuntimeError("a bug in a lesson")

    with pytest.raises(RuntimeError):
        tasks.verdict(live, Task("x", broken, Try(), []))
    assert live.tape.checking is False


# -- recording proves the tasks -----------------------------------------------------------------


def task(
    check: Callable[[Lesson, str], str] = check_mine, solution: Try = MINE.solution, *wrong: Try
) -> Task:
    return Task("mine", check, solution, wrong)


@pytest.mark.parametrize(
    "unproven",
    [
        task(lambda lesson, answer: "always fine"),  # no answer at all passes
        task(check_mine, Try(["docker run --name mine wrong"])),  # the solution does not
        task(
            check_mine, MINE.solution, Try(["docker run --name mine right"], hint="x")
        ),  # a wrong answer does
        task(
            check_mine,
            MINE.solution,
            Try(["docker run --name mine wrong"], hint="no container called"),
        ),  # not its hint
        task(
            check_mine, MINE.solution, Try(["docker rm student"], hint="no container called")
        ),  # it harms
    ],
)
def test_a_task_that_proves_nothing_is_not_recorded(toy: Toy, folder: Path, unproven: Task) -> None:
    lesson = Lesson("77", "record", folder)
    with pytest.raises(Unproven, match="Task mine"):
        tasks.begin(lesson, unproven)


def test_a_task_that_leaves_something_behind_is_not_recorded(toy: Toy, folder: Path) -> None:
    toy.stuck.add("mine")
    with pytest.raises(Unproven, match="mine stays"):
        tasks.begin(Lesson("77", "record", folder), MINE)


def test_recording_leaves_only_what_was_there(replay: Lesson, toy: Toy) -> None:
    assert sorted(toy.containers) == ["after", "base", "student"]


# -- lessons and their material -----------------------------------------------------------------

SOURCE = """
from labkit.tasks import Prediction, Task, Try
TASKS = [Task("one", lambda lesson, answer: "", Try(), []), Task("two", lambda lesson, answer: "", Try(), [])]
PREDICTIONS = [Prediction("guess", "?", {"A": "a"}, {"A": "why"}, lambda lesson: "A")]
"""


def test_material_by_name(folder: Path) -> None:
    (folder / "tasks.py").write_text(SOURCE)
    found = material(folder)
    assert list(found.tasks) == ["one", "two"] and list(found.predictions) == ["guess"]
    assert found.task("two").name == "two" and found.prediction("guess").question == "?"
    for look, what in (
        (found.task, "task 'three'; it has: one, two."),
        (found.prediction, "prediction 'three'; it has: guess."),
    ):
        with pytest.raises(LabError) as caught:
            look("three")
        assert what in str(caught.value) and "\n" not in str(caught.value)


def test_a_lesson_without_tasks_asks_nothing(folder: Path) -> None:
    assert material(folder) == Material()
    with pytest.raises(LabError, match="it has: none"):
        material(folder).task("one")


def test_material_is_plain_data() -> None:
    assert isinstance(NUMBER.solution.commands, Sequence) and Try().hint == ""
    assert Prediction("a", "b", {}, {}, lambda lesson: "A").name == "a"


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


def test_a_mode_that_is_none(folder: Path) -> None:
    with pytest.raises(LabError, match="live or replay"):
        Lesson("77", "liev", folder)


def test_neither_engine_nor_recording(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    with pytest.raises(LabError) as caught:
        Lesson("77", None, folder)
    assert "No Docker engine answers" in str(caught.value) and "There is no recording" in str(
        caught.value
    )
    assert "\n" not in str(caught.value)
    with pytest.raises(LabError, match="No Docker engine answers"):
        Lesson("77", "live", folder)


def test_the_mode_is_chosen_by_whether_an_engine_answers(
    replay: Lesson, toy: Toy, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Lesson("77", None, folder).badge == "live · Docker 0.1"
    monkeypatch.setenv("LABKIT_MODE", "replay")
    assert Lesson("77", None, folder).badge.startswith("replay · recorded 20")
    monkeypatch.delenv("LABKIT_MODE")

    def nobody() -> None:
        raise LabError("No Docker engine answers.")

    monkeypatch.setattr(Docker, "find", nobody)
    lesson = Lesson("77", None, folder)
    assert lesson.badge.endswith("on Docker 0.1") and lesson.why == "No Docker engine answers."
