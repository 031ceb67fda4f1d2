"""The `labkit` command: exit codes, one line when something is wrong, and how little it imports."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Told

from labkit import cli
from labkit.errors import LabError

posix = pytest.mark.skipif(sys.platform == "win32", reason="pipes and signals of POSIX")
pytestmark = pytest.mark.usefixtures("no_engine")
COMMANDS = "doctor reset prefetch record layers forest snapshots disk net"


# -- what it says -------------------------------------------------------------------------------


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        cli.main(["--help"])
    text = capsys.readouterr().out
    assert done.value.code == 0
    assert re.findall(r"^    ([a-z]+)\b", text, re.M) == COMMANDS.split()
    for name in COMMANDS.split():
        with pytest.raises(SystemExit) as done:
            cli.main([name, "--help"])
        assert done.value.code == 0 and f"labkit {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line",
    [
        "",
        "nosuch",
        "layers",
        "record",
        "layers --nosuch x",
        "forest x",
        "disk",
        "disk a b",
        "net",
        "snapshots --lesson",
        "snapshots --nosuch",
        "snapshots --save",
    ],
)
def test_wrong_use_is_2_and_says_how(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        cli.main(line.split())
    said = capsys.readouterr()
    assert done.value.code == 2 and said.out == "" and "usage: labkit" in said.err


@pytest.mark.parametrize(
    "line", ["forest", "reset", "reset 12", "prefetch", "record 12", "layers busybox"]
)
def test_without_an_engine_it_is_1_and_one_line(line: str, told: Told) -> None:
    why = "No Docker engine answers at unix:///nonexistent/docker.sock. "
    begins = "labkit: Reset, except: " if "reset" in line else "labkit: "
    assert told(*line.split(), code=1).startswith(begins + why)


def test_doctor_works_without_an_engine(told: Told) -> None:
    python, docker, *_, recordings = told("doctor").splitlines()
    assert python.startswith("✔ Python 3.") and docker.startswith("✘ No Docker engine answers")
    assert "replay" in docker
    assert recordings.startswith("✔ recordings of") and "07, 09, 10, 12" in recordings


@pytest.mark.parametrize("command", ["reset", "prefetch"])
@pytest.mark.parametrize("name", ["nosuch", "../../notes", "en", ""])
def test_a_name_that_is_no_lessons_is_said_before_anything_is_done(
    command: str, name: str, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "engines", pytest.fail)
    said = told(command, "00", name, code=1)
    assert said.startswith(f"labkit: There is no lesson {name!r}; there are: 00, 02,")


@pytest.mark.parametrize(
    "error, code, line",
    [
        (LabError("What happened."), 1, "labkit: What happened.\n"),
        (KeyboardInterrupt(), 130, "labkit: stopped by you.\n"),
    ],
)
def test_how_it_ends(
    error: BaseException, code: int, line: str, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr("labkit.doctor.examine", fail)
    assert told("doctor", code=code) == line


# -- as a process -------------------------------------------------------------------------------


def test_it_is_a_module_too() -> None:
    argv = [sys.executable, "-m", "labkit", "layers", "missing.tar"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_a_console_that_knows_few_letters_is_no_reason_to_fail() -> None:
    argv = [sys.executable, "-m", "labkit", "doctor"]
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=env)
    assert done.returncode == 0 and done.stderr == "" and "\\u2714 Python" in done.stdout


def doctored(examine: str) -> subprocess.Popen[str]:
    """`labkit doctor` in a process, which says something else."""
    program = f"import sys, time\nfrom labkit import cli, doctor\ndoctor.examine = {examine}\n"
    return subprocess.Popen(
        [sys.executable, "-c", f"{program}sys.exit(cli.main(['doctor']))"],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@posix
def test_a_reader_that_has_had_enough_is_no_error() -> None:
    process = doctored("lambda: [(True, 'x' * 1000)] * 10000")
    assert process.stdout and process.stderr
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait(20) == 0
    process.stderr.close()


@posix
def test_ctrl_c_is_130_and_one_line() -> None:
    process = doctored("lambda: (print('ready', flush=True), time.sleep(60))")
    assert process.stdout
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130 and err == "labkit: stopped by you.\n"


# -- what it costs ------------------------------------------------------------------------------

LATE = "matplotlib docker IPython ipywidgets zstandard numpy nbformat requests defusedxml jinja2"


@pytest.mark.parametrize(
    "code",
    [
        "import labkit",
        "import labkit.tape, labkit.words, labkit.lesson",
        "from labkit import cli; cli._parser()",  # with the subcommands of all subjects
    ],
)
def test_importing_is_light(code: str) -> None:
    code = f"import sys; {code}; print([name for name in {LATE.split()} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_only_one_module_starts_processes() -> None:
    package = Path(cli.__file__).parent
    for path in package.rglob("*.py"):
        text = path.read_text("utf-8")
        assert ("import subprocess" in text) == (path == package / "commands.py"), path
        assert "shell=True" not in text and "os.system" not in text, path
