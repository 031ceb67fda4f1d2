"""``%forest`` ``%layers`` ``%explore``: what is in images, and what they share."""

from __future__ import annotations

from IPython.core.magic import line_magic, magics_class

from labkit.docker import reads
from labkit.magics import LessonMagics, put, shown
from labkit.show import output as show
from labkit.words import split


@magics_class
class MAGICS(LessonMagics):
    """Docker's magics, beside ``%docker`` itself."""

    @line_magic
    @shown()
    def forest(self, line: str) -> None:
        """``%forest [NAME …]``: draw the local images by ChainID.

        Or those called NAME, ``x*`` for many.
        """
        lesson = self.now()
        names = tuple(split(line))
        drawn_before = ("forest", names)
        seen: set[str] = lesson.memory.setdefault("forest", set())  # what any picture has shown
        forest = reads.forest(lesson, names)
        tree = forest.tree(lesson.memory.get(drawn_before), seen)
        lesson.memory[drawn_before] = forest
        seen.update(row.node.key for row in tree.layout.rows)
        show.put(show.figure(lesson.badge, tree))

    @line_magic
    @shown()
    def layers(self, line: str) -> None:
        """``%layers IMAGE``: what each layer adds, changes and removes."""
        lesson = self.now()
        image = reads.layers(lesson, self.one(line, "%layers IMAGE"))
        show.put(show.output(lesson.badge, str(image)))

    @line_magic
    @shown()
    def explore(self, line: str) -> None:
        """``%explore IMAGE [IMAGE]``: the layer explorer, two images side by side."""
        from labkit.docker.panels import Explorer

        put(Explorer(self.now(), split(line)))
