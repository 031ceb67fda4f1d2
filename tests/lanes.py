"""The notebooks whose lessons need an engine first: ``python tests/lanes.py docker``.

Those that build images come last: what these stand on is pulled, and stays.
"""

from __future__ import annotations

import sys
from pathlib import Path

from labkit.lesson import all_lessons
from labkit.material import material

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"

lessons = all_lessons(NOTEBOOKS / "lessons")
for name, folder in sorted(lessons.items(), key=lambda lesson: (lesson[1] / "images").is_dir()):
    if next(iter(material(folder).needs), "") == sys.argv[1]:
        print(*sorted(NOTEBOOKS.glob(f"*/{name}-*.ipynb")), sep="\n")
