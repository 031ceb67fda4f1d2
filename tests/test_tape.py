"""The tape against a model engine: a small world, recorded, then replayed.

The promise: an answer without a remark is what the engine would have said; with a remark, what the
remark says.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.commands import Result
from labkit.recording import Header, Recording
from labkit.tape import NotRecorded, Player, Recorder, Tape

World = frozenset[str]
HEADER = Header("t", {"docker": "Docker 1.0"}, "2026-01-02")
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
        self.tape = Recorder(HEADER)

    def run(self, command: str) -> Result:
        before, words = self.world, ("x", *command.split())
        self.world, code, text = said(self.world, command)
        result = Result(words, code, (("out", text),), 0.01)
        self.tape.record(words, None, result, self.world != before)
        return result

    def look(self) -> None:
        self.tape.read("world", lambda: sorted(self.world))


def never() -> Any:
    raise AssertionError("a replay asked the engine")


def replayed(tape: Tape, command: str, stdin: str | None = None) -> Result:
    return tape.command(["x", *command.split()], stdin, never)


def reloaded(tape: Recorder, folder: Path) -> Player:
    path = folder / "recording.json"
    tape.recording.save(path)
    return Player(Recording.load(path))


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


def as_replay(tape: Recorder) -> Player:
    return Player(tape.recording)


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
        checking = command == "?check"
        try:
            if command.startswith("?"):
                with tape.checking() if checking else nullcontext():
                    seen = tape.read("world", never)
            else:
                result = replayed(tape, command)
        except NotRecorded as error:
            assert "\n" not in str(error)
            continue
        assert not (checking and tape.remark)
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


def recorded_task() -> Player:
    """It makes a; then a task (wrong: make b; right: make c, drop a); it goes on with drop a."""
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
    with tape.checking():
        assert tape.read("world", never) == ["a"]
    replayed(tape, "make c")
    assert not tape.remark
    replayed(tape, "drop a")
    assert not tape.remark and tape.read("world", never) == ["c"]


def test_a_check_never_falls_back_to_before_the_task() -> None:
    tape = recorded_task()
    replayed(tape, "make c")
    # The state after half of the answer was not looked at when it was recorded.
    with tape.checking(), pytest.raises(NotRecorded):
        tape.read("world", never)
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


def lesson(*run: str) -> Player:
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
    recorder = Recorder(HEADER)
    recorder.record(script, None, Result((), 0), True)
    recorder.record(["ps"], None, Result((), 0), False)
    tape = as_replay(recorder)
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
    recorder = Recorder(HEADER)
    for text in (None, "", "a\n", "b\n"):
        result = Result((), 0, (("out", f"<{text}>\n"),))
        recorder.record(["sh"], text, result, False)
    tape = as_replay(recorder)
    for text in ("b\n", None, "", "a\n"):
        assert tape.command(["sh"], text, never).out == f"<{text}>\n"
    with pytest.raises(NotRecorded):
        tape.command(["sh"], "c\n", never)
    with pytest.raises(NotRecorded):  # words that look like the mark for standard input are words
        tape.command(["sh", "<<<", '"a\\n"'], None, never)


def test_live_asks_each_time_and_remembers_nothing() -> None:
    tape, asked = Tape(HEADER), list[int]()

    def result() -> Result:
        asked.append(1)
        return Result((), 0)

    for _ in range(2):
        tape.command(["x"], None, result)
        tape.read("world", lambda: asked.append(2))
        tape.content("id", lambda: asked.append(3))
    assert asked == [1, 2, 3] * 2 and not tape.replayed and not tape.remark


def test_what_never_changes_is_recorded_once_and_true_everywhere() -> None:
    recorder = Recorder(HEADER)
    assert recorder.content("sha256:1", lambda: ["f 1 a"]) == ["f 1 a"]
    recorder.record(["x"], None, Result((), 0), True)
    assert recorder.content("sha256:1", never) == ["f 1 a"]
    assert as_replay(recorder).content("sha256:1", never) == ["f 1 a"]


# -- what outputs say of it ---------------------------------------------------------------------


def test_the_badge_says_where_answers_come_from() -> None:
    assert Tape(HEADER).badge == "live · Docker 1.0"
    assert Tape(Header("t", {}, "")).badge == "model · computed here, by no engine"
    tape = lesson("make a")
    assert tape.badge == "replay · recorded 2026-01-02 on Docker 1.0"
    for _ in range(2):
        replayed(tape, "make a")
    assert tape.badge.endswith(" on Docker 1.0 · shown again: a recording cannot run it twice")
