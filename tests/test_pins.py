"""One source of pins: pyproject.toml. Its copies, and what is installed, must say the same."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
EXTRAS: dict[str, list[str]] = PYPROJECT["project"]["optional-dependencies"]
DIRECT = sorted(PYPROJECT["project"]["dependencies"] + EXTRAS["test"])
LOCK_LINES = [
    line for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines() if line[:1] != "#"
]
LOCK = [Requirement(line) for line in LOCK_LINES]
HERE = {
    canonicalize_name(pin.name): pin for pin in LOCK if pin.marker is None or pin.marker.evaluate()
}


def version_of(pin: Requirement) -> str:
    """The version of an exact pin; anything looser fails the test."""
    match = re.fullmatch(r"==([\w.!+]+)", str(pin.specifier))
    assert match, f"{pin} is not pinned with =="
    return match[1]


def test_direct_dependencies_are_exact() -> None:
    for text in DIRECT + [text for text in EXTRAS["dev"] if not text.startswith("labkit[")]:
        version_of(Requirement(text))


def test_build_backend_is_the_one_in_the_lock() -> None:
    """course.py builds labkit without a second build environment."""
    for text in PYPROJECT["build-system"]["requires"]:
        assert text in DIRECT


def test_environment_yml_repeats_the_direct_pins() -> None:
    text = (ROOT / "environment.yml").read_text("utf-8")
    conda, pip = text.split("dependencies:\n")[1].split("  - pip:\n")
    assert re.findall(r"^  - (.+)$", conda, re.M) == ["python=3.11", "pip"]
    assert re.findall(r"^      - (.+)$", pip, re.M) == DIRECT
    assert len(pip.splitlines()) == len(DIRECT)


def test_binder_has_the_same_environment() -> None:
    assert (ROOT / "binder/environment.yml").read_bytes() == (ROOT / "environment.yml").read_bytes()


def test_lock_repeats_the_direct_pins() -> None:
    """A pin with a marker would be missing on some machine; transitive ones may have markers."""
    assert set(DIRECT) <= set(LOCK_LINES)


def test_lock_is_exact_and_gives_one_version_here() -> None:
    active = [
        canonicalize_name(pin.name) for pin in LOCK if pin.marker is None or pin.marker.evaluate()
    ]
    assert sorted(active) == sorted(set(active))
    for pin in LOCK:
        assert version_of(pin) and not pin.url and not pin.extras


def test_lock_names_no_host_or_folder() -> None:
    assert not re.search(
        r"://|index-url|find-links|(^|\s)/\w", (ROOT / "requirements.txt").read_text("utf-8")
    )


def test_installed_is_the_lock() -> None:
    wrong = {}
    for name, pin in HERE.items():
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            found = "absent"
        if found != version_of(pin):
            wrong[name] = f"installed {found}, locked {version_of(pin)}"
    assert not wrong, f"pip install --no-deps -r requirements.txt puts this right: {wrong}"


def test_installed_tools_are_the_pinned_ones() -> None:
    """The dev extra need not be there; what is there of it has the pinned version."""
    for pin in map(Requirement, EXTRAS["dev"]):
        if pin.name != "labkit":
            try:
                assert metadata.version(pin.name) == version_of(pin)
            except metadata.PackageNotFoundError:
                continue


@pytest.mark.parametrize("name", sorted(HERE))
def test_lock_is_closed_and_free(name: str) -> None:
    """What a locked package needs is locked too, for pip resolves nothing; none is AGPL."""
    info = metadata.metadata(name)
    for need in map(Requirement, metadata.requires(name) or []):
        if need.marker is None or need.marker.evaluate({"extra": ""}):
            locked = HERE.get(canonicalize_name(need.name))
            assert locked, f"{name} needs {need}: make requirements.txt again"
            assert need.specifier.contains(version_of(locked), prereleases=True), (
                f"{name} needs {need}"
            )
    licences = [str(info.get(field, "")) for field in ("License", "License-Expression")]
    licences += [text for text in info.get_all("Classifier") or [] if text.startswith("License")]
    assert not re.search(r"AGPL|Affero", " ".join(licences), re.IGNORECASE), f"{name}: {licences}"
