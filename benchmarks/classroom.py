"""What a class feels: `%docker ps`, `import labkit`, and a lesson's replay under nbval.

    python benchmarks/classroom.py [--runs 21]

The two of each pair run in turn, and a ratio is the median of the pairs' ratios. The first needs a
Docker engine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import nbformat

ROOT = Path(__file__).resolve().parent.parent
LESSON = ROOT / "notebooks/en/12-docker-images-and-layers.ipynb"


def seconds(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def paired(
    ours: Callable[[], object], theirs: Callable[[], object], runs: int
) -> tuple[float, float, float]:
    """Median seconds of each, and the median of the ratios, after one pair to warm up."""
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(runs + 1)][1:]
    return (*(median(side) for side in zip(*pairs, strict=True)), median(a / b for a, b in pairs))


def docker_ps(runs: int) -> tuple[float, float, float]:
    """A cell with `%docker ps` in a running shell, against the bare command, its output read."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    os.environ["LABKIT_PROGRESS"] = "off"
    shell = InteractiveShell.instance()
    os.chdir(LESSON.parent)
    with capture_output():
        shell.run_cell("%load_ext labkit\n%lesson 00 live")

    def magic() -> None:
        with capture_output() as said:
            shell.run_cell("%docker ps")
        shown = said.outputs[0].data["text/plain"]
        assert shown.startswith("live") and "CONTAINER ID" in shown, (
            f"this would measure nothing: {shown}"
        )

    return paired(
        magic, lambda: subprocess.run(["docker", "ps"], capture_output=True, check=True), runs
    )


def nbval(notebook: Path) -> None:
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--nbval",
            "--nbval-current-env",
            str(notebook),
        ],
        check=True,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "LABKIT_MODE": "replay", "LABKIT_PROGRESS": "off"},
    )


def lesson(runs: int) -> tuple[float, float, float]:
    """nbval over the lesson in replay, against nbval over a notebook that only imports the same."""
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder, "empty.ipynb")
        imports = "import labkit.magics, labkit.docker.panels, labkit.docker.archives"
        cell = nbformat.v4.new_code_cell(imports, execution_count=1)
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), empty)
        return paired(lambda: nbval(LESSON), lambda: nbval(empty), runs)


def importing(module: str) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, "-c", f"import {module}"], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--runs", type=int, default=21, help="pairs of the quick measurements; the lesson takes 5"
    )
    runs = parser.parse_args().runs
    print("| what | ours | against | ratio | limit |\n|---|---|---|---|---|")
    ours, bare, ratio = docker_ps(runs)
    print(
        f"| `%docker ps` against `docker ps` | {ours * 1e3:.1f} ms | {bare * 1e3:.1f} ms "
        f"| {ratio:.2f} | 1.15 |"
    )
    ours, bare, _ = paired(importing("labkit"), importing("sys"), runs)
    took = (ours - bare) * 1e3
    print(f"| `import labkit`, Python's start taken off | {took:.1f} ms | | | 100 ms |")
    ours, bare, ratio = lesson(5)
    print(
        f"| nbval, lesson 12 in replay against an empty notebook | {ours:.2f} s | {bare:.2f} s "
        f"| {ratio:.2f} | 1.5 |"
    )


if __name__ == "__main__":
    main()
