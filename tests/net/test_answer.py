"""What a command of a network shows."""

from __future__ import annotations

from labkit.net.answer import Answer, Text


def test_an_answer_is_its_figures() -> None:
    answer = Answer(Text("a <b>"), Text(""), Text("c"))
    assert str(answer) == "a <b>\nc" and "a &lt;b&gt;" in answer.html() and answer.ok
