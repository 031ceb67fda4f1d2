"""Every measurement of the course in one run: `python benchmarks`, best on a quiet machine.

The tables of README.md beside this file are its output.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

for name in ("layers", "trees", "classroom", "machines", "networks"):
    script = Path(__file__).with_name(f"{name}.py")
    title = script.read_text("utf-8").splitlines()[0].strip('"')
    print(f"\n## {title}\n", flush=True)
    subprocess.run(
        [sys.executable, script], check=True
    )  # each alone: the memory of one must not show in another's
