#!/usr/bin/env python3
"""The course in two commands. All they need is Python 3.11 or newer (on Windows write py instead of python3):

    python3 course.py lab  [--no-browser] [--port N] [options of jupyter lab]    open the first lesson
    python3 course.py test [options of pytest]              run every test that needs no engine

All of it is installed in the folder .venv beside this file: to undo it, delete that folder.
"""

# The syntax stays that of Python 3.6, so that an old Python can say that it is too old.
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "course.json"  # what .venv is made of; written last
FIRST_LESSON = "notebooks/en/00-start-here.ipynb"
AGAIN = "then run the same command again"
REMEDIES = (  # what an installer that failed has printed -> what to do; the first that matches wins
    (
        r"No space left|Errno 28\b|WinError 112\b|quota exceeded",
        "the disk is full: free some of it, the course needs about 600 MB, " + AGAIN,
    ),
    (
        r"from versions: none|NewConnectionError|ConnectTimeout|ReadTimeout|ConnectionReset|ProxyError|SSLError",
        "no network: pip reached no package index; connect (a proxy goes into HTTPS_PROXY), "
        + AGAIN,
    ),
    (
        r"Errno (13|30)\b|WinError (5|32)\b",
        f"cannot write in {VENV}: copy the course to a folder of your own, or close what uses it, {AGAIN}",
    ),
    (
        r"Long Path support|WinError 206\b",
        "path too long for Windows: move the course to C:\\course, " + AGAIN,
    ),
)


class Stop(Exception):
    """Why the command cannot go on and what to do about it, in one line."""


def too_old(version: Tuple[Any, ...]) -> Optional[str]:
    """What to say to a Python of this version; None if it is new enough."""
    return (
        None
        if version >= (3, 11)
        else (
            f"this is Python {version[0]}.{version[1]}, the course needs 3.11 or newer: install one "
            "(https://www.python.org/downloads), then run course.py with it"
        )
    )


def explain(output: str) -> str:
    """One line for a failure that printed `output`: a remedy, or else the last error it names."""
    for pattern, remedy in REMEDIES:
        if re.search(pattern, output, re.IGNORECASE):
            return remedy
    lines = [line.strip() for line in output.splitlines() if line.strip()] or [
        "it ended without a word"
    ]
    return ([line for line in lines if re.match(r"error\b", line, re.IGNORECASE)] or lines)[-1]


def environment(**more: str) -> Dict[str, str]:
    """Variables for what runs in .venv: the user's own Python and Jupyter settings stay out, and untouched."""
    keep = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONHOME", "PYTHONPATH")
    }
    keep.update(
        PIP_USER="0",
        VIRTUAL_ENV=str(VENV),
        PATH=os.pathsep.join((str(PYTHON.parent), keep["PATH"])),
    )
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR"):
        keep[name] = str(VENV / "home" / name.lower())
    return dict(keep, **more)


def run(title: str, argv: List[str], total: int = 0) -> None:
    """Run an installer behind one living line (`title`, then pip's progress to `total`); Stop if it fails."""
    living, output, collected = sys.stdout.isatty(), "", 0
    print(title, end=" ..." if living else " ...\n", flush=True)
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env=environment(PYTHONIOENCODING="utf-8"),
    )
    try:
        for line in process.stdout or ():
            output += line
            collected += line.startswith("Collecting ")
            if living and total and line.startswith(("Collecting ", "Installing ")):
                now = (
                    f"{collected}/{total}"
                    if line.startswith("Collecting ")
                    else "unpacking, half a minute"
                )
                print("\r" + f"{title} ... {now}".ljust(78), end="", flush=True)
        code = process.wait()
    finally:
        process.kill()  # nothing happens to one that has ended
        process.wait()
    if living:
        print("\r" + (title + (" ... failed" if code else " ... done")).ljust(78))
    if code:
        raise Stop(explain(output))


def recall() -> Dict[str, Any]:
    """What .venv was made of; empty if it was never finished, or if the Python it links to is gone."""
    try:
        return dict(json.loads(STAMP.read_text("utf-8"))) if PYTHON.exists() else {}
    except (OSError, ValueError):
        return {}


