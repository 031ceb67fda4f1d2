"""HTML and SVG: figures, and the templates, which stand beside the module that fills them."""

from __future__ import annotations

from functools import lru_cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from jinja2 import Environment


def _escaped(value: object) -> object:
    """Text by html.escape: stored outputs hold ``&quot;`` where jinja2 writes ``&#34;``."""
    return value if isinstance(value, (Markup, int, float)) else Markup(escape(str(value)))


@lru_cache
def _environment() -> Environment:
    # Late, for it takes 5 MB of memory, and plain text (`labkit layers`) does without it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).resolve().parent.parent),
        autoescape=True,
        finalize=_escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["px"] = "{:g}".format  # a length as short as SVG takes it: 28, 4.5
    return environment


def render(template: str, **values: object) -> Markup:
    """Fill a template, such as ``show/output.html``; text is escaped, :class:`Markup` is not."""
    return Markup(_environment().get_template(template).render(values))


def macro(template: str, name: str, *args: object) -> Markup:
    """Call one macro of a template file."""
    return Markup(getattr(_environment().get_template(template).module, name)(*args))


class Figure:
    """What shows itself: as text by ``str``, and as HTML of the same content."""

    def html(self) -> Markup:
        """For a notebook."""
        raise NotImplementedError

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": str(self.html())}
