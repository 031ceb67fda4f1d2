"""What is read and what is seen are the same, and nothing an engine prints can act as a page."""

from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples.pages import Page

from labkit.docker.progress import bars
from labkit.show import output as show
from labkit.show.look import SIGNS
from labkit.show.progress import progress

HOSTILE = '<script>alert(1)</script><img src=x onerror="x">&amp;<a href=javascript:x>'
ALLOWED = {"div", "span", "pre", "code", "strong", "br", "progress"}


def harmless(html: str) -> Page:
    page = Page(html)
    assert set(page.tags) <= ALLOWED
    assert {name for name, _ in page.attributes} <= {
        "style",
        "aria-hidden",
        "aria-label",
        "max",
        "value",
    }
    assert not any("url(" in (value or "") for _, value in page.attributes)
    return page


BADGES = ["live · Docker 28.2.2", "replay · recorded 2026-11-23 on Docker 20.10.24"]


def test_what_folds_folds_between_words() -> None:
    """JupyterLab's own rule for <pre> breaks anywhere."""
    assert "white-space:pre-wrap;word-break:normal" in show.pre("long lines", fold=True)


@pytest.mark.parametrize("badge", BADGES)
@pytest.mark.parametrize("text", ["", "one\ntwo\n", HOSTILE, "  indented\n\n  twice", "ñ 層 \\xff"])
@pytest.mark.parametrize("note", ["", "exit code 1. Run `docker ps` <b>"])
def test_an_output_reads_and_looks_the_same(badge: str, text: str, note: str) -> None:
    bundle = show.output(badge, text, note)
    assert bundle["text/plain"] == "\n".join(
        part for part in (badge, text.rstrip("\n"), note) if part
    )
    page = harmless(bundle["text/html"])
    for part in (badge, text.rstrip("\n"), note.replace("`", "")):
        assert part in page.text
    assert ("pre" in page.tags) == bool(text)


def test_the_badge_has_a_sign_that_a_screen_reader_skips_and_a_word_that_it_reads() -> None:
    signs = {kind: SIGNS[kind].sign for kind in ("live", "replay")}
    assert signs == {"live": "●", "replay": "↻"}
    for badge in BADGES:
        kind = badge.split()[0]
        span = f'<span aria-hidden="true" style="color:{SIGNS[kind].colour}">{signs[kind]}'
        assert span in show.badge_html(badge)


def test_kinds_differ_by_sign_not_only_by_colour() -> None:
    verdicts = ["pass", "fail", "unknown", "note"]
    assert len({SIGNS[kind].sign for kind in verdicts}) == 4
    assert {kind: SIGNS[kind].colour for kind in ("pass", "fail", "unknown")} == {
        "pass": "#009E73",
        "fail": "#D55E00",
        "unknown": "#CC79A7",
    }


@given(st.text())
def test_a_message_reads_and_looks_the_same(text: str) -> None:
    for kind in SIGNS:
        bundle = show.message(kind, text, "live · x")
        assert bundle["text/plain"] == f"live · x\n{SIGNS[kind].sign} {text}"
        page = harmless(bundle["text/html"])
        looks = unescape(re.sub("<[^>]*>", "", bundle["text/html"].replace("<br>", "\n")))
        assert looks.replace("`", "").endswith(" " + text.replace("`", "")) or re.search(
            r"[\r\0]|&#?\w", text
        )
        assert page.tags.count("br") == text.count("\n")


def test_backquotes_mark_commands() -> None:
    html = show.message("note", "`docker ps` and `<x>`")["text/html"]
    assert "<code>docker ps</code> and <code>&lt;x&gt;</code>" in html


ANSI = {
    "\x1b[1;31mred\x1b[0m": "red",
    "\x1b[2K\x1b[1Gline": "line",
    "\x1b[?25lhid\x1b[?25hden": "hidden",
    "\x1b]0;a title\x07text": "text",
    "\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\": "link",
    "\x1b(Btext\x1b)0": "text",
    "\x1b7save\x1b8": "save",
    "\x1b[38;2;1;2;3mrgb\x1b[m": "rgb",
    "\x1b[4:3mcurly": "curly",
    "\x1bcreset": "reset",
    "no [31m escape": "no [31m escape",
}


