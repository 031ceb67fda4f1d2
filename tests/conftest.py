"""What all tests share: reproducible properties, a home of their own, and engines that are never skipped in silence."""

from __future__ import annotations

import atexit
import importlib.util
import json
import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from live import engine, lab, on_engine, student  # noqa: F401  fixtures of the live tests
from traitlets.config import Config

from labkit.errors import LabError
from labkit.lesson import Lesson

signal.signal(
    signal.SIGINT, signal.default_int_handler
)  # which a shell leaves out for what it runs with &

settings.register_profile("course", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("course")


@lru_cache
def missing(marker: str) -> str:
    """What a test with this marker lacks here; "" if nothing."""
    if marker == "docker":
        from labkit.docker.engine import Docker

        try:
            Docker.find()
        except LabError as error:
            return f"{error} Run `python3 tests/engines/engines.py up`."
    if marker == "virtualbox":
        from labkit.virtualbox.program import find_program

        try:
            find_program()
        except LabError as error:
            return f"{error} On Debian or Ubuntu: `python3 tests/engines/engines.py up virtualbox`."
    if marker == "qemu" and not all(map(shutil.which, ("qemu-img", "qemu-io"))):
        return "qemu-img and qemu-io are not installed: `sudo apt install qemu-utils`."
    if marker == "scapy" and not importlib.util.find_spec("scapy"):
        return "scapy is not installed: `pip install -e '.[dev]'`."
    if marker == "browser":
        if not importlib.util.find_spec("playwright"):
            return "Playwright is not installed: `pip install -e '.[dev]'`."
        if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))):
            return "Chromium is not installed: `sudo apt install chromium`."
    return ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A laptop without an engine skips its tests and says so; in CI that is a failure."""
    for marker in ("docker", "browser", "qemu", "virtualbox", "scapy"):
        if item.get_closest_marker(marker) and (lack := missing(marker)):
            if os.environ.get("CI", "").lower() in ("true", "1"):
                pytest.fail(lack, pytrace=False)
            pytest.skip(lack)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Nothing a test does reaches the user's own ledger, and no setting of theirs reaches a test."""
    home = tmp_path / "labkit-home"
    monkeypatch.setenv("LABKIT_HOME", str(home))
    for name in ("LABKIT_MODE", "LABKIT_PROGRESS"):
        monkeypatch.delenv(name, raising=False)
    yield home


class Notebook:
    """The Python of a notebook without its browser: run cells, read what they show."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.outputs: list[Mapping[str, Any]] = []  # of the last cell, by type

    def run(self, source: str) -> str:
        """Run a cell and return the text of its outputs; a cell never fails and never shows a traceback."""
        with capture_output() as said:
            done = self.shell.run_cell(source)
        assert done.success and not said.stderr, (
            source,
            done.error_before_exec,
            done.error_in_exec,
            said.stderr,
        )
        self.outputs = [shown.data for shown in said.outputs]
        text = "\n".join(
            [*(data["text/plain"] for data in self.outputs), *filter(None, [said.stdout])]
        )
        assert "Traceback" not in text, text
        return text

    def until(self, lesson: str, start: str) -> str:
        """Run a lesson's cells up to the first that starts so, and return that one; it is not run."""
        path = next(Path().glob(f"{lesson}-*.ipynb"))
        cells = json.loads(path.read_text("utf-8"))["cells"]
        for source in ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"):
            if source.startswith(start):
                return source
            self.run(source)
        raise AssertionError(f"{path.name} has no cell that starts with {start}")

    @property
    def lesson(self) -> Lesson:
        """The lesson in progress."""
        lesson = self.shell.magics_manager.registry["LabMagics"].current
        assert isinstance(lesson, Lesson)
        return lesson


@pytest.fixture
def replay(monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    """A notebook of the course in replay."""
    monkeypatch.chdir(Path(__file__).resolve().parent.parent / "notebooks" / "en")
    monkeypatch.setenv("LABKIT_MODE", "replay")
    monkeypatch.setenv("LABKIT_PROGRESS", "off")
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    yield Notebook(shell)
    atexit.unregister(shell.atexit_operations)  # a sixth of a second each
    InteractiveShell.clear_instance()
