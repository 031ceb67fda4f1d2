"""Running one command: real processes, mostly this Python, which says what reached it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from samples.errors import refused
from traitlets.config import Config

from labkit import commands
from labkit.commands import Interrupted, Result, merge, run
from labkit.errors import LabError, MissingProgram

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and byte arguments are POSIX's")


def python(code: str, *words: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code), *words]


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
    assert result.code == 0 and result.seconds > 0


@pytest.mark.parametrize("code", [0, 1, 7, 125, 127])
def test_exit_codes_are_results_not_errors(code: int) -> None:
    assert run(python(f"import sys; sys.exit({code})")).code == code


@posix
def test_a_signal_is_a_negative_code() -> None:
    assert (
        run(python("import os, signal; os.kill(os.getpid(), signal.SIGTERM)")).code
        == -signal.SIGTERM
    )


def test_output_arrives_while_the_command_runs(tmp_path: Path) -> None:
    """The command goes on only when its first line has been heard."""
    heard = tmp_path / "heard"
    code = f"""
        import os, time
        print("a", flush=True)
        while not os.path.exists({str(heard)!r}):
            time.sleep(0.01)
        print("b")
    """
    assert run(python(code), on_text=lambda text: heard.touch(), timeout=60).out == "a\nb\n"


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
ODD = 'it\'s "quoted" -n --help -- $HOME `ls` $(ls) * ; | a\\b ñ層 {{.Id}} %s'


def test_odd_words_arrive_unchanged() -> None:
    words = [*ODD.split(), "two words", "", "a\nb", "tab\there", "x" * 10_000]
    assert json.loads(run([*ECHO, *words]).out) == words


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
    assert "retype" in refused(run, [*ECHO, word])


@pytest.mark.skipif(sys.platform != "linux", reason="Linux limits one argument to 128 kB")
def test_a_word_too_long_is_one_line() -> None:
    assert "too long" in refused(run, [*ECHO, "x" * 200_000])


def test_a_missing_program_says_where_to_get_it() -> None:
    said = refused(run, ["no-such-program-12", "ps"])
    assert "no-such-program-12 is not installed" in said and "labkit doctor" in said
    with pytest.raises(MissingProgram):
        run(["no-such-program-12"])


@posix
def test_a_program_that_may_not_be_run(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    assert "could not be started" in refused(run, [str(program)])


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    there = partial(run, ECHO, cwd=tmp_path / "gone")
    assert "run the %lesson cell again" in refused(there)


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
    monkeypatch.setattr(commands, "GRACE", 0.5)
    pids: list[str] = []
    said = refused(partial(run, python(STUBBORN), timeout=0.5, on_text=pids.append))
    assert "did not answer within 0.5 s" in said and not alive(int(pids[0]))


TEACHER = """
    import json, sys
    from labkit import commands
    commands.GRACE = 0.7
    hear = lambda text: print(text, end="", flush=True)
    try:
        commands.run([sys.executable, "-c", sys.argv[1]], on_text=hear)
    except commands.Interrupted as error:
        print(json.dumps([str(error), *error.result[1:3]]), flush=True)
"""
DEAF = STUBBORN.replace("print(", "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    print(")
TIDY = """
    import os, sys, time
    try:
        print(os.getpid(), flush=True)
        time.sleep(600)
    except KeyboardInterrupt:
        print("tidied up")
        sys.exit(3)
"""


@posix
@pytest.mark.parametrize(
    "code, ending, last_words",
    [(STUBBORN, -signal.SIGTERM, ""), (DEAF, -signal.SIGKILL, ""), (TIDY, 3, "tidied up\n")],
    ids=["ignores it", "ignores all it can", "tidies up"],
)
def test_an_interrupt_ends_a_child_whatever_it_does(
    code: str, ending: int, last_words: str
) -> None:
    """That of labkit in another Python, which alone is interrupted."""
    process = subprocess.Popen(
        python(TEACHER, textwrap.dedent(code)), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    pid = int(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=30)
    said, status, chunks = json.loads(rest.splitlines()[-1])
    assert "Stopped by you" in said and "nothing is left" in said and "\n" not in said
    assert status == ending and not alive(pid)
    assert chunks == [["out", f"{pid}\n{last_words}"]]  # what was printed before is kept


SLEEPS = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"


@posix
def test_interrupt_in_this_process_leaves_nothing_running() -> None:
    pids: list[str] = []

    def hear(text: str) -> None:
        if not pids:
            threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        pids.append(text)

    with pytest.raises(Interrupted) as caught:
        run(python(SLEEPS), on_text=hear)
    assert not alive(int(pids[0])) and caught.value.result.out == "".join(pids)


def test_an_error_in_the_listener_leaves_nothing_running() -> None:
    pids: list[int] = []

    def hear(text: str) -> None:
        pids.append(int(text))
        raise RuntimeError("listener")

    with pytest.raises(RuntimeError, match="listener"):
        run(python(SLEEPS), on_text=hear)
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
