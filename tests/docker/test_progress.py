"""How far a pull or a build is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples.pages import Page

from labkit.docker.progress import bars
from labkit.show.progress import progress

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


HOSTILE = "<script>alert(1)</script>"


def test_a_pull() -> None:
    assert bars(PULL) == [
        ("5b5fe70539cd", 100, "Already exists"),
        ("b0cbc0a42c53", 100, "Pull complete"),
        ("4f4fb700ef54", 65, "Download complete"),
        ("f21dd8e6e5a2", 5, "Retrying in 5 seconds"),
    ]


def test_a_bar_never_goes_back_while_a_layer_arrives() -> None:
    words = [
        "Pulling fs layer",
        "Waiting",
        "Downloading",
        "Verifying Checksum",
        "Download complete",
        "Extracting",
        "Pull complete",
    ]
    percents = [bars(f"b0cbc0a42c53: {word}\n")[0].percent for word in words]
    assert percents == sorted(percents) and percents[-1] == 100


def test_builds() -> None:
    assert bars(CLASSIC) == [("step 2/4", 25, "RUN echo <b>")]
    assert bars(BUILDKIT) == [("step 2/3", 33, "RUN make")]
    assert bars("plain words\n") == []


def shown(text: str) -> list[str]:
    """The tags of what is shown, none of which does any harm."""
    page = Page(progress(text, bars))
    assert set(page.tags) <= {"div", "pre", "code", "progress"}
    return page.tags


@pytest.mark.parametrize(
    "text",
    [
        "Step 1/0 : x",
        "#1 [1/0] x",
        f"Step {'9' * 5000}/2 : x",
        f"#1 [1/{'9' * 5000}] x",
        "Step 9/2 : x",
        "Step -1/2 : x",
        HOSTILE,
    ],
)
def test_a_program_that_prints_steps_of_its_own_does_no_harm(text: str) -> None:
    shown(text + "\n")


def test_each_layer_has_a_bar() -> None:
    assert shown(PULL).count("progress") == 4


LINES = [*PULL.splitlines(), *CLASSIC.splitlines(), *BUILDKIT.splitlines(), HOSTILE]


@given(st.lists(st.sampled_from(LINES)))
def test_bars_at_any_moment(lines: list[str]) -> None:
    text = "\n".join(lines)
    for bar in bars(text):
        assert bar.name and 0 <= bar.percent <= 100
    shown(text)
