"""What Docker prints: what helps, how far it is, and what a terminal leaves of a pull."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples.pages import Page

from labkit.docker.output import bars, because, settle
from labkit.show.progress import progress

# -- advice -------------------------------------------------------------------------------------

SOCKET = "/var/run/docker.sock"
HELP = {
    "sudo usermod -aG docker $USER": [
        f"permission denied while trying to connect to the Docker daemon socket at unix://{SOCKET}",
        f'Get "http://x/_ping": dial unix {SOCKET}: connect: permission denied',
    ],
    "The Docker engine does not answer": [
        f"Cannot connect to the Docker daemon at unix://{SOCKET}. Is the docker daemon running?",
        "error during connect: this error may indicate that the docker daemon is not running",
        "dial tcp 127.0.0.1:2375: connect: connection refused",
        "error reading from server: EOF",
        'Post "http://%2Fvar%2Frun%2Fdocker.sock/v1.41/containers/create": EOF\n',
        'level=error msg="error waiting for container: unexpected EOF"',
        "read unix @->/var/run/docker.sock: read: connection reset by peer",
    ],
    "The engine's disk is full": [
        "write /var/lib/docker/tmp/GetImageBlob1: no space left on device",
        "dd: error writing '/big.bin': No space left on device",
    ],
    "The hub limits pulls": [
        "toomanyrequests: You have reached your pull rate limit.",
        "You have reached your unauthenticated pull rate limit",
    ],
    "another number before the colon of -p": [
        "Bind for 127.0.0.1:8080 failed: port is already allocated",
        "listen tcp4 0.0.0.0:80: bind: address already in use",
    ],
    "`labkit prefetch`": [
        "dial tcp: lookup registry-1.docker.io on 127.0.0.53:53: no such host",
        "lookup registry-1.docker.io: server misbehaving",
        "dial tcp 44.205.64.79:443: i/o timeout",
        "dial tcp 44.205.64.79:443: connect: network is unreachable",
        'Get "https://registry-1.docker.io/v2/": proxyconnect tcp: Forbidden',
        'Get "https://registry-1.docker.io/v2/": context deadline exceeded',
        "net/http: TLS handshake timeout",
    ],
    "check the spelling; `docker images`": [
        "Error response from daemon: No such image: nosuch:latest",
        "manifest for busybox:nosuch not found: manifest unknown: manifest unknown",
        "pull access denied for nosuch, repository does not exist or may require 'docker login'",
        "docker.io/library/nosuch:latest: not found: does not exist",
    ],
    "`docker ps -a` lists all": ["Error response from daemon: No such container: nosuch"],
}


@pytest.mark.parametrize("words,told", [(words, told) for told in HELP for words in HELP[told]])
def test_each_failure_is_told_what_helps(words: str, told: str) -> None:
    assert told in because(words) and "\n" not in because(words)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "EOF is the end of a file",
        "ls: /nosuch: No such file or directory",
        "ls: can't open '/root': Permission denied",
        "unknown flag: --frobnicate",
    ],
)
def test_words_that_are_enough_are_left_alone(words: str) -> None:
    assert because(words) == ""


# -- how far it is ------------------------------------------------------------------------------

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


# -- pulls --------------------------------------------------------------------------------------

# As Docker 20.10 and 28 print them where there is no terminal.
HTTPD = {
    line.partition(": ")[0]: line.partition(": ")[2].split(", ")
    for line in """\
5b5fe70539cd: Already exists
b0cbc0a42c53: Pulling fs layer, Verifying Checksum, Download complete, Pull complete
4f4fb700ef54: Pulling fs layer, Download complete, Pull complete
f21dd8e6e5a2: Waiting, Retrying in 5 seconds, Downloading, Download complete, Pull complete
0a5e2d5c0d1c: Pulling fs layer, Waiting, Download complete, Extracting, Pull complete
""".splitlines()
}
TAIL = [
    "Digest: sha256:4d546b722361bfbc7a92513eeaa7ec4dff70113ad1087c92f92b804293d8aa93",
    "Status: Downloaded newer image for httpd:latest",
    "docker.io/library/httpd:latest",
]


def transcript(order: list[int]) -> str:
    """A pull of HTTPD: the first words of each layer in order, then the rest as ``order`` tells."""
    lines = [
        "latest: Pulling from library/httpd",
        *(f"{layer}: {words[0]}" for layer, words in HTTPD.items()),
    ]
    left = {layer: words[1:] for layer, words in HTTPD.items() if words[1:]}
    for number in [*order, *range(40)]:
        if left:
            layer = list(left)[number % len(left)]
            lines.append(f"{layer}: {left[layer][0]}")
            left[layer] = left[layer][1:]
            left = {layer: words for layer, words in left.items() if words}
    return "\n".join([*lines, *TAIL]) + "\n"


@given(st.lists(st.integers(0, 99), max_size=30))
def test_a_pull_settles_the_same_however_it_went(order: list[int]) -> None:
    assert settle(transcript(order)).splitlines() == [
        "latest: Pulling from library/httpd",
        "5b5fe70539cd: Already exists",
        "b0cbc0a42c53: Pull complete",
        "4f4fb700ef54: Pull complete",
        "f21dd8e6e5a2: Pull complete",
        "0a5e2d5c0d1c: Pull complete",
        *TAIL,
    ]


@given(st.text("ab0:\n P", max_size=40))
def test_text_that_is_no_pull_is_left_alone(text: str) -> None:
    assert settle(text) == text


@given(st.lists(st.integers(0, 99), max_size=30))
def test_settling_twice_changes_nothing(order: list[int]) -> None:
    once = settle(transcript(order))
    assert settle(once) == once


def test_a_container_that_speaks_after_its_pull_is_left_alone() -> None:
    said = "\nHello from Docker!\n 1. The client\n\n\n"
    assert settle(transcript([]) + said).endswith(TAIL[2] + "\n" + said)


@pytest.mark.parametrize(
    "line",
    ["5b5fe70539cd: Cannot open /x", "5b5fe7: Pull complete", "x5b5fe70539cd: Pull complete"],
)
def test_lines_that_only_resemble_a_layer_are_left_alone(line: str) -> None:
    assert settle(f"{line}\n{line}\n") == f"{line}\n{line}\n"
