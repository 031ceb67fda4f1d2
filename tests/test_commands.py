"""Running one command: real processes, mostly this Python, which says what reached it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from labkit import commands
from labkit.commands import Interrupted, Result, merge, run
from labkit.errors import LabError, MissingProgram

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and byte arguments are POSIX's")


def python(code: str, *words: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code), *words]


def one_line(error: BaseException) -> str:
    text = str(error)
    assert text and "\n" not in text and "Traceback" not in text
    return text


# -- what comes back ----------------------------------------------------------------------------


def test_both_streams_are_kept_apart_and_in_order() -> None:
    result = run(
        python("""
        import sys, time
        for n, stream in enumerate([sys.stdout, sys.stderr, sys.stderr, sys.stdout]):
            print(n, file=stream, flush=True)
            time.sleep(0.1)
    """)
    )
    assert result.chunks == (("out", "0\n"), ("err", "1\n2\n"), ("out", "3\n"))
    assert (result.out, result.err, result.text) == ("0\n3\n", "1\n2\n", "0\n1\n2\n3\n")
    assert result.code == 0 and 0.3 < result.seconds < 20


@pytest.mark.parametrize("code", [0, 1, 7, 125, 127])
def test_exit_codes_are_results_not_errors(code: int) -> None:
    assert run(python(f"import sys; sys.exit({code})")).code == code


@posix
def test_a_signal_is_a_negative_code() -> None:
    assert (
        run(python("import os, signal; os.kill(os.getpid(), signal.SIGTERM)")).code
        == -signal.SIGTERM
    )


def test_output_arrives_while_the_command_runs() -> None:
    heard: dict[str, float] = {}
    result = run(
        python("import time; print('a', flush=True); time.sleep(0.5); print('b')"),
        on_text=lambda text: heard.setdefault(text.strip(), time.perf_counter()),
    )
    assert heard["b"] - heard["a"] > 0.3
    assert result.out == "a\nb\n"


def test_no_output_is_no_chunk() -> None:
    assert run(python("pass")).chunks == ()


COPY = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"


@pytest.mark.parametrize("stdin", ["", "one line", "ñandú 層\n", "a\0b", "x" * 300_000])
def test_stdin_is_utf8_and_closed(stdin: str) -> None:
    assert run(python(COPY), stdin).out == stdin


def test_without_stdin_a_reader_sees_the_end_at_once() -> None:
    assert run(python("import sys; print(repr(sys.stdin.read()))")).out.strip() == "''"


def test_a_command_may_leave_its_input_unread() -> None:
    assert run(python("print('done')"), "x" * 1_000_000).out.strip() == "done"


def test_a_surrogate_in_stdin_does_no_harm() -> None:
    assert run(python(COPY), "a\udcffb").out == "a?b"


def emit(data: bytes, *, pause: int | None = None) -> list[str]:
    head, tail = (data, b"") if pause is None else (data[:pause], data[pause:])
    return python(f"""
        import sys, time
        sys.stdout.buffer.write({head!r})
        sys.stdout.buffer.flush()
        time.sleep(0.2)
        sys.stdout.buffer.write({tail!r})
    """)


def test_bytes_that_are_no_utf8_stay_readable() -> None:
    assert run(emit(b"caf\xe9 \xff\xfe\n")).out == "caf\\xe9 \\xff\\xfe\n"


def test_a_letter_cut_in_two_by_the_pipe_is_whole_again() -> None:
    assert run(emit("層\n".encode(), pause=1)).out == "層\n"


def test_a_letter_cut_off_at_the_end_is_shown_as_bytes() -> None:
    assert run(emit("層".encode()[:2])).out == "\\xe5\\xb1"


def test_windows_line_ends_become_plain_ones_even_when_cut_in_two() -> None:
    assert run(emit(b"a\r\nb\r\n", pause=2)).out == "a\nb\n"
    assert run(emit(b"10%\r20%\r\n")).out == "10%\r20%\n"


def test_a_lot_of_output_comes_whole() -> None:
    result = run(python("import sys\nfor n in range(200000): print(n)"))
    assert result.out == "".join(f"{n}\n" for n in range(200000))


@given(st.lists(st.tuples(st.sampled_from(["out", "err"]), st.text("ab\n", max_size=3))))
def test_merging_keeps_every_letter_and_no_two_neighbours_alike(
    chunks: list[tuple[str, str]],
) -> None:
    merged = merge(chunks)
    for stream in ("out", "err"):
        assert "".join(t for s, t in merged if s == stream) == "".join(
            t for s, t in chunks if s == stream
        )
    assert all(a[0] != b[0] for a, b in pairwise(merged))
    assert all(text for _, text in merged)
    assert Result(("x",), 0, merged).text == "".join(t for _, t in chunks)


# -- what reaches the command -------------------------------------------------------------------

ECHO = python("import json, sys; print(json.dumps(sys.argv[1:]))")
ODD = [
    "two words",
    "",
    "it's",
    '"quoted"',
    "-n",
    "--help",
    "--",
    "a\nb",
    "tab\there",
    "$HOME",
    "`ls`",
    "$(ls)",
    "*",
    ";",
    "|",
    "a\\b",
    "ñ層",
    "{{.Id}}",
    "%s",
    "x" * 10_000,
]


def test_odd_words_arrive_unchanged() -> None:
    assert json.loads(run([*ECHO, *ODD]).out) == ODD


@posix
@settings(max_examples=15)
@given(
    st.lists(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
        max_size=6,
    )
)
def test_any_words_arrive_unchanged(words: list[str]) -> None:
    assert json.loads(run([*ECHO, *words]).out) == words


def test_the_environment_can_be_given() -> None:
    result = run(
        python("import os; print(os.environ.get('LAB_TEST'))"),
        env={**os.environ, "LAB_TEST": "yes"},
    )
    assert result.out.strip() == "yes"


@pytest.mark.parametrize("word", ["a\0b", "\ud800"])
def test_words_no_system_takes_are_one_line(word: str) -> None:
    with pytest.raises(LabError) as caught:
        run([*ECHO, word])
    assert "retype" in one_line(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux limits one argument to 128 kB")
def test_a_word_too_long_is_one_line() -> None:
    with pytest.raises(LabError) as caught:
        run([*ECHO, "x" * 200_000])
    assert "too long" in one_line(caught.value) and len(str(caught.value)) < 500


def test_a_missing_program_says_where_to_get_it() -> None:
    with pytest.raises(MissingProgram) as caught:
        run(["no-such-program-12", "ps"])
    assert "no-such-program-12 is not installed" in one_line(
        caught.value
    ) and "labkit doctor" in str(caught.value)


@posix
def test_a_program_that_may_not_be_run(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    with pytest.raises(LabError) as caught:
        run([str(program)])
    assert not isinstance(caught.value, MissingProgram) and "could not be started" in one_line(
        caught.value
    )


# -- ending it ----------------------------------------------------------------------------------


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


STUBBORN = """
    import os, signal, sys, time
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print(os.getpid(), flush=True)
    time.sleep(600)
