#!/usr/bin/env python3
"""The course in two commands; all they need is Python 3.11 or newer (on Windows write py instead of python3):

    python3 course.py lab  [--no-browser] [--port N] [more options of jupyter lab]    open the first lesson
    python3 course.py test [options of pytest]                  run every test that needs no Docker engine

Everything is installed in the folder .venv beside this file, and nothing anywhere else: to undo it, delete .venv.
"""
# The syntax stays that of Python 3.7, without new imports, so that an old Python can say that it is too old.
import glob
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from typing import Any, Dict, List, Optional, Sequence

ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, *(("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")))
FIRST_LESSON = "notebooks/en/00-start-here.ipynb"
AGAIN = "then run the same command again"
# What failed installers print -> what to do about it. The first that matches wins.
REMEDIES = (
    (r"No space left|not enough space|Errno 28\b|WinError 112\b|quota exceeded",
     "the disk is full: the course needs about 600 MB; free some, " + AGAIN),
    (r"Permission denied|Read-only file system|Access is denied|Errno 13\b|Errno 30\b|WinError 5\b",
     "cannot write in {venv}: copy the course into a folder of your own (or close what uses it), " + AGAIN),
    (r"from versions: none|NewConnectionError|ConnectTimeout|ReadTimeout|ConnectionResetError|ProxyError|SSLError",
     "no network: pip got no package from its index; connect (a proxy goes into HTTPS_PROXY), " + AGAIN),
)


class Stop(Exception):
    """The reason, in one line, why the command cannot go on."""


def too_old(version: Sequence[int]) -> Optional[str]:
    """What to say to a Python of this version; None if it is new enough."""
    if tuple(version[:2]) >= (3, 11):
        return None
    return (f"this is Python {version[0]}.{version[1]}, the course needs 3.11 or newer: install one "
            "(https://www.python.org/downloads/), then run course.py with it, for example python3.11 course.py lab")


def explain(output: str) -> str:
    """One line for a failure that printed `output`: a known remedy, or else what was printed last as an error."""
    for pattern, remedy in REMEDIES:
        if re.search(pattern, output, re.IGNORECASE):
            return remedy.format(venv=VENV)
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["the installer ended without a word"]
    return ([line for line in lines if re.match(r"error\b", line, re.IGNORECASE)] or lines)[-1]


def environment(**more: str) -> Dict[str, str]:
    """The variables for what runs in .venv: the user's own Python and Jupyter settings stay out, and untouched."""
    hidden = ("PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX")
    private = {"VIRTUAL_ENV": VENV, "PIP_USER": "0"}
    private["PATH"] = os.path.dirname(PYTHON) + os.pathsep + os.environ.get("PATH", os.defpath)
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR"):
        private[name] = os.path.join(VENV, "home", name.lower())
    return dict({name: value for name, value in os.environ.items() if name not in hidden}, **private, **more)


def run(title: str, argv: List[str], total: int = 0) -> None:
    """Run an installer under one living line (`title`, then pip's progress out of `total`); Stop if it fails."""
    living = sys.stdout.isatty()
    print(title + " ...", end="" if living else "\n", flush=True)
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               encoding="utf-8", errors="replace", env=environment(PYTHONIOENCODING="utf-8"))
    output, now = [], ""
    try:
        for line in process.stdout or ():
            output.append(line)
            if line.startswith("Collecting "):
                now = f"{sum(text.startswith('Collecting ') for text in output)}/{total} {line.split()[1]}"
            elif line.startswith("Installing collected packages"):
                now = "unpacking, half a minute"
            if living and now:
                print("\r" + f"{title} ... {now}".ljust(78)[:78], end="", flush=True)
        code = process.wait()
    finally:
        process.kill()  # does nothing to one that has ended
        process.wait()
    if living:
        print("\r" + (title + (" ... done" if code == 0 else " ... failed")).ljust(78), flush=True)
    if code != 0:
        raise Stop(explain("".join(output)))


def recall() -> Dict[str, Any]:
    """What .venv was made of; empty if it was never finished."""
    try:
        with open(os.path.join(VENV, "course.json"), encoding="utf-8") as file:
            return dict(json.load(file))
    except (OSError, ValueError):
        return {}


def remember(**facts: Any) -> None:
    """Write down what .venv is made of now."""
    with open(os.path.join(VENV, "course.json"), "w", encoding="utf-8") as file:
        json.dump(facts, file)


