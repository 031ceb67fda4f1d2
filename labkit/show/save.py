"""A tree as a file, for a handout."""

from __future__ import annotations

from pathlib import Path
from warnings import catch_warnings, filterwarnings

from labkit.errors import LabError
from labkit.messages import _
from labkit.show.text import clean
from labkit.show.trees import Tree

DOTS = 192  # in an inch of a PNG: two a px, so that it is sharp on paper


def save(tree: Tree, path: Path) -> None:
    """Write a tree's picture as SVG, PNG or PDF: the end of the file's name decides.

    What a PDF says can be searched and copied. A file that is there already is replaced. Raises
    :class:`LabError` for another ending, and for a place where nothing can be written.
    """
    ending = path.suffix.lower()
    name = clean(str(path))
    if ending not in (".svg", ".png", ".pdf"):
        message = _(
            "{name:.200} ends in none of .svg, .png, .pdf: choose one of them, such as forest.pdf.",
            name=name,
        )
        raise LabError(message)
    try:
        if ending == ".svg":
            path.write_text(tree.svg(), encoding="utf-8")
        else:
            _paint(tree, path, ending)
    except OSError as error:
        message = _(
            "{name:.200} cannot be written: {reason}. Name a file in a folder of your own.",
            name=name,
            reason=error.strerror,
        )
        raise LabError(message) from None


def _paint(tree: Tree, path: Path, ending: str) -> None:
    import matplotlib  # late: it takes half a second

    from labkit.show.plot import plot

    undated = {"CreationDate": None} if ending == ".pdf" else None
    with matplotlib.rc_context({"pdf.fonttype": 42}), catch_warnings():  # TrueType: text stays text
        filterwarnings("ignore", "Glyph .* missing")  # drawn as a box, and searched all the same
        plot(tree.scene).savefig(path, format=ending[1:], dpi=DOTS, metadata=undated)
