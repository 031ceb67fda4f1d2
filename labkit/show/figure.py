"""A figure: what shows itself, as text and as HTML of the same content."""

from __future__ import annotations

from markupsafe import Markup


class Figure:
    """What shows itself: as text by ``str``, and as HTML."""

    def html(self) -> Markup:
        """For a notebook."""
        raise NotImplementedError

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": str(self.html())}
