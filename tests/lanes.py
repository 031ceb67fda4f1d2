"""The notebooks whose lessons need an engine first: ``python tests/lanes.py docker``.

Those that build images come last: what these stand on is pulled, and stays.
"""

from __future__ import annotations

import sys
from pathlib import Path

from labkit.lesson import all_lessons
from labkit.material import material

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"


def lane(engine: str) -> list[Path]:
    """The notebooks whose lessons need an engine first."""
    lessons = sorted(all_lessons().items(), key=lambda lesson: (lesson[1] / "images").is_dir())
    names = [name for name, folder in lessons if next(iter(material(folder).needs), "") == engine]
    return [path for name in names for path in sorted(NOTEBOOKS.glob(f"*/{name}-*.ipynb"))]


if __name__ == "__main__":
    print(*lane(sys.argv[1]), sep="\n")
