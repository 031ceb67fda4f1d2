"""The types of the code beside lessons, checked as strictly as labkit's: run this file.

A folder called 03 is no package to mypy, so a copy of it called lesson03 is checked.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Check all lessons at once. Returns mypy's exit code."""
    with TemporaryDirectory() as folder:
        for source in (ROOT / "notebooks" / "lessons").glob("*/*.py"):
            package = Path(folder) / f"lesson{source.parent.name}"
            package.mkdir(exist_ok=True)
            shutil.copy(source, package)
        mypy = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml"]
        for package in sorted(Path(folder).iterdir()):
            mypy += ["-p", package.name]
        where = {"MYPYPATH": f"{folder}{os.pathsep}{ROOT}"}
        return subprocess.run(mypy, cwd=ROOT, env=os.environ | where).returncode


if __name__ == "__main__":
    sys.exit(main())
