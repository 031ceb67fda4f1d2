"""What all tests share: repeatable properties, a home of their own, no engine silently left out."""

from __future__ import annotations

import atexit
import importlib
import importlib.util
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from live import engine, lab, on_engine, student  # noqa: F401  fixtures of the live tests
from samples.shelf.engine import Shelf
from samples.shelf_lesson import live, replayed, toy, toy_folder  # noqa: F401  fixtures
from traitlets.config import Config

from labkit import cli
from labkit.engine import SUBJECTS, engines
from labkit.lesson import Lesson

# A shell leaves this out for what it runs with &.
signal.signal(signal.SIGINT, signal.default_int_handler)
NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"

settings.register_profile("course", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("course")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--lane", help="only live tests that need this first; or `other`: no engine")


@lru_cache
def missing(need: str) -> str:
    """What an engine, a module or a program lacks here; "" if nothing."""
    if need in engines():
        return next((text for fine, text in engines()[need].examine() if not fine), "")
    if shutil.which(need) or importlib.util.find_spec(need):
        return ""
    return f"{need} is not installed: `pip install -e '.[dev]'`, or your system's package of it."


def needs(item: pytest.Item) -> tuple[str, ...]:
    """What a live test needs: engines by their names in the registry, programs, modules."""
    marker = item.get_closest_marker("live")
    return marker.args if marker else ()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """``--lane docker`` keeps the live tests that need Docker first, so that lanes run apart."""
    if lane := config.getoption("--lane"):
        firsts = {item: next(iter(needs(item)), "") for item in items}
        lanes = {item: first if first in engines() else "other" for item, first in firsts.items()}
        config.hook.pytest_deselected(items=[item for item in items if lanes[item] != lane])
        items[:] = [item for item in items if lanes[item] == lane]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A laptop without an engine skips its tests and says so; in CI that is a failure."""
    if lack := next(filter(None, map(missing, needs(item))), ""):
        if os.environ.get("CI", "").lower() in ("true", "1"):
            pytest.fail(lack, pytrace=False)
        pytest.skip(lack)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Nothing a test does reaches the user's ledger, and no setting of theirs reaches a test."""
    home = tmp_path / "labkit-home"
    monkeypatch.setenv("LABKIT_HOME", str(home))
    for name in ("LABKIT_MODE", "LABKIT_PROGRESS"):
        monkeypatch.delenv(name, raising=False)
    yield home


@pytest.fixture
def no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker is installed, and no engine answers."""
    docker = tmp_path / "programs" / ("docker.cmd" if sys.platform == "win32" else "docker")
    docker.parent.mkdir()
    docker.write_text("#!/bin/sh\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{docker.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")


Told = Callable[..., str]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """Runs a subcommand of labkit: what it prints; with ``code=1`` the one line why it cannot."""

    def run(*argv: str, code: int = 0) -> str:
        assert cli.main(argv) == code
        said = capsys.readouterr()
        text, other = (said.err, said.out) if code else (said.out, said.err)
        assert other == ""
        if code:
            assert text.startswith("labkit: ") and text.count("\n") == 1 and len(text) < 500
        return text

    return run


class Notebook:
    """The Python of a notebook without its browser: run cells, read what they show."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.outputs: list[Mapping[str, Any]] = []  # of the last cell, by type

    def run(self, source: str) -> str:
        """Run a cell; the text of its outputs. It never fails and never shows a traceback."""
        with capture_output() as said:
            done = self.shell.run_cell(source)
        failed = done.error_before_exec, done.error_in_exec, said.stderr
        assert done.success and not said.stderr, (source, *failed)
        self.outputs = [shown.data for shown in said.outputs]
        shown = [data["text/plain"] for data in self.outputs]
        text = "\n".join([*shown, *filter(None, [said.stdout])])
        assert "Traceback" not in text, text
        return text

    def shows_no_traceback(self, magic: str, line: str, body: str | None = None) -> None:
        """Run a magic of any words and any body."""
        with capture_output() as said:
            if body is None:
                self.shell.run_line_magic(magic, line)
            else:
                self.shell.run_cell_magic(magic, line, body)
        assert said.stdout == "" and said.stderr == "" and said.outputs
        for output in said.outputs:
            assert "Traceback" not in output.data["text/plain"]
            output.data["text/plain"].encode()  # or the browser gets nothing

    def until(self, lesson: str, start: str) -> str:
        """Run a lesson's cells up to the first that starts so; that one, which is not run."""
        path = next(Path().glob(f"{lesson}-*.ipynb"))
        cells = json.loads(path.read_text("utf-8"))["cells"]
        for source in ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"):
            if source.startswith(start):
                return source
            self.run(source)
        raise AssertionError(f"{path.name} has no cell that starts with {start}")

    def words(self, source: str) -> list[str]:
        """Run a cell and return the lines of its output, without the badge."""
        return self.run(source).splitlines()[1:]

    @property
    def html(self) -> str:
        """What is read in the HTML of the last cell's outputs."""
        html = "".join(data.get("text/html", "") for data in self.outputs)
        return unescape(re.sub("<[^>]*>", "", html))

    @property
    def badge(self) -> str:
        """The lesson's badge, without what replay remarks of the last command."""
        tape = self.lesson.tape
        engines = ", ".join(tape.header.engines.values())
        return f"replay · recorded {tape.header.recorded} on {engines}"

    @property
    def lesson(self) -> Lesson:
        """The lesson in progress."""
        lesson = self.shell.magics_manager.registry["LabMagics"].current
        assert isinstance(lesson, Lesson)
        return lesson


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Shelf]]:
    """The toy subject as a folder somewhere else, plugged in by one line of the registry."""
    plugins = tmp_path / "plugins"
    shutil.copytree(Path(__file__).with_name("samples") / "shelf", plugins / "shelf")
    monkeypatch.syspath_prepend(plugins)
    monkeypatch.setitem(SUBJECTS, "shelf", "shelf")
    yield importlib.import_module("shelf.engine").ENGINE
    for name in [name for name in sys.modules if name.partition(".")[0] == "shelf"]:
        del sys.modules[name]


@contextmanager
def notebook(patch: pytest.MonkeyPatch, mode: str) -> Iterator[Notebook]:
    """A notebook of the course, without its first cell: "live", "replay", or "" to choose."""
    patch.chdir(NOTEBOOKS / "en")
    patch.setenv("LABKIT_MODE", mode)
    patch.setenv("LABKIT_PROGRESS", "off")
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    try:
        yield Notebook(shell)
    finally:
        atexit.unregister(shell.atexit_operations)  # a sixth of a second each
        InteractiveShell.clear_instance()


@pytest.fixture
def replay(monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    """A notebook of the course in replay."""
    with notebook(monkeypatch, "replay") as found:
        yield found
