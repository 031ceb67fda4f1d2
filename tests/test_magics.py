"""The magics of every lesson in a real IPython, on recordings: what is typed, right and wrong."""

from __future__ import annotations

import json
import re
from inspect import getdoc, getmodule

import pytest
from conftest import Notebook
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from IPython.utils.capture import capture_output

from labkit.commands import Interrupted, Result
from labkit.engine import engines, parts
from labkit.errors import LabError
from labkit.magics import LabMagics
from labkit.material import material

KINDS = [LabMagics, *(module.MAGICS for module in parts("magics").values())]
NAMES = {way: {name for kind in KINDS for name in kind.magics[way]} for way in ("line", "cell")}
PROGRAMS = {program for kind in engines().values() for program in kind.programs}
PULL = "%docker pull busybox"
Heard = list[tuple[list[str], str | None]]


@pytest.fixture
def loaded(replay: Notebook) -> Notebook:
    replay.run("%load_ext labkit")
    return replay


@pytest.fixture
def twelve(loaded: Notebook) -> Notebook:
    loaded.run("%lesson 12")
    return loaded


@pytest.fixture
def greeting(loaded: Notebook) -> Notebook:
    loaded.run("%lesson 00\n%docker run hello-world\n%task greeting")
    return loaded


# -- beginning ----------------------------------------------------------------------------------


def test_every_magic_is_documented() -> None:
    for kind in KINDS:
        for name in {*kind.magics["line"], *kind.magics["cell"]}:
            assert f"%{name}" in (getdoc(getattr(kind, name)) or "")
            assert f"%{name}" in (getmodule(kind).__doc__ or "")


def test_before_the_lesson_begins(loaded: Notebook) -> None:
    spelled = {name.replace("-", "_") for name in PROGRAMS} | {name.lower() for name in PROGRAMS}
    lines = (NAMES["line"] | PROGRAMS | spelled) - {"lesson", "doctor"}
    cells = [f"%%{name}\nx" for name in NAMES["cell"] | PROGRAMS | spelled]
    begin = "? No lesson has begun in this notebook: run its `%lesson` cell, then this one."
    for cell in [*(f"%{name} x" for name in lines), *cells]:
        assert loaded.run(cell) == begin, cell


def test_doctor_works_without_a_lesson(loaded: Notebook) -> None:
    text = loaded.run("%doctor")
    assert "✔ Python 3." in text and "recordings of" in text and "12" in text


@pytest.mark.parametrize(
    "line, said",
    [
        ("%lesson", "Say which lesson"),
        ("%lesson 12 replay now", "Say which lesson"),
        ("%lesson nosuch", "There is no lesson 'nosuch'; there are: 00, 02, 03, 07, 09, 10, 12"),
        ("%lesson ../en", "There is no lesson"),
        ("%lesson nosuch/x", "There is no lesson"),
        ("%lesson 12 liev", "The mode is 'liev'; it can be live or replay"),
        ("%lesson '12", "A quote is opened"),
    ],
)
def test_a_lesson_that_cannot_begin(loaded: Notebook, line: str, said: str) -> None:
    text = loaded.run(line)
    assert said in text and text.startswith("? ") and "\n" not in text
    assert "No lesson has begun" in loaded.run("%docker ps")


