"""``%dust``: a magic of the toy's own."""

from __future__ import annotations

from IPython.core.magic import line_magic, magics_class

from labkit.magics import LessonMagics, shown
from labkit.show import output as show


@magics_class
class MAGICS(LessonMagics):
    """The toy's magics, beside ``%shelf`` itself."""

    @line_magic
    @shown()
    def dust(self, line: str) -> None:
        """``%dust``: how many things there are."""
        lesson = self.now()
        show.put(show.output(lesson.badge, f"{len(lesson.world()['things'])} things dusted"))
