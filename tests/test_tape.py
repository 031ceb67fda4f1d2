"""The tape against a model engine: a small world that commands look at and change, recorded, then replayed.

The promise: an answer without a remark is what the engine would have said; with a remark, what the remark says.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.commands import Result
from labkit.errors import LabError
from labkit.tape import NotRecorded, Tape

World = frozenset[str]
HEADER = {"lesson": "t", "engines": {"docker": "Docker 1.0"}, "recorded": "2026-01-02"}
LOOKS = ["ps", "images", "inspect a"]
CHANGES = ["make a", "make b", "make c", "drop a", "drop b"]


def said(world: World, command: str) -> tuple[World, int, str]:
    """The model engine: the world after a command, its exit code, its words."""
    verb, _, name = command.partition(" ")
    if verb == "make":
        return (
            (world, 1, f"conflict: {name}\n")
            if name in world
            else (world | {name}, 0, f"made {name}\n")
        )
    if verb == "drop":
        return (
            (world - {name}, 0, f"dropped {name}\n")
            if name in world
            else (world, 1, f"no such {name}\n")
        )
    return world, 0, f"{command}: {sorted(world)}\n"


class Engine:
    """The model engine behind a tape that records it."""

    def __init__(self) -> None:
        self.world: World = frozenset()
        self.tape = Tape("record", dict(HEADER))

    def run(self, command: str) -> Result:
        before = self.world

        def live() -> Result:
            self.world, code, text = said(self.world, command)
            return Result(("x", *command.split()), code, (("out", text),), 0.01)

        changing = command.split()[0] in ("make", "drop")
        changed: Callable[[], bool] | None = (lambda: self.world != before) if changing else None
        return self.tape.command(["x", *command.split()], None, live, changed)

    def look(self) -> None:
        self.tape.read("world", lambda: sorted(self.world))


def never() -> Any:
    raise AssertionError("a replay asked the engine")


def replayed(tape: Tape, command: str, stdin: str | None = None) -> Result:
    return tape.command(["x", *command.split()], stdin, never, never)


def reloaded(tape: Tape, folder: Path) -> Tape:
    path = folder / "recording.json"
    tape.save(path)
    return Tape.load(path)


commands = st.lists(st.sampled_from(LOOKS + CHANGES), max_size=10)


# -- the state machine --------------------------------------------------------------------------


@settings(max_examples=120)
@given(commands, st.lists(st.integers(0, 9), max_size=8))
def test_what_looks_only_is_answered_in_any_order_and_any_number(
    tmp_path_factory: pytest.TempPathFactory, lesson: list[str], order: list[int]
) -> None:
    engine, visits = (
        Engine(),
        [(frozenset[str](), list[str](), "")],
    )  # world, what left it alone, what ended it
    for command in lesson:
        before = engine.world
        engine.run(command)
        if engine.world == before:
            visits[-1][1].append(command)
        else:
            visits[-1] = (*visits[-1][:2], command)
            visits.append((engine.world, [], ""))
    tape = reloaded(engine.tape, tmp_path_factory.mktemp("tape"))
    for world, still, change in visits:
        for number in order if still else ():
            command = still[number % len(still)]
            _, code, text = said(world, command)
            result = replayed(tape, command)
            assert (result.code, result.out, tape.remark) == (code, text, "")
        if change:
            assert replayed(tape, change).out == said(world, change)[2]


@settings(max_examples=200)
@given(commands, commands)
def test_an_answer_without_a_remark_is_the_engines(lesson: list[str], tried: list[str]) -> None:
    engine = Engine()
    for command in lesson:
        engine.run(command)
    tape, world, answers = as_replay(engine.tape), frozenset[str](), set[str]()
    for command in tried:
        try:
            result = replayed(tape, command)
        except NotRecorded as error:
            assert "\n" not in str(error) and f"`x {command}`" in str(error)
            continue
        if tape.remark:
            assert tape.remark.startswith("shown again") and result.out in answers
            continue
        world, code, text = said(world, command)
        answers.add(text)
        assert (result.code, result.out) == (code, text)


def as_replay(tape: Tape) -> Tape:
    tape.rewind()
    tape.mode = "replay"
    return tape


attempts = st.lists(
    st.lists(st.sampled_from(CHANGES + LOOKS), min_size=1, max_size=3), min_size=1, max_size=3
)
trials = st.lists(st.one_of(st.sampled_from([*LOOKS, *CHANGES, "?world", "?check"])), max_size=14)


@settings(max_examples=300)
@given(commands, attempts, commands, trials)
def test_inside_a_task_a_remark_says_what_became_of_it(
    before: list[str], tries: list[list[str]], after: list[str], tried: list[str]
) -> None:
    engine = Engine()
    for command in before:
        engine.run(command)
    base = engine.world
    engine.look()
    for attempt in tries:
        engine.tape.branch("task")
        engine.look()
        for command in attempt:
            engine.run(command)
            engine.look()
        engine.world = base
    engine.tape.merge_back()
    for command in after:
        engine.run(command)
        engine.look()

    tape, world = as_replay(engine.tape), frozenset[str]()
    for command in before:
        replayed(tape, command)
    tape.branch("task")
    world, answers = base, {said(base, command)[2] for command in LOOKS}
    for command in tried:
        tape.checking = command == "?check"
        try:
            if command.startswith("?"):
                seen = tape.read("world", never)
            else:
                result = replayed(tape, command)
        except NotRecorded as error:
            assert "\n" not in str(error)
            continue
        assert not (tape.checking and tape.remark)
        if "shown again" in tape.remark:
            continue
        if tape.remark:
            assert tape.remark in (
                "as if the task were started over",
                "your unfinished task is set aside",
            )
            world = base
        if command.startswith("?"):
            assert seen == sorted(world)
        else:
            world, code, text = said(world, command)
            answers.add(text)
            assert (result.code, result.out) == (code, text)


def recorded_task() -> Tape:
    """A lesson that makes a, then has a task (wrong: make b; right: make c, drop a), then goes on with drop a."""
    engine = Engine()
    for command in ("ps", "make a", "ps"):
        engine.run(command)
    engine.look()
    for attempt in (["make b"], ["make c", "drop a"]):
        engine.tape.branch("task")
        engine.look()
        for command in attempt:
            engine.run(command)
        engine.run("images")
        engine.look()
        engine.world = frozenset("a")
    engine.tape.merge_back()
    for command in ("inspect a", "drop a", "ps"):
        engine.run(command)
    engine.look()
    tape = as_replay(engine.tape)
    for command in ("ps", "make a"):
        replayed(tape, command)
    tape.branch("task")
    return tape


def test_a_second_answer_starts_the_task_over() -> None:
    tape = recorded_task()
    replayed(tape, "make b")
    assert tape.read("world", never) == ["a", "b"]
    assert replayed(tape, "make c").out == "made c\n"
    assert tape.remark == "as if the task were started over"
    replayed(tape, "drop a")
    assert not tape.remark and tape.read("world", never) == ["c"]


def test_going_on_with_the_lesson_sets_the_task_aside() -> None:
    tape = recorded_task()
    replayed(tape, "make b")
    assert replayed(tape, "drop a").out == "dropped a\n"
    assert tape.remark == "your unfinished task is set aside"
    assert tape.read("world", never) == []


def test_looking_before_the_first_try_neither_leaves_the_task_nor_blinds_the_check() -> None:
    tape = recorded_task()
    assert replayed(tape, "inspect a").out == "inspect a: ['a']\n" and not tape.remark
    tape.checking = True
    assert tape.read("world", never) == ["a"]
    tape.checking = False
    replayed(tape, "make c")
    assert not tape.remark
    replayed(tape, "drop a")
    assert not tape.remark and tape.read("world", never) == ["c"]


def test_a_check_never_falls_back_to_before_the_task() -> None:
    tape = recorded_task()
    replayed(tape, "make c")
    tape.checking = True
    with pytest.raises(
        NotRecorded
    ):  # the state after half of the answer was not looked at when it was recorded
        tape.read("world", never)
    tape.checking = False
    assert tape.read("world", never) == ["a"] and tape.remark == "as if the task were started over"


def test_a_task_that_is_done_leaves_the_lesson_where_it_was() -> None:
    tape = recorded_task()
    replayed(tape, "make c")
    tape.merge_back()
    assert replayed(tape, "drop a").out == "dropped a\n" and not tape.remark


def test_entering_a_task_from_within_another_leaves_that_one() -> None:
    tape = recorded_task()
    replayed(tape, "make b")
    tape.branch("task")
    assert replayed(tape, "make c").out == "made c\n" and not tape.remark


# -- what was never recorded --------------------------------------------------------------------


def lesson(*run: str) -> Tape:
    engine = Engine()
    for command in run:
        engine.run(command)
    return as_replay(engine.tape)


def refused(tape: Tape, command: str) -> str:
    with pytest.raises(NotRecorded) as caught:
        replayed(tape, command)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 400
    return text


def test_a_cell_run_too_early_names_the_cell_to_run_first() -> None:
    tape = lesson("make a", "make b", "inspect a")
    assert "only after `x make a`: run that cell first" in refused(tape, "inspect a")
    replayed(tape, "make a")
    assert "only after `x make b`" in refused(tape, "inspect a")


def test_a_cell_run_too_late_says_to_start_again() -> None:
    tape = lesson("ps", "make a")
    replayed(tape, "make a")
    assert "earlier point of the lesson" in refused(tape, "ps") and "%lesson" in refused(tape, "ps")


def test_the_nearest_command_is_shown_from_where_it_differs() -> None:
    text = refused(lesson(f"make {'x' * 90} one two"), f"make {'x' * 90} one too")
    assert (
        "xxx one too` was not recorded; the nearest it has here is `…" in text
        and "xxx one two`" in text
    )


def test_a_typing_error_names_the_nearest_command_of_this_place() -> None:
    tape = lesson("inspect a", "make a")
    assert "the nearest it has here is `x inspect a`" in refused(tape, "inspct a")
    text = refused(tape, "frobnicate everything")
    assert "nearest" not in text and "labkit doctor" in text


def test_what_is_run_again_is_shown_again() -> None:
    tape = lesson("make a", "ps")
    first = replayed(tape, "make a")
    assert not tape.remark
    again = replayed(tape, "make a")
    assert again.out == first.out and tape.remark == "shown again: a recording cannot run it twice"
    assert replayed(tape, "ps").out == "ps: ['a']\n" and not tape.remark
    tape.rewind()
    replayed(tape, "make a")
    assert not tape.remark


def test_long_and_many_lined_commands_are_told_in_one_short_line() -> None:
    script = ["sh", "-c", "echo one\necho two " + "x" * 10_000]
    tape = Tape("record", dict(HEADER))
    tape.command(script, None, lambda: Result((), 0), lambda: True)
    tape.command(["ps"], None, lambda: Result((), 0))
    as_replay(tape)
    for words in (["ps"], [*script[:2], script[2] + "y"], ["sh", "-c", "a\nb"]):
        with pytest.raises(NotRecorded) as caught:
            tape.command(words, None, never)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_read_that_was_not_recorded_says_what_to_do() -> None:
    with pytest.raises(NotRecorded, match="run the cells above"):
        lesson().read("world", never)
    with pytest.raises(NotRecorded, match="does not hold sha256:abc"):
        lesson().content("sha256:abc", never)


def test_stdin_is_part_of_the_question() -> None:
    tape = Tape("record", dict(HEADER))
    for text in (None, "", "a\n", "b\n"):
        tape.command(["sh"], text, lambda text=text: Result((), 0, (("out", f"<{text}>\n"),)))
    as_replay(tape)
    for text in ("b\n", None, "", "a\n"):
        assert tape.command(["sh"], text, never).out == f"<{text}>\n"
    with pytest.raises(NotRecorded):
        tape.command(["sh"], "c\n", never)
    with pytest.raises(NotRecorded):  # words that look like the mark for standard input are words
        tape.command(["sh", "<<<", '"a\\n"'], None, never)


def test_live_asks_each_time_and_remembers_nothing() -> None:
    tape, asked = Tape("live"), []
    for _ in range(2):
        tape.command(["x"], None, lambda: asked.append(1) or Result((), 0), lambda: True)
        tape.read("world", lambda: asked.append(2))
        tape.content("id", lambda: asked.append(3))
    assert asked == [1, 2, 3] * 2 and tape.state == "start"


def test_what_never_changes_is_recorded_once_and_true_everywhere() -> None:
    tape, asked = Tape("record", dict(HEADER)), []
    for _ in range(2):
        assert tape.content("sha256:1", lambda: asked.append(1) or ["f 1 a"]) == ["f 1 a"]
        tape.command(["x"], None, lambda: Result((), 0), lambda: True)
    assert asked == [1]
    as_replay(tape)
    assert tape.content("sha256:1", never) == ["f 1 a"]


# -- the file -----------------------------------------------------------------------------------

TEXTS = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]), st.sampled_from("\n\r\x0b\x0c\x1c\x85\u2028\\")
    )
)
CHUNKS = st.lists(st.tuples(st.sampled_from(["out", "err"]), TEXTS), max_size=5)


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=3),
    st.none() | TEXTS,
    CHUNKS,
    st.integers(-9, 255),
)
def test_a_recording_keeps_every_letter(
    tmp_path_factory: pytest.TempPathFactory,
    words: list[str],
    stdin: str | None,
    chunks: list[tuple[str, str]],
    code: int,
) -> None:
    tape = Tape("record", dict(HEADER))
    live = Result(("x", *words), code, tuple(chunks), 1.5)
    tape.command(["x", *words], stdin, lambda: live)
    again = reloaded(tape, tmp_path_factory.mktemp("tape")).command(["x", *words], stdin, never)
    assert (again.out, again.err, again.text) == (live.out, live.err, live.text)
    assert (again.argv, again.code, again.seconds) == (live.argv, code, 1.5)


def test_bytes_that_were_no_utf8_come_back_as_they_were_shown(tmp_path: Path) -> None:
    tape = Tape("record", dict(HEADER))
    tape.command(
        ["x"], None, lambda: Result((), 0, (("out", "caf\\xe9 层 10%\r20%\r\n"), ("err", "é")))
    )
    assert reloaded(tape, tmp_path).command(["x"], None, never).text == "caf\\xe9 层 10%\r20%\r\né"


def test_the_file_is_one_line_of_output_a_line_and_plain_letters(tmp_path: Path) -> None:
    tape = Tape("record", dict(HEADER))
    tape.command(["x"], None, lambda: Result((), 0, (("out", "ñandú\nsecond\n"),)))
    tape.save(tmp_path / "recording.json")
    data = (tmp_path / "recording.json").read_bytes()
    assert b"\r" not in data and data.endswith(b"}\n")
    lines = data.decode().splitlines()
    assert any("ñandú" in line and "second" not in line for line in lines)
    assert json.loads(data)["header"] == HEADER


@pytest.fixture
def good(tmp_path: Path) -> Path:
    engine = Engine()
    for command in ("make a", "ps"):
        engine.run(command)
    engine.look()
    engine.tape.content("id", lambda: {"a": 1})
    engine.tape.save(tmp_path / "recording.json")
    return tmp_path / "recording.json"


def damaged(path: Path) -> str:
    with pytest.raises(LabError) as caught:
        Tape.load(path)
    text = str(caught.value)
    assert "\n" not in text and "recording.json" in text
    return text


def test_a_file_that_is_not_there_says_what_it_means(tmp_path: Path) -> None:
    assert "needs a live engine" in damaged(tmp_path / "recording.json")


def test_a_file_cut_short_anywhere_is_one_line(good: Path) -> None:
    whole = good.read_bytes()
    for end in range(0, len(whole.rstrip()), 7):
        good.write_bytes(whole[:end])
        assert "git checkout" in damaged(good)


@pytest.mark.parametrize(
    "data", [b"[]", b"null", b'"x"', b"{}", b"\xff\xfe", b"<<<<<<< HEAD\n{}", b"\0" * 99]
)
def test_a_file_that_is_something_else_is_one_line(good: Path, data: bytes) -> None:
    good.write_bytes(data)
    damaged(good)


def test_a_file_that_lacks_anything_is_one_line(good: Path) -> None:
    whole = json.loads(good.read_text("utf-8"))
    places: list[list[Any]] = [
        ["header"],
        ["steps"],
        ["reads"],
        ["contents"],
        ["header", "engines"],
        ["header", "recorded"],
        *(["steps", 0, key] for key in whole["steps"][0]),
        *(["reads", 0, key] for key in whole["reads"][0]),
        ["reads", 0, "value", "is"],
    ]
    for place in places:
        for put in (None, []):
            data = json.loads(json.dumps(whole))
            here = data
            for key in place[:-1]:
                here = here[key]
            if put is None:
                del here[place[-1]]
            elif place[-1] in ("header", "engines", "contents", "value"):
                here[place[-1]] = 5
            else:
                continue
            good.write_text(json.dumps(data), "utf-8")
            damaged(good)


def test_a_folder_in_its_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "recording.json").mkdir()
    damaged(tmp_path / "recording.json")


SAVE = """
import resource, sys
from pathlib import Path
from labkit.errors import LabError
from labkit.commands import Result
from labkit.tape import Tape
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # writes beyond are refused, as on a full disk
tape = Tape("record", {"lesson": "t", "engines": {}, "recorded": ""})
tape.command(["x"], None, lambda: Result((), 0, (("out", "y" * 50_000),)))
try:
    tape.save(Path(sys.argv[1]))
except LabError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limits there")
def test_a_full_disk_keeps_the_old_file(good: Path) -> None:
    before = good.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", SAVE, str(good)], capture_output=True, text=True, check=False
    )
    assert done.stderr == "" and done.stdout.count("\n") == 1
    assert "recording.json was not written" in done.stdout and "free some space" in done.stdout
    assert good.read_bytes() == before and os.listdir(good.parent) == ["recording.json"]


def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LabError) as caught:
        Tape("record", dict(HEADER)).save(tmp_path / "file" / "recording.json")
    assert "\n" not in str(caught.value) and "was not written" in str(caught.value)
