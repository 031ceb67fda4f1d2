"""Templates escape by themselves, exactly as the standard library does."""

from __future__ import annotations

from html import escape

from hypothesis import example, given
from hypothesis import strategies as st
from markupsafe import Markup

from labkit.show.markup import macro


@given(st.text(alphabet="<>&\"'#;34a ") | st.text())
@example("&#34; and &quot;")
def test_text_is_escaped_as_the_standard_library_escapes(text: str) -> None:
    assert f">{escape(text)}</pre>" in macro("show/output.html", "pre", text, "", False)


def test_markup_and_numbers_are_left_alone() -> None:
    row = macro("show/output.html", "row", [Markup("<b>'x'</b>"), 5, 1.5], "td")
    assert "<b>'x'</b>" in row and ">5<" in row and ">1.5<" in row