@pytest.mark.usefixtures("no_engine")
def test_a_lesson_live_without_an_engine(loaded: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "No Docker engine answers" in loaded.run("%lesson 12 live")
    monkeypatch.delenv("LABKIT_MODE")
    text = loaded.run("%lesson 12")  # by itself it takes the recording, and says why
    assert text.startswith("replay · recorded") and "No Docker engine answers" in text
    assert text.endswith("Lesson 12 begins.")


def test_a_lesson_says_where_its_outputs_come_from(twelve: Notebook) -> None:
    text = twelve.run("%lesson 12 replay")
    note = twelve.lesson.tape.header.note
    assert text.splitlines() == [f"{twelve.badge}. {note}", "ℹ Lesson 12 begins."]  # noqa: RUF001
    assert twelve.badge in twelve.html


def test_a_lesson_begun_again_is_at_its_start(twelve: Notebook) -> None:
    first = twelve.run("%docker images")
    twelve.run(PULL)
    assert twelve.run("%docker images") != first
    twelve.run("%lesson 12")
    assert twelve.run("%docker images") == first
    assert "shown again" not in twelve.run(PULL)


# -- commands -----------------------------------------------------------------------------------


def test_an_output_is_badge_and_words(twelve: Notebook) -> None:
    text = twelve.run("%docker images")
    assert text.splitlines()[0] == twelve.badge
    assert text.splitlines()[1].startswith("REPOSITORY ")
    assert [set(data) for data in twelve.outputs] == [{"text/plain", "text/html"}]
    assert all(line.strip() in twelve.html for line in text.splitlines())


def test_a_cell_run_twice_shows_its_output_again(twelve: Notebook) -> None:
    first, second = twelve.run(PULL), twelve.run(PULL)
    again = f"{twelve.badge} · shown again: a recording cannot run it twice"
    assert second == first.replace(twelve.badge, again)
    assert "shown again" not in twelve.run("%docker pull debian:bookworm-slim")


def test_cells_out_of_order_say_what_to_run_first(twelve: Notebook) -> None:
    first = "only after `docker pull busybox`: run that cell first"
    assert first in twelve.run("%docker pull debian:bookworm-slim")
    assert first in twelve.run("%docker history httpd")
    assert "run the cells above this one first" in twelve.run("%answer two-containers")


@pytest.fixture
def heard(twelve: Notebook, monkeypatch: pytest.MonkeyPatch) -> Heard:
    """What reaches the lesson instead of an engine."""
    asked: Heard = []

    def command(argv: list[str], stdin: str | None = None, heard: object = None) -> Result:
        asked.append((argv, stdin))
        return Result(tuple(argv), 0)

    twelve.shell.user_ns["name"] = "WRONG"  # nothing of a command is for Python
    monkeypatch.setattr(twelve.lesson, "command", command)
    return asked


@pytest.mark.parametrize(
    "line, argv",
    [
        ('inspect -f "{{.Id}}" x', ["inspect", "-f", "{{.Id}}", "x"]),
        ("inspect -f {{.Id}} x", ["inspect", "-f", "{{.Id}}", "x"]),
        ("inspect -f '{{json .M}}' {name}", ["inspect", "-f", "{{json .M}}", "{name}"]),
        ("exec x sh -c 'echo $HOME $name'", ["exec", "x", "sh", "-c", "echo $HOME $name"]),
        ('exec x sh -c "a | b; \\$PATH"', ["exec", "x", "sh", "-c", "a | b; $PATH"]),
        ("run -e A=$name busybox", ["run", "-e", "A=$name", "busybox"]),
        ("ps   # all", ["ps", "#", "all"]),
        ("", []),
        ("ps?x", ["ps?x"]),
        ("run busybox echo ''", ["run", "busybox", "echo", ""]),
    ],
)
def test_words_reach_the_engine_unchanged(
    twelve: Notebook, heard: Heard, line: str, argv: list[str]
) -> None:
    twelve.run(f"%docker {line}")
    assert heard == [(["docker", *argv], None)]


@pytest.mark.parametrize(
    "body", ["one\ntwo\n", "{name} $name {{.Id}} | ; $(ls)\n", "ñ 層\n", "# comment\n", "\ttab\n"]
)
def test_the_body_of_a_cell_is_standard_input(twelve: Notebook, heard: Heard, body: str) -> None:
    twelve.run(f"%%docker run -i --rm busybox cat\n{body}")
    assert heard == [(["docker", "run", "-i", "--rm", "busybox", "cat"], body)]


def test_an_interrupt_stops_the_cells_behind_it(
    twelve: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    def command(*_: object) -> Result:
        raise Interrupted(Result(("docker", "run"), -2, (("out", "so far\n"),), 3.2))

    monkeypatch.setattr(twelve.lesson, "command", command)
    with capture_output() as said:
        done = twelve.shell.run_cell("%docker run busybox sleep 1d\nprint('not reached')")
    assert not done.success and isinstance(done.error_in_exec, Interrupted)
    line = said.stdout.strip()
    assert line.startswith("Stopped by you after 3 s") and "\n" not in line


# -- %%commands ---------------------------------------------------------------------------------


@pytest.fixture
def nine(replay: Notebook) -> Notebook:
    """Lesson 09 with two snapshots."""
    replay.until("09", "%what_if")
    return replay


def test_commands_run_one_after_another_until_one_fails(replay: Notebook) -> None:
    wrong = replay.until("10", "%VBoxManage clonevm lab10-full --name lab10-wrong")[1:]
    lines = ["", "  # lists, fails", "VBoxManage list vms", wrong, "qemu-img info x"]
    shown = replay.words("\n".join(["%%commands", *lines]))
    assert [line for line in shown if line[0] == "$"] == ["$ VBoxManage list vms", f"$ {wrong}"]
    assert '"lab10"' in shown[1] and shown[-1].startswith("exit code 1")
    assert any("Linked clone can only be created from a snapshot" in line for line in shown)
    assert all(line in replay.html for line in shown)


@pytest.mark.parametrize(
    "line, said",
    [
        ("ls -la", "This lesson works without ls; its commands are: VBoxManage, qemu-img"),
        ("docker ps", "This lesson works without docker"),
        ("%VBoxManage list vms", "without %"),
        ("!ls", "without !"),
        ("VBoxManage list 'vms", "A quote is opened"),
        ("VBoxManage list vms | cat", "belongs to a shell"),
        ("qemu-img info nosuch", "was not recorded"),
        ("guest_write lab09 99 x", "Use it as `%guest_write"),
    ],
)
def test_what_ran_before_a_line_that_cannot_is_shown(nine: Notebook, line: str, said: str) -> None:
    text = nine.run(f"%%commands\nVBoxManage list vms\n{line}\nVBoxManage list hdds")
    done, taught = (data["text/plain"].splitlines()[1:] for data in nine.outputs)
    assert [word for word in done if word[0] == "$"] == ["$ VBoxManage list vms", f"$ {line}"]
    assert '"lab09"' in done[1] and "hdds" not in text
    assert said in taught[0] and len(taught) == 1


# -- whatever is typed --------------------------------------------------------------------------

WORDS = """docker run ps -it --name busybox lab12-one VBoxManage snapshot lab09 delete installed
lab09.vmdk 0 ' " \\ {{ $x $PWD | no-waste shrink A é * - -- @ ² open ping send bytes reach table
wait access trunk pc1 sec1 s1 s1.24 10 1500 wireguard gre mtu tamper fragment compare up ../x
separate read-tag"""
ODD = ["\u2028", "\0", "x" * 3000, "9" * 5000]
UNTIL = {"02": "%net down", "09": "%what_if", "12": "%docker commit"}


@pytest.mark.parametrize("lesson", UNTIL)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(sorted((NAMES["line"] | PROGRAMS) - {"doctor", "lesson"})),
    st.lists(st.sampled_from([*WORDS.split(), *ODD]), max_size=5),
)
def test_no_line_whatever_shows_a_traceback(
    replay: Notebook, lesson: str, magic: str, words: list[str]
) -> None:
    if "LabMagics" not in replay.shell.magics_manager.registry:
        replay.until(lesson, UNTIL[lesson])  # once in all examples
    replay.shows_no_traceback(magic, " ".join(words))


def test_no_html_is_made_of_what_a_student_types(twelve: Notebook) -> None:
    for line in (
        "%docker inspect \\<script\\>alert(1)\\</script\\>",
        "%task <script>",
        "%predict <script>",
        "%layers '<script>'",
        "%lesson '<script>'",
    ):
        twelve.run(line)
        for data in twelve.outputs:
            assert "<script" not in data["text/html"]
            assert json.dumps(dict(data), default=str)


# -- tasks --------------------------------------------------------------------------------------


def test_a_task_from_its_start_to_its_end(greeting: Notebook) -> None:
    text = greeting.run("%task greeting")
    assert "Task greeting" in text and "%check greeting" in text and "%hint greeting" in text
    missing = "✘ There is no container called `lab00-hello`"
    assert greeting.words("%check greeting")[0].startswith(missing)
    greeting.run("%docker run hello-world")
    assert "not called `lab00-hello`" in greeting.run("%check greeting")
    text = greeting.run("%docker run --name lab00-hello hello-world")
    assert "as if the task were started over" in text.splitlines()[0]
    assert "Hello from Docker!" in text and "lab00-hello" in greeting.run("%docker ps -a")
    assert greeting.words("%check greeting")[0].startswith("✔ `lab00-hello` is there")
    assert "Already solved; `%task greeting` starts it again." in greeting.run("%check greeting")
    assert "lab00-hello" not in greeting.run("%docker ps -a")
    greeting.run("%task greeting")
    assert "✘" in greeting.run("%check greeting")


def test_hints_come_one_by_one_until_there_are_none(greeting: Notebook) -> None:
    hints = material(greeting.lesson.folder).task("greeting").hints
    over = "No more hints; `%solution greeting` shows one way."
    told = [greeting.run("%hint greeting") for _ in range(len(hints) + 2)]
    assert told == [f"ℹ {hint}" for hint in (*hints, over, over)]  # noqa: RUF001
    for start in ("%task greeting", "%lesson 00"):
        greeting.run(start)
        assert greeting.run("%hint greeting") == told[0]


def test_the_solution_solves_it(greeting: Notebook) -> None:
    line = re.findall("`(.*)`", greeting.run("%solution greeting"))[0]
    assert line == "%docker run --name lab00-hello hello-world"
    greeting.run(line)
    assert "✔" in greeting.run("%check greeting")


def test_an_answer_is_given_behind_the_name(replay: Notebook) -> None:
    assert replay.until("12", "%task shared-layers") == "%task shared-layers"
    replay.run("%task shared-layers")
    assert "Give your number behind the name" in replay.run("%check shared-layers")
    for answer in ("one", "²", "-1", "9" * 5000):
        refusal = f"`{answer:.40}` is not a whole number"
        assert refusal in replay.run(f"%check shared-layers {answer}")
    assert "✘" in replay.run("%check shared-layers 99")
    solution = re.findall("`%(.*)`", replay.run("%solution shared-layers"))[0]
    assert solution.startswith("check shared-layers ")
    assert "✔" in replay.run(f"%{solution}  ")


def test_an_engine_that_is_away_is_never_green(
    greeting: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    greeting.run("%docker run --name lab00-hello hello-world")

    def away(*_: object) -> None:
        raise LabError("The Docker engine does not answer (any more).")

    monkeypatch.setattr(greeting.lesson.tape, "read", away)
    cannot = "? Cannot tell: The Docker engine does not answer (any more)."
    assert greeting.words("%check greeting") == [cannot]


@pytest.mark.parametrize("magic", ["task", "check", "hint", "solution"])
def test_a_task_that_is_none(greeting: Notebook, magic: str) -> None:
    assert "This lesson has no task 'x'; it has: greeting." in greeting.run(f"%{magic} x")
    text = greeting.run(f"%{magic}")
    assert "Use it as" in text or "no task ''" in text
    assert "✔" not in greeting.run(f"%{magic} greetin")


# -- predictions --------------------------------------------------------------------------------


@pytest.mark.parametrize("letter", ["A", "B", "C", "b"])
def test_a_prediction_is_compared_with_what_happened(greeting: Notebook, letter: str) -> None:
    asked = material(greeting.lesson.folder).prediction("after")
    text = greeting.run(f"%predict after {letter}")
    assert asked.question in text and all(choice in text for choice in asked.choices.values())
    assert greeting.lesson.committed == {"after": letter.upper()}
    truth = f"B) {asked.choices['B']} {asked.why['B']}"
    wrong = f"✘ You said {letter}) {asked.choices[letter.upper()]} {asked.why[letter.upper()]}"
    right = letter.upper() == "B"
    expected = [f"✔ You predicted it. {truth}"] if right else [wrong, f"What happened: {truth}"]
    assert greeting.words("%answer after") == expected


def test_a_prediction_that_was_not_made(greeting: Notebook) -> None:
    assert "Commit with %predict after LETTER" in greeting.run("%predict after")
    truth, advice = greeting.words("%answer after")
    assert truth.startswith("ℹ B) ") and "had not committed" in advice  # noqa: RUF001


def test_a_prediction_cannot_be_changed_afterwards(greeting: Notebook) -> None:
    greeting.run("%predict after A\n%predict after B")
    assert "✘ You said A)" in greeting.run("%answer after")
    greeting.run("%lesson 00")
    assert greeting.lesson.committed == {}


@pytest.mark.parametrize(
    "line, said",
    [
        ("%predict", "no prediction ''; it has: after"),
        ("%predict x", "no prediction 'x'; it has: after"),
        ("%predict after D", "Choose one of A, B, C."),
        ("%predict after AB", "Choose one of A, B, C."),
        ("%answer x", "no prediction 'x'"),
        ("%answer", "Use it as `%answer NAME`"),
        ("%answer after", "run the cells above this one first"),
    ],
)
def test_predictions_that_cannot_be(loaded: Notebook, line: str, said: str) -> None:
    loaded.run("%lesson 00")
    (text,) = loaded.words(line)
    assert said in text and loaded.lesson.committed == {}
