"""What a history says, and which of its steps made layers."""

from __future__ import annotations

import hashlib

import pytest

from labkit.docker.history import (
    BuildStep,
    ImageConfig,
    align_history,
    chain_ids,
    decimal_size,
    instruction,
)


def test_chain_ids() -> None:
    a, b, c = "sha256:" + "a" * 64, "sha256:" + "b" * 64, "sha256:" + "c" * 64

    def sha(text: str) -> str:
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    assert chain_ids([]) == []
    assert chain_ids([a]) == [a]
    assert chain_ids([a, b, c]) == [a, sha(f"{a} {b}"), sha(sha(f"{a} {b}") + f" {c}")]
    # From `printf 'sha256:x sha256:y' | sha256sum`:
    assert chain_ids(["sha256:x", "sha256:y"])[1] == CHAIN_XY


CHAIN_XY = "sha256:0797664c1116efb7a4e9b498d1f60090518ecab71ef4a71221b39f40990ad601"


@pytest.mark.parametrize(
    ("created_by", "said"),
    [
        ("/bin/sh -c #(nop) ADD file:b1 in / ", "ADD file:b1 in /"),
        ('/bin/sh -c #(nop)  CMD ["bash"]', 'CMD ["bash"]'),
        (
            "/bin/sh -c apt-get update &&     apt-get install -y x",
            "RUN apt-get update && apt-get install -y x",
        ),
        ("RUN /bin/sh -c make # buildkit", "RUN make"),
        ("RUN |1 A=b c /bin/sh -c make # buildkit", "RUN make"),
        ("|2 A=b C=d /bin/sh -c make", "RUN make"),
        ("COPY . /app # buildkit", "COPY . /app"),
        ("WORKDIR /app", "WORKDIR /app"),
        ("/bin/bash -c x", "/bin/bash -c x"),
        ("echo /bin/sh -c x", "echo /bin/sh -c x"),
        ("", ""),
    ],
)
def test_instruction(created_by: str, said: str) -> None:
    assert instruction(created_by) == said


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (1, "1B"),
        (999, "999B"),
        (1000, "1kB"),
        (1234, "1.23kB"),
        (4_261_574, "4.26MB"),
        (77_823_376, "77.8MB"),
        (124_800_000, "125MB"),
        (999_999, "1MB"),
        (1_240_000_000, "1.24GB"),
        (5 * 10**12, "5TB"),
        (1 << 62, "4.61EB"),
    ],
)
def test_decimal_size(size: int, text: str) -> None:
    assert decimal_size(size) == text


CONFIG = {
    "diff_ids": ["x", "y"],
    "history": [
        {"created_by": "a", "empty": False},
        {"created_by": "b", "empty": True},
        {"created_by": "c", "empty": False},
    ],
}


def test_a_config_is_stored_as_json() -> None:
    assert ImageConfig.from_json(CONFIG).to_json() == CONFIG


def test_align_what_a_config_says() -> None:
    diff_ids, history = ImageConfig.from_json(CONFIG)
    a, b, c = history
    assert align_history(history, diff_ids) == [(a, "x"), (b, None), (c, "y")]
    assert align_history([b], []) == [(b, None)]


@pytest.mark.parametrize("diff_ids", [["x"], ["x", "y", "z"]])
def test_what_does_not_fit_gives_no_layer_the_instruction_of_another(diff_ids: list[str]) -> None:
    history = ImageConfig.from_json(CONFIG).history
    assert align_history(history, diff_ids) == [(BuildStep(""), diff_id) for diff_id in diff_ids]


CLASSIC = [
    BuildStep("/bin/sh -c #(nop) ADD file:1 in /", size=9),
    BuildStep('/bin/sh -c #(nop)  CMD ["bash"]'),
    BuildStep("/bin/sh -c #(nop)  ENV A=1"),
    BuildStep("/bin/sh -c true"),
    BuildStep("/bin/sh -c #(nop) COPY x in y", size=3),
]
BUILDKIT = [
    BuildStep("ADD rootfs.tar / # buildkit", size=5),
    BuildStep("ENV A=1"),
    BuildStep("WORKDIR /app"),
    BuildStep("RUN /bin/sh -c true # buildkit"),
    BuildStep("EXPOSE map[80/tcp:{}]"),
    BuildStep('ENTRYPOINT ["x"]'),
]


@pytest.mark.parametrize(
    ("history", "makers"),
    [
        (CLASSIC, [0, 3, 4]),
        (CLASSIC, [0, 4]),
        (BUILDKIT, [0, 2, 3]),
        (BUILDKIT, [0, 3]),  # RUN makes a layer sooner than WORKDIR
        ([BuildStep("", size=4)], [0]),
    ],
)
def test_align_by_sizes_as_an_engine_tells(history: list[BuildStep], makers: list[int]) -> None:
    diff_ids = [f"sha256:{n}" for n in range(len(makers))]
    aligned = align_history(history, diff_ids)
    assert [n for n, (_, diff_id) in enumerate(aligned) if diff_id] == makers


def test_layers_without_instructions_keep_all_bytes() -> None:
    lost = align_history(BUILDKIT, ["a", "b", "c", "d"])
    assert [step for step, _ in lost] == [
        BuildStep("", size=5),
        BuildStep(""),
        BuildStep(""),
        BuildStep(""),
    ]
