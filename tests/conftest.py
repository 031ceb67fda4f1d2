"""What all tests share: reproducible properties, a home of their own, and engines that are never skipped in silence."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest
from hypothesis import settings

from labkit.commands import LabError

settings.register_profile("course", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("course")


@lru_cache
def missing(marker: str) -> str:
    """What a test with this marker lacks here; "" if nothing."""
    if marker == "docker":
        from labkit.docker import Docker

        try:
            Docker.find()
        except LabError as error:
            return f"{error} Run `python3 tests/engines/engines.py up`."
    if marker == "browser":
        if not importlib.util.find_spec("playwright"):
            return "Playwright is not installed: `pip install -e '.[dev]'`."
        if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))):
            return "Chromium is not installed: `sudo apt install chromium`."
    return ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A laptop without an engine skips its tests and says so; in CI that is a failure."""
    for marker in ("docker", "browser"):
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