"""


@posix
def test_timeout_stops_even_a_stubborn_command(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        commands.GRACE <= 3
    )  # an interrupt and a request to end, then the kill: "within a few seconds"
    monkeypatch.setattr(commands, "GRACE", 0.5)
    pids: list[str] = []
    started = time.perf_counter()
    with pytest.raises(LabError) as caught:
        run(python(STUBBORN), timeout=0.5, on_text=pids.append)
    assert "did not answer within 0.5 s" in one_line(caught.value)
    assert time.perf_counter() - started < 10 and not alive(int(pids[0]))


def interrupted(code: str, tmp_path: Path, wait: str = "") -> tuple[dict[str, object], float]:
    """Run ``code`` under labkit in another Python, interrupt that Python alone, and tell what it made of it."""
    program = tmp_path / "teacher.py"
    program.write_text(
        textwrap.dedent("""
        import json, sys, time
        from labkit import commands
        from labkit.commands import Interrupted
        from labkit.commands import run
        commands.GRACE = 0.7
        try:
            run([sys.executable, "-c", sys.argv[1]], on_text=lambda text: print(text, end="", flush=True))
        except Interrupted as error:
            print(json.dumps({"said": str(error), "text": error.result.text, "code": error.result.code}), flush=True)
    """)
    )
    process = subprocess.Popen(
        [sys.executable, str(program), textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    first = process.stdout.readline()
    started = time.perf_counter()
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=30)
    told = json.loads(rest.strip().splitlines()[-1])
    return {**told, "pid": int(first)}, time.perf_counter() - started


@posix
def test_interrupt_ends_a_child_that_ignores_it(tmp_path: Path) -> None:
    told, seconds = interrupted(STUBBORN, tmp_path)
    assert seconds < 6 and not alive(int(str(told["pid"])))
    assert told["text"] == f"{told['pid']}\n"  # what was printed before is kept
    assert told["code"] == -signal.SIGTERM
    assert "Stopped by you" in str(told["said"]) and "\n" not in str(told["said"])


@posix
def test_interrupt_ends_a_child_that_ignores_all_it_can(tmp_path: Path) -> None:
    code = STUBBORN.replace(
        "print(", "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    print(", 1
    )
    told, seconds = interrupted(code, tmp_path)
    assert seconds < 8 and not alive(int(str(told["pid"]))) and told["code"] == -signal.SIGKILL


@posix
def test_interrupt_gives_a_child_time_for_its_last_words(tmp_path: Path) -> None:
    told, seconds = interrupted(
        """
        import os, sys, time
        try:
            print(os.getpid(), flush=True)
            time.sleep(600)
        except KeyboardInterrupt:
            print("tidied up")
            sys.exit(3)
    """,
        tmp_path,
    )
    assert told["text"] == f"{told['pid']}\ntidied up\n" and told["code"] == 3 and seconds < 3


@posix
def test_interrupt_in_this_process_leaves_nothing_running() -> None:
    pids: list[str] = []

    def hear(text: str) -> None:
        if not pids:
            threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        pids.append(text)

    with pytest.raises(Interrupted) as caught:
        run(
            python("import os, time; print(os.getpid(), flush=True); time.sleep(600)"), on_text=hear
        )
    assert not alive(int(pids[0])) and caught.value.result.out == "".join(pids)
    assert "nothing is left" in one_line(caught.value)


def test_an_error_in_the_listener_leaves_nothing_running() -> None:
    pids: list[int] = []

    def hear(text: str) -> None:
        pids.append(int(text))
        raise RuntimeError("listener")

    with pytest.raises(RuntimeError, match="listener"):
        run(
            python("import os, time; print(os.getpid(), flush=True); time.sleep(600)"), on_text=hear
        )
    assert not alive(pids[0])


# -- how it is shown ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        LabError("One line."),
        MissingProgram("One line."),
        Interrupted(Result(("docker",), -2, (), 4.4)),
    ],
)
def test_ipython_shows_one_line_and_no_traceback(error: LabError) -> None:
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    shell.user_ns["error"] = error
    with capture_output() as said:
        done = shell.run_cell("raise error")
    assert done.error_in_exec is error
    assert said.stdout.strip() == str(error) and said.stderr == ""