def set_up() -> None:
    """Make .venv, or bring it up to date with the pins; one that is up to date costs two small reads."""
    pins = []
    for name in ("requirements.txt", "pyproject.toml"):
        with open(os.path.join(ROOT, name), "rb") as file:
            pins.append(file.read())
    made = {"python": [sys.version, sys.base_prefix, ROOT], "pins": hashlib.sha256(b"\0".join(pins)).hexdigest()}
    known = recall() if os.path.exists(PYTHON) else {}  # a link to a Python that is gone does not exist either
    if made == {name: known.get(name) for name in made}:
        return
    fresh = made["python"] != known.get("python")
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--no-deps"]
    try:
        if fresh:
            try:
                import ensurepip  # noqa: F401  Debian and Ubuntu keep it in a package of its own
            except ImportError:
                raise Stop("this Python cannot make private environments: install what it lacks (on Debian and "
                           f"Ubuntu: sudo apt install python3-venv), {AGAIN}") from None
            python = getattr(sys, "_base_executable", sys.executable)  # not the one in the .venv to be replaced
            title = f"[1/3] making .venv with Python {sys.version.split()[0]}"
            run(title, [python, "-m", "venv", "--clear", "--without-pip", VENV])
            run("[1/3] putting pip into it", [PYTHON, "-m", "ensurepip", "--default-pip"])  # venv hides its errors
        total = len(re.findall(rb"^\w", pins[0], re.MULTILINE))
        run(f"[2/3] installing up to {total} packages (some minutes, once)",
            pip + ["--progress-bar", "off", "-r", os.path.join(ROOT, "requirements.txt")], total)
        run("[3/3] installing labkit", pip + ["--no-build-isolation", "-e", ROOT])
        settings = os.path.join(VENV, "share", "jupyter", "lab", "settings")
        os.makedirs(settings, exist_ok=True)
        with open(os.path.join(settings, "overrides.json"), "w", encoding="utf-8") as file:  # JupyterLab need not ask
            json.dump({"@jupyterlab/apputils-extension:notification":
                       {"checkForUpdates": False, "fetchNews": "false"}}, file)
        remember(**made)
    except BaseException as error:  # leave no half: the next run starts afresh. Without network the old one stays
        if fresh or isinstance(error, KeyboardInterrupt):
            shutil.rmtree(VENV, ignore_errors=True)
        raise


def trust() -> None:
    """Sign new or changed lessons: JupyterLab then shows their stored pictures before anything is run."""
    lessons = sorted(glob.glob(os.path.join(glob.escape(ROOT), "notebooks", "*", "*.ipynb")))
    state = [[lesson, os.stat(lesson).st_mtime_ns] for lesson in lessons]
    known = recall()
    if state != known.get("trusted", []):
        print("signing the lessons ...", flush=True)
        done = subprocess.call([PYTHON, "-m", "nbformat.sign"] + lessons, env=environment(),
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if done == 0:  # a lesson with a syntax error must not keep the others shut
            remember(**dict(known, trusted=state))


def become(argv: List[str], env: Dict[str, str]) -> int:
    """Go on as another program: Ctrl-C is for it alone, and its exit code is ours."""
    sys.stdout.flush()
    if os.name == "posix":
        os.execve(argv[0], argv, env)
    signal.signal(signal.SIGINT, lambda *_: None)
    return subprocess.call(argv, env=env)


def lab(options: List[str]) -> int:
    """JupyterLab on the first lesson. It asks nobody on the Internet for news, updates or extensions."""
    trust()
    print("starting JupyterLab; Ctrl-C here ends it", flush=True)
    root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    return become([PYTHON, "-m", "jupyterlab", "--log-level=WARN", "--ServerApp.answer_yes=True",
                   "--ServerApp.root_dir=" + ROOT, "--LabApp.default_url=/lab/tree/" + FIRST_LESSON,
                   "--LabApp.news_url=None", "--LabApp.extension_manager=readonly",
                   "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"] + root + options, environment())


def test(options: List[str]) -> int:
    """All that can be tested without an engine: labkit, and every lesson replayed and compared with its outputs."""
    os.chdir(ROOT)
    named = any(os.path.exists(option.split("::")[0]) for option in options)  # only those tests, then
    places = [] if named else [place for place in ("tests", "notebooks/en") if os.path.isdir(place)]
    return become([PYTHON, "-m", "pytest", "-m", "not docker and not browser", "--nbval", "--nbval-current-env"]
                  + places + options, environment(LABKIT_MODE="replay"))


def main(words: List[str]) -> int:
    commands = {"lab": lab, "test": test}
    old = too_old(sys.version_info)
    if old:
        raise SystemExit("course.py: " + old)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a folder's name may have letters that the terminal lacks
    if not words or words[0] not in commands:
        print((__doc__ or "").strip())
        return 0 if words[:1] in (["-h"], ["--help"]) else 2
    try:
        set_up()
        return commands[words[0]](words[1:])
    except (Stop, OSError) as error:
        raise SystemExit("\ncourse.py: " + (str(error) if isinstance(error, Stop) else explain(str(error)))) from None
    except KeyboardInterrupt:
        raise SystemExit("\ncourse.py: stopped; to go on, run the same command again") from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