@pytest.mark.parametrize("text,plain", ANSI.items())
def test_terminal_codes_are_left_out(text: str, plain: str) -> None:
    bundle = show.output(BADGES[0], text)
    assert bundle["text/plain"].split("\n")[1] == plain
    assert plain in Page(bundle["text/html"]).text and "\x1b" not in bundle["text/html"]
    assert plain in Page(progress(text, bars)).text and "\x1b" not in progress(text, bars)


# -- progress -----------------------------------------------------------------------------------

PULL = """latest: Pulling from library/httpd
5b5fe70539cd: Already exists
b0cbc0a42c53: Pulling fs layer
4f4fb700ef54: Pulling fs layer
f21dd8e6e5a2: Pulling fs layer
f21dd8e6e5a2: Waiting
4f4fb700ef54: Verifying Checksum
4f4fb700ef54: Download complete
b0cbc0a42c53: Download complete
b0cbc0a42c53: Pull complete
f21dd8e6e5a2: Retrying in 5 seconds
"""
CLASSIC = """Sending build context to Docker daemon  2.048kB
Step 1/4 : FROM busybox
 ---> 0598cc46c12a
Step 2/4 : RUN echo <b>
"""
BUILDKIT = """#1 [internal] load build definition from Dockerfile
#4 [1/3] FROM docker.io/library/busybox
#5 [stage-1 2/3] RUN make
#5 0.181 Step out of line
"""


def test_bars_of_a_pull() -> None:
    assert bars(PULL) == [
        ("5b5fe70539cd", 100, "Already exists"),
        ("b0cbc0a42c53", 100, "Pull complete"),
        ("4f4fb700ef54", 65, "Download complete"),
        ("f21dd8e6e5a2", 5, "Retrying in 5 seconds"),
    ]


def test_bars_never_go_back_while_a_layer_arrives() -> None:
    words = [
        "Pulling fs layer",
        "Waiting",
        "Downloading",
        "Verifying Checksum",
        "Download complete",
        "Extracting",
        "Pull complete",
    ]
    percents = [bars(f"b0cbc0a42c53: {word}\n")[0][1] for word in words]
    assert percents == sorted(percents) and percents[-1] == 100


def test_bars_of_builds() -> None:
    assert bars(CLASSIC) == [("step 2/4", 25, "RUN echo <b>")]
    assert bars(BUILDKIT) == [("step 2/3", 33, "RUN make")]
    assert bars("plain words\n") == []


@pytest.mark.parametrize(
    "text",
    [
        "Step 1/0 : x",
        "#1 [1/0] x",
        f"Step {'9' * 5000}/2 : x",
        f"#1 [1/{'9' * 5000}] x",
        "Step 9/2 : x",
        "Step -1/2 : x",
    ],
)
def test_a_program_that_prints_steps_of_its_own_does_no_harm(text: str) -> None:
    harmless(progress(text + "\n", bars))


def test_progress_has_one_bar_a_layer_with_a_name_for_screen_readers() -> None:
    page = harmless(progress(PULL, bars))
    assert page.tags.count("progress") == 4
    assert ("aria-label", "b0cbc0a42c53") in page.attributes and ("value", "65") in page.attributes
    assert "&lt;b&gt;" in progress(CLASSIC, bars)
    assert "<pre" in progress(HOSTILE, bars) and "&lt;script&gt;" in progress(HOSTILE, bars)


@given(
    st.lists(
        st.sampled_from(
            [*PULL.splitlines(), *CLASSIC.splitlines(), *BUILDKIT.splitlines(), HOSTILE]
        )
    )
)
def test_progress_is_harmless_at_any_moment(lines: list[str]) -> None:
    text = "\n".join(lines)
    for name, percent, _doing in bars(text):
        assert name and 0 <= percent <= 100
    harmless(progress(text, bars))
