"""course.py as a user meets it: real environments and pip, no network, a tiny world to install."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

COURSE = Path(__file__).resolve().parent.parent / "course.py"
SEEN = "[sys.argv[1:], sys.prefix, os.getcwd(), dict(os.environ)]"
ECHO = f"import json, os, sys; print(json.dumps({SEEN}))"
WHEEL = "Wheel-Version: 1.0\nTag: py3-none-any\n"
# A build backend for the course's folder: `pip install -e .` asks it for one function.
BACKEND = f"""
import zipfile
def build_editable(folder, settings=None, metadata=None):
    with zipfile.ZipFile(folder + "/labkit-0-py3-none-any.whl", "w") as wheel:
        about = "Metadata-Version: 2.1\\nName: labkit\\nVersion: 0\\n"
        wheel.writestr("labkit-0.dist-info/METADATA", about)
        wheel.writestr("labkit-0.dist-info/WHEEL", {WHEEL!r})
        wheel.writestr("labkit-0.dist-info/RECORD", "")
    return "labkit-0-py3-none-any.whl"
"""


def load(path: Path) -> ModuleType:
    """The file as a module of its own, so that its paths can be changed."""
    spec = importlib.util.spec_from_file_location("course_under_test", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_world(folder: Path, version: str) -> None:
    """A wheel that stands for all packages of the lock; its programs say how they were called."""
    about = f"world-{version}.dist-info"
    files = {
        "jupyterlab/__main__.py": ECHO,
        "pytest.py": f"{ECHO}; sys.exit(3)",
        "nbformat/sign.py": "import sys; open(sys.argv[1] + '.signed', 'a').write('x')",
        "world_backend.py": BACKEND,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: world\nVersion: {version}\n",
        f"{about}/WHEEL": f"Root-Is-Purelib: true\n{WHEEL}",
        f"{about}/RECORD": "",
    }
    with zipfile.ZipFile(folder / f"world-{version}-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)


def make_course(folder: Path) -> Path:
    """A course folder with the real course.py, a lock of one package and one lesson."""
    (folder / "wheels").mkdir(parents=True)
    (folder / "notebooks/en").mkdir(parents=True)
    (folder / "tests").mkdir()
    shutil.copy(COURSE, folder)
    make_world(folder / "wheels", "1")
    make_world(folder / "wheels", "2")
    (folder / "requirements.txt").write_text("# the lock\nworld==1\n")
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "world_backend"\n'
    )
    (folder / "notebooks/en/00-start-here.ipynb").write_text("{}")
    return folder


def course(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run course.py there: pip finds the wheels beside it and nothing else."""
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))
    }
    env.update(
        PIP_CONFIG_FILE=os.devnull, PIP_NO_INDEX="1", PIP_FIND_LINKS=(folder / "wheels").as_uri()
    )
    env.update(PYTHONIOENCODING="utf-8", **variables)
    return subprocess.run(
        [sys.executable, str(folder / "course.py"), *words],
        env=env,
        cwd=folder.parent,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


def echoed(done: subprocess.CompletedProcess[str]) -> tuple[list[str], Path, Path, dict[str, str]]:
    """What the program that course.py became has seen: arguments, prefix, folder, variables."""
    argv, prefix, cwd, env = json.loads(done.stdout.splitlines()[-1])
    return argv, Path(prefix), Path(cwd), env


def assert_one_line(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    """It ended with code 1 and one line on stderr that has these parts."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("course.py: "), done.stderr
    for part in parts:
        assert part in done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A course in a folder with a space and an accent, after its first `course.py lab`."""
    folder = make_course(tmp_path_factory.mktemp("año 1") / "mi curso")
    return folder, course(
        folder, "lab", "--no-browser", "--port", "9123", PYTHONPATH=str(folder), IPYTHONDIR="x"
    )


def test_first_lab_installs_and_passes_options_on(
    made: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, done = made
    assert done.returncode == 0, done.stdout + done.stderr
    assert [
        step
        for step in ("[1/3]", "[2/3]", "[3/3]", "signing", "starting")
        if step not in done.stdout
    ] == []
    argv, prefix, _, env = echoed(done)
    assert prefix == folder / ".venv"
    assert argv[-3:] == ["--no-browser", "--port", "9123"]
    assert f"--ServerApp.root_dir={folder}" in argv
    assert "--LabApp.default_url=/lab/tree/notebooks/en/00-start-here.ipynb" in argv
    assert ("--allow-root" in argv) == (hasattr(os, "geteuid") and os.geteuid() == 0)
    assert "PYTHONPATH" not in env
    assert Path(env["IPYTHONDIR"]).is_relative_to(prefix) and Path(
        env["JUPYTER_DATA_DIR"]
    ).is_relative_to(prefix)
    assert Path(env["IPYTHONDIR"]).parent.is_dir()  # or IPython warns, and writes elsewhere
    assert env["PATH"].startswith(str(prefix))  # `labkit` works in JupyterLab's terminal
    assert (folder / "notebooks/en/00-start-here.ipynb.signed").read_text() == "x"
    overrides = json.loads((prefix / "share/jupyter/lab/settings/overrides.json").read_text())
    assert overrides["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"


def test_an_option_given_replaces_the_usual_one(
    made: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    """JupyterLab ends with "only accepts one value" when it gets an option twice."""
    folder, _ = made
    argv = echoed(course(folder, "lab", "--log-level", "DEBUG", "--ServerApp.root_dir=/tmp"))[0]
    assert argv[-3:] == ["--log-level", "DEBUG", "--ServerApp.root_dir=/tmp"]
    names = [word.split("=")[0] for word in argv if word.startswith("--")]
    assert sorted(names) == sorted(set(names)) and "--LabApp.news_url" in names


def test_second_time_only_starts(made: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, _ = made
    done = course(folder, "lab")
    assert done.returncode == 0 and "[" not in done.stdout.splitlines()[0]
    assert (folder / "notebooks/en/00-start-here.ipynb.signed").read_text() == "x"
    os.utime(folder / "notebooks/en/00-start-here.ipynb", (1, 1))  # changed: sign it again, once
    assert "signing" in course(folder, "lab").stdout
    assert "signing" not in course(folder, "lab").stdout


def test_test_runs_pytest_in_replay_and_keeps_its_exit_code(
    made: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, _ = made
    done = course(folder, "test", "-x", "-k", "trees")
    argv, _, cwd, env = echoed(done)
    assert done.returncode == 3 and cwd == folder and env["LABKIT_MODE"] == "replay"
    assert argv[:2] == ["-m", "not live"]
    assert "--nbval" in argv
    assert argv[-5:] == ["tests", "notebooks/en", "-x", "-k", "trees"]
    named = echoed(course(folder, "test", "notebooks/en/00-start-here.ipynb::Cell 0"))[0]
    assert "tests" not in named and named[-1] == "notebooks/en/00-start-here.ipynb::Cell 0"


def test_new_pins_are_installed_into_the_old_environment(
    made: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, _ = made
    lock = folder / "requirements.txt"
    lock.write_text("absent==1\n")  # as without network: pip finds no version of it anywhere
    assert_one_line(course(folder, "lab"), "no network", "run the same command again")
    assert (folder / ".venv/course.json").exists()  # what worked before is still there
    lock.write_text("world==2\n")
    done = course(folder, "lab")
    assert done.returncode == 0 and "[1/3]" not in done.stdout and "[2/3]" in done.stdout
    assert list(folder.glob(".venv/**/world-2.dist-info")) and not list(
        folder.glob(".venv/**/world-1.dist-info")
    )


def test_no_network_really(made: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """pip is sent to a port of this machine where nobody listens."""
    folder, _ = made
    lock = folder / "requirements.txt"
    before = lock.read_text()
    lock.write_text("six==1.17.0\n")
    closed = {
        "PIP_NO_INDEX": "0",
        "PIP_INDEX_URL": "http://127.0.0.1:9/",
        "PIP_RETRIES": "0",
        "PIP_TIMEOUT": "2",
    }
    try:
        assert_one_line(course(folder, "test", **closed), "no network", "HTTPS_PROXY")
    finally:
        lock.write_text(before)


def test_without_venv_module(tmp_path: Path) -> None:
    """Debian leaves ensurepip out of python3: importing it raises ImportError."""
    folder = make_course(tmp_path / "course")
    shadow = tmp_path / "shadow"
    shadow.mkdir()
    (shadow / "ensurepip.py").write_text("raise ImportError('No module named ensurepip')")
    assert_one_line(course(folder, "lab", PYTHONPATH=str(shadow)), "sudo apt install python3-venv")
    assert not (folder / ".venv").exists()


@pytest.fixture()
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB: room for an empty environment, not for pip."""
    if shutil.which("mount") is None or not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root on Linux")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(tmp_path)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("this machine does not let root mount a tmpfs")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_disk_full(small_disk: Path) -> None:
    folder = make_course(small_disk / "course")
    assert_one_line(course(folder, "lab"), "the disk is full", "600 MB")
    assert not (folder / ".venv").exists()  # it does not keep the disk full
    filler = folder / "filler"
    with pytest.raises(OSError), filler.open("wb") as file:
        file.write(bytes(4_000_000))
    assert_one_line(course(folder, "lab"), "the disk is full")  # before there is even a folder


def test_read_only_folder(small_disk: Path) -> None:
    folder = make_course(small_disk / "course")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert_one_line(course(folder, "lab"), "cannot write in", "folder of your own")


def test_an_old_python_can_read_it() -> None:
    source = COURSE.read_text("utf-8")
    tree = ast.parse(source, feature_version=(3, 7))
    imported = {
        alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names
    }
    assert imported == {"hashlib", "json", "os", "re", "shutil", "signal", "subprocess", "sys"}
    assert "__future__" not in source  # unknown to 3.6


@pytest.mark.parametrize("version", [(3, 6, 9), (3, 10, 14, "final", 0), (2, 7, 18)])
def test_python_too_old(version: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    module = load(COURSE)
    monkeypatch.setattr(module.sys, "version_info", version)
    with pytest.raises(SystemExit) as stop:
        module.main(["lab"])
    said = str(stop.value.code)
    assert f"Python {version[0]}.{version[1]}," in said and "3.11" in said and "\n" not in said


@pytest.mark.parametrize("version", [(3, 11, 0, "final", 0), (3, 14, 1), (4, 0)])
def test_python_new_enough(version: tuple[Any, ...]) -> None:
    assert load(COURSE).too_old(version) is None


def test_usage() -> None:
    for words, code in ((["--help"], 0), ([], 2), (["labb"], 2)):
        done = subprocess.run(
            [sys.executable, str(COURSE), *words], capture_output=True, encoding="utf-8"
        )
        assert done.returncode == code and "course.py lab" in done.stdout and not done.stderr


FAILED = "Collecting a\nERROR: Could not install packages due to an OSError: "


@pytest.mark.parametrize(
    "output, says",
    [
        (f"{FAILED}[Errno 28] No space left on device\n", "the disk is full"),
        ("[WinError 112] Espacio en disco insuficiente", "the disk is full"),
        (f"{FAILED}[WinError 5] Acceso denegado: 'C:\\\\x\\\\zmq.pyd'\n", "cannot write in"),
        ("Error: [Errno 13] Permission denied: '/srv/course/.venv'", "cannot write in"),
        (
            f"{FAILED}[Errno 2] No such file\nHINT: Windows Long Path support enabled.\n",
            "too long for Windows",
        ),
        (
            "WARNING: Retrying after connection broken by 'ProxyError('x')'\nERROR: x",
            "no network",
        ),
        (
            "Collecting a\nERROR: No matching distribution found for a==9\n\n[notice] A new pip\n",
            "ERROR: No matching distribution found for a==9",
        ),
        ("", "ended without a word"),
    ],
)
def test_explain(output: str, says: str) -> None:
    said = load(COURSE).explain(output)
    assert says in said and "\n" not in said


class Steps:
    """Stands for the installer: notes what it is asked for, makes the folder, fails where told."""

    def __init__(
        self, module: ModuleType, fail_at: str = "", error: BaseException | None = None
    ) -> None:
        self.module, self.fail_at, self.error, self.seen = module, fail_at, error, []  # type: ignore[var-annotated]

    def __call__(self, title: str, argv: list[str], total: int = 0) -> None:
        self.seen.append(title[:5])
        self.module.PYTHON.parent.mkdir(parents=True, exist_ok=True)
        self.module.PYTHON.touch()
        if self.error and title.startswith(self.fail_at):
            raise self.error


@pytest.fixture()
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """course.py of a course folder, whose installer is `Steps`."""
    module = load(make_course(tmp_path / "course") / "course.py")
    monkeypatch.setattr(module, "run", Steps(module))
    return module


def test_an_interrupted_install_is_removed_and_made_again(module: ModuleType) -> None:
    module.run = Steps(module, "[2/3]", KeyboardInterrupt())
    with pytest.raises(SystemExit) as stop:
        module.main(["lab"])
    assert "stopped" in str(stop.value.code) and not module.VENV.exists()
    module.run = Steps(module)
    module.set_up()
    assert module.run.seen == ["[1/3]", "[1/3]", "[2/3]", "[3/3]"]


@pytest.mark.parametrize("damage", ["killed", "unreadable", "python gone", "other python", "moved"])
def test_a_broken_environment_is_made_again(
    module: ModuleType, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module.set_up()
    module.run.seen.clear()
    module.set_up()
    assert module.run.seen == []
    if damage == "killed":  # before the last step, so without its stamp
        module.STAMP.unlink()
    elif damage == "unreadable":
        module.STAMP.write_text("{")
    elif damage == "python gone":
        module.PYTHON.unlink()
    elif damage == "other python":
        monkeypatch.setattr(module.sys, "version", "3.99.0 (other)")
    elif damage == "moved":
        stamp = json.loads(module.STAMP.read_text())
        stamp["python"][-1] = "/elsewhere"
        module.STAMP.write_text(json.dumps(stamp))
    module.set_up()
    assert module.run.seen == ["[1/3]", "[1/3]", "[2/3]", "[3/3]"]


@pytest.mark.parametrize("name", ["requirements.txt", "pyproject.toml"])
def test_changed_pins_update_in_place(module: ModuleType, name: str) -> None:
    module.set_up()
    module.run.seen.clear()
    with (module.ROOT / name).open("a") as file:
        file.write("# changed\n")
    module.set_up()
    assert module.run.seen == ["[2/3]", "[3/3]"]
