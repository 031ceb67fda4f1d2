"""The notebooks whose lessons need an engine first: ``python tests/lanes.py docker``."""

from __future__ import annotations

import sys
from pathlib import Path

from labkit.lesson import all_lessons
from labkit.material import material

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"

for name, folder in all_lessons(NOTEBOOKS / "lessons").items():
    if next(iter(material(folder).needs), "") == sys.argv[1]:
        print(*sorted(NOTEBOOKS.glob(f"*/{name}-*.ipynb")), sep="\n")