def set_up() -> None:
    """Make .venv, or bring it up to date with the pins; one that is up to date costs two small reads."""
    lock, project = (ROOT / "requirements.txt").read_bytes(), (ROOT / "pyproject.toml").read_bytes()
    made = {
        "python": [sys.version, sys.base_prefix, str(ROOT)],
        "pins": hashlib.sha256(lock + project).hexdigest(),
    }
    known = recall()
    fresh = made["python"] != known.get("python")
    if not fresh and made["pins"] == known.get("pins"):
        return
    pip = [
        str(PYTHON),
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--no-input",
        "install",
        "--no-deps",
    ]
    try:
        if fresh:
            python = getattr(
                sys, "_base_executable", sys.executable
            )  # never that of the .venv to be replaced
            run(
                "[1/3] making .venv with Python " + sys.version.split()[0],
                [python, "-m", "venv", "--clear", "--without-pip", str(VENV)],
            )
            run(
                "[1/3] adding pip to it", [str(PYTHON), "-m", "ensurepip"]
            )  # inside venv its errors are not shown
        total = len(re.findall(rb"^\w", lock, re.MULTILINE))
        run(
            f"[2/3] installing up to {total} packages, once",
            [*pip, "--progress-bar=off", "-r", str(ROOT / "requirements.txt")],
            total,
        )
        run("[3/3] installing labkit", [*pip, "--no-build-isolation", "-e", str(ROOT)])
        (VENV / "home").mkdir(exist_ok=True)  # where IPython makes its folder, or warns
        settings = VENV / "share/jupyter/lab/settings/overrides.json"
        settings.parent.mkdir(
            parents=True, exist_ok=True
        )  # so that JupyterLab does not ask about its news
        settings.write_text(
            '{"@jupyterlab/apputils-extension:notification": '
            '{"checkForUpdates": false, "fetchNews": "false"}}'
        )
        STAMP.write_text(json.dumps(made), "utf-8")
    except (
        BaseException
    ) as error:  # leave no half; but without network the old environment still stands
        if fresh or isinstance(error, KeyboardInterrupt):
            shutil.rmtree(str(VENV), ignore_errors=True)
        raise


def trust() -> None:
    """Sign the lessons that changed: then JupyterLab shows their stored pictures before anything is run."""
    state = {
        str(lesson): lesson.stat().st_mtime for lesson in sorted(ROOT.glob("notebooks/*/*.ipynb"))
    }
    known = recall()
    if state != known.get("trusted", {}):
        print("signing the lessons ...", flush=True)
        if not subprocess.call(
            [str(PYTHON), "-m", "nbformat.sign", *state],
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ):
            STAMP.write_text(
                json.dumps(dict(known, trusted=state)), "utf-8"
            )  # a broken lesson bars no other


def become(argv: List[str], env: Dict[str, str]) -> int:
    """Go on as another program in .venv: Ctrl-C is for it alone, and its exit code is ours."""
    sys.stdout.flush()
    if os.name == "posix":
        os.execve(str(PYTHON), [str(PYTHON), *argv], env)
    signal.signal(signal.SIGINT, lambda *_: None)
    return subprocess.call([str(PYTHON), *argv], env=env)


def lab(options: List[str]) -> int:
    """JupyterLab on the first lesson; it asks nobody on the Internet for news, updates or extensions."""
    trust()
    print("starting JupyterLab; Ctrl-C here ends it")
    usual = [
        "--log-level=WARN",
        "--ServerApp.answer_yes=True",
        f"--ServerApp.root_dir={ROOT}",
        f"--LabApp.default_url=/lab/tree/{FIRST_LESSON}",
        "--LabApp.extension_manager=readonly",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        usual.append("--allow-root")
    given = {option.split("=")[0] for option in options}  # JupyterLab takes no option twice
    return become(
        [
            "-m",
            "jupyterlab",
            *(option for option in usual if option.split("=")[0] not in given),
            *options,
        ],
        environment(),
    )


def test(options: List[str]) -> int:
    """All tests that need no engine: of labkit, and each lesson replayed and compared with what it stores."""
    os.chdir(str(ROOT))
    named = any(Path(option.split("::")[0]).exists() for option in options)  # then only those
    places = [] if named else [place for place in ("tests", "notebooks/en") if Path(place).exists()]
    return become(
        [
            "-m",
            "pytest",
            "-m",
            "not live",
            "--nbval",
            "--nbval-current-env",
            *places,
            *options,
        ],
        environment(LABKIT_MODE="replay"),
    )


def main(words: List[str]) -> int:
    complaint = too_old(sys.version_info)
    if complaint:
        sys.exit("course.py: " + complaint)
    if words[:1] not in (["lab"], ["test"]):
        print((__doc__ or "").strip())
        return 0 if words[:1] in (["-h"], ["--help"]) else 2
    try:
        import ensurepip  # noqa: F401  in Debian and Ubuntu it is a package of its own

        set_up()
        return (lab if words[0] == "lab" else test)(words[1:])
    except ImportError:
        sys.exit(
            "course.py: this Python cannot make environments: install its venv module (on Debian and Ubuntu: "
            f"sudo apt install python3-venv), {AGAIN}"
        )
    except Stop as reason:
        sys.exit(f"course.py: {reason}")
    except OSError as error:
        sys.exit("course.py: " + explain(str(error)))
    except KeyboardInterrupt:
        sys.exit("\ncourse.py: stopped; to go on, run the same command again")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
