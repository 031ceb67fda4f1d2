"""Histories; layers against a plain model of a file system, and numbers known by construction."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from samples.images import model, some_image
from samples.reading import tree

from labkit.docker.layers import (
    MAX_LAYERS,
    BuildStep,
    Image,
    ImageConfig,
    decimal_size,
    instruction,
)
from labkit.docker.tar import LayerEntry
from labkit.errors import LabError


def test_chain_ids() -> None:
    a, b, c = "sha256:" + "a" * 64, "sha256:" + "b" * 64, "sha256:" + "c" * 64

    def sha(text: str) -> str:
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    assert ImageConfig([], []).chain_ids == []
    assert ImageConfig([a], []).chain_ids == [a]
    chained = ImageConfig([a, b, c], []).chain_ids
    assert chained == [a, sha(f"{a} {b}"), sha(sha(f"{a} {b}") + f" {c}")]
    # From `printf 'sha256:x sha256:y' | sha256sum`:
    assert ImageConfig(["sha256:x", "sha256:y"], []).chain_ids[1] == CHAIN_XY


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


def test_steps_that_a_config_tells() -> None:
    config = ImageConfig.from_json(CONFIG)
    a, b, c = config.history
    assert config.steps == [(a, "x"), (b, None), (c, "y")]
    assert ImageConfig([], [b]).steps == [(b, None)]


@pytest.mark.parametrize("diff_ids", [["x"], ["x", "y", "z"]])
def test_what_does_not_fit_gives_no_layer_the_instruction_of_another(diff_ids: list[str]) -> None:
    config = ImageConfig.from_json({**CONFIG, "diff_ids": diff_ids})
    assert config.steps == [(BuildStep(""), diff_id) for diff_id in diff_ids]


def told(*steps: tuple[str, int]) -> list[dict[str, Any]]:
    """A history as an engine tells it: instructions and sizes."""
    return [{"created_by": created_by, "size": size} for created_by, size in steps]


CLASSIC = told(
    ("/bin/sh -c #(nop) ADD file:1 in /", 9),
    ('/bin/sh -c #(nop)  CMD ["bash"]', 0),
    ("/bin/sh -c #(nop)  ENV A=1", 0),
    ("/bin/sh -c true", 0),
    ("/bin/sh -c #(nop) COPY x in y", 3),
)
BUILDKIT = told(
    ("ADD rootfs.tar / # buildkit", 5),
    ("ENV A=1", 0),
    ("WORKDIR /app", 0),
    ("RUN /bin/sh -c true # buildkit", 0),
    ("EXPOSE map[80/tcp:{}]", 0),
    ('ENTRYPOINT ["x"]', 0),
)


@pytest.mark.parametrize(
    ("history", "makers"),
    [
        (CLASSIC, [0, 3, 4]),
        (CLASSIC, [0, 4]),
        (BUILDKIT, [0, 2, 3]),
        (BUILDKIT, [0, 3]),  # RUN makes a layer sooner than WORKDIR
        (told(("", 4)), [0]),
    ],
)
def test_steps_by_sizes_as_an_engine_tells(
    history: list[dict[str, Any]], makers: list[int]
) -> None:
    diff_ids = [f"sha256:{n}" for n in range(len(makers))]
    steps = ImageConfig.from_json({"diff_ids": diff_ids, "history": history}).steps
    assert [n for n, (_, diff_id) in enumerate(steps) if diff_id] == makers


def test_layers_without_instructions_keep_all_bytes() -> None:
    config = ImageConfig.from_json({"diff_ids": ["a", "b", "c", "d"], "history": BUILDKIT})
    lost = [step for step, _ in config.steps]
    assert lost == [BuildStep("", size=5), BuildStep(""), BuildStep(""), BuildStep("")]


# -- layers as in the model ---------------------------------------------------------------------

thorough = settings(max_examples=400)


def built(*layers: Sequence[LayerEntry], history: list[BuildStep] | None = None) -> Image:
    diff_ids = [f"sha256:{n:064x}" for n in range(len(layers))]
    steps = history or [BuildStep(f"STEP {n}", empty=False) for n in range(len(layers))]
    sources = [partial(iter, layer) for layer in layers]
    return Image("demo", ImageConfig(diff_ids, steps), sources)


@thorough
@given(some_image)
def test_layers_are_as_in_the_model(layers: list[list[LayerEntry]]) -> None:
    image, truth = built(*layers), model(layers)
    for n, (layer, expected) in enumerate(zip(image.layers, truth["layers"], strict=True), 1):
        for key in ("size", "added", "changed", "removed"):
            assert getattr(layer, key) == expected[key]
        assert {path: node[:2] for path, node in tree(image, n).items()} == expected["tree"]
    assert (image.size, image.wasted) == (truth["size"], truth["wasted"])


@thorough
@given(some_image)
def test_whiteouts_work_wherever_they_stand_in_their_layer(layers: list[list[LayerEntry]]) -> None:
    def hides(entry: LayerEntry) -> bool:
        return ".wh." in entry.path

    first, last = [], []
    for layer in layers:
        whiteouts = [entry for entry in layer if hides(entry)]
        folders = [entry for entry in layer if entry.kind == "d" and not hides(entry)]
        # A whiteout also makes its parents: those come first, so that only its place differs.
        parents = [
            d("/".join(entry.path.split("/")[:depth]))
            for entry in whiteouts
            for depth in range(1, entry.path.count("/") + 1)
        ]
        first.append([*parents, *whiteouts, *folders])
        last.append([*parents, *folders, *whiteouts])
    assert built(*first).to_json() == built(*last).to_json()


@thorough
@given(some_image)
def test_a_recording_of_listings_is_the_image(layers: list[list[LayerEntry]]) -> None:
    image = built(*layers)
    stored = json.loads(json.dumps([image.config.to_json(), image.listings()]))
    again = Image.from_listings(image.name, *stored)
    assert again.to_json() == image.to_json()
    assert all(tree(again, n) == tree(image, n) for n in range(len(layers) + 1))
    assert tree(again, 0) == {}


# -- numbers known by construction --------------------------------------------------------------


def d(path: str, owner: str = "755:0:0") -> LayerEntry:
    return LayerEntry("d", path, 0, owner)


def f(path: str, size: int = 0) -> LayerEntry:
    return LayerEntry("f", path, size, "")


def h(path: str, target: str) -> LayerEntry:
    return LayerEntry("h", path, 0, target)


APP = [d("app"), f("app/a", 100), d("app/sub"), f("app/sub/b", 30), f("keep", 7)]


@pytest.mark.parametrize(
    ("layers", "wasted", "last"),
    [
        # one file deleted
        ([APP, [f("app/.wh.a")]], 100, ([], [], ["app/a"])),
        # rm -rf of a folder hides all that was in it
        ([APP, [f(".wh.app")]], 130, ([], [], ["app", "app/a", "app/sub", "app/sub/b"])),
        # an opaque folder hides what lies below it, not what its own layer puts there, wherever the
        # mark stands
        (
            [APP, [d("app"), f("app/new", 5), f("app/.wh..wh..opq"), f("app/a", 2)]],
            130,
            (["app/new"], ["app/a"], ["app/sub", "app/sub/b"]),
        ),
        # the whole root made opaque
        (
            [APP, [f(".wh..wh..opq"), f("keep", 1)]],
            137,
            ([], ["keep"], ["app", "app/a", "app/sub", "app/sub/b"]),
        ),
        # a whiteout never hides its own layer's file
        ([APP, [f("keep", 5), f(".wh.keep")]], 7, ([], ["keep"], [])),
        # removed and made anew in one layer: the folder is another one, without its old files
        (
            [APP, [f(".wh.app"), d("app", "700:0:0"), f("app/c", 1)]],
            130,
            (["app/c"], ["app"], ["app/a", "app/sub", "app/sub/b"]),
        ),
        # a whiteout goes with the folder it stands in
        ([[f("b/b", 5)], [f("b/.wh.b"), f("b"), f("b/a")]], 0, (["b/a"], [], [])),
        # whiteouts of nothing
        ([APP, [f(".wh.none"), f("app/.wh.none"), f(".wh..wh.aufs")]], 0, ([], [], [])),
        # a file written again, with the same bytes
        ([APP, [f("app/a", 100)]], 100, ([], ["app/a"], [])),
        # the same file twice in one layer
        ([APP, [f("x", 40), f("x", 2)]], 40, (["x"], [], [])),
        # deleted, then back in a later layer
        ([APP, [f(".wh.keep")], [f("keep", 7)]], 7, (["keep"], [], [])),
        # a folder replaced by a file, a file by a folder
        ([APP, [f("app", 3)]], 130, ([], ["app"], ["app/a", "app/sub", "app/sub/b"])),
        ([APP, [d("keep"), f("keep/x", 1)]], 7, (["keep/x"], ["keep"], [])),
        ([APP, [f("keep/x", 1)]], 7, (["keep/x"], ["keep"], [])),
        # a symbolic link replaced by a folder: links are not followed
        (
            [[d("usr/lib"), LayerEntry("l", "lib", 0, "usr/lib")], [f("lib/x", 1)]],
            0,
            (["lib/x"], ["lib"], []),
        ),
        # folder over folder
        ([APP, [d("app"), f("app/new", 1)]], 0, (["app/new"], [], [])),
        ([APP, [d("app", "700:0:0")]], 0, ([], ["app"], [])),
        ([APP, [d("app", "755:10:0")]], 0, ([], ["app"], [])),
        ([[f("app/a", 1)], [d("app", "700:0:0")]], 0, ([], [], [])),
        # bytes live as long as one of their names does
        ([[f("a", 50), h("b", "a")], [f(".wh.a")]], 0, ([], [], ["a"])),
        ([[f("a", 50), h("b", "a")], [f(".wh.a"), f(".wh.b")]], 50, ([], [], ["a", "b"])),
        ([[f("a", 50), h("b", "a"), h("c", "b")], [f("a", 1), f("b", 1)]], 0, ([], ["a", "b"], [])),
        ([[f("a", 50), h("b", "a"), f("a", 8)]], 0, (["a", "b"], [], [])),
        ([[f("a", 50), h("a", "a")]], 0, (["a"], [], [])),
        ([[f("x/a", 50)], [h("b", "x/a"), f(".wh.x")]], 0, (["b"], [], ["x", "x/a"])),
        ([[h("b", "nowhere")]], 0, (["b"], [], [])),
        # nothing at all
        ([[]], 0, ([], [], [])),
    ],
)
def test_waste_and_changes(
    layers: list[list[LayerEntry]], wasted: int, last: tuple[list[str], ...]
) -> None:
    image = built(*layers)
    size = sum(entry.size for layer in layers for entry in layer)
    assert (image.size, image.wasted) == (size, wasted)
    assert image.efficiency == ((size - wasted) / size if size else 1.0)
    top = image.layers[-1]
    assert (top.added, top.changed, top.removed) == last
    assert model(layers)["wasted"] == wasted, "the model is right too"


STEPS = [
    BuildStep("ENV A=1", empty=True),
    BuildStep("COPY . .", empty=False),
    BuildStep("CMD x", empty=True),
    BuildStep("RUN y", empty=False),
]


def test_tree_tells_kind_size_and_link() -> None:
    first = [d("a"), f("a/x", 3), LayerEntry("l", "l", 0, "a/x"), LayerEntry("c", "null", 0, "")]
    image = built(first, [f("a/x", 4)], history=STEPS)
    laid = {"a": ("d", 0, ""), "a/x": ("f", 3, ""), "l": ("l", 0, "a/x"), "null": ("c", 0, "")}
    assert tree(image, 0) == {}
    assert tree(image, 1) == laid
    assert tree(image) == tree(image, 2) == {**laid, "a/x": ("f", 4, "")}


def test_empty_is_what_history_says_not_what_has_no_bytes() -> None:
    image = built([], [f("x", 1)], history=STEPS)
    _, first, second, third = image.layers
    assert [layer.empty for layer in image.layers] == [True, False, True, False]
    assert image.filled == [first, third]
    assert (first.size, second.diff_id, second.chain_id) == (0, None, first.chain_id)
    assert third.chain_id == image.config.chain_ids[1]


def test_text_is_a_small_table() -> None:
    image = built(
        APP,
        [f("app/.wh.a")],
        history=[
            BuildStep("/bin/sh -c #(nop) ADD file:1 in / ", empty=False),
            BuildStep('CMD ["sh"]', empty=True),
            BuildStep("RUN /bin/sh -c rm\n\x1b[31m app/a # buildkit", empty=False),
        ],
    )
    assert str(image) == (
        "demo\n"
        "   size  +  ~  −  instruction\n"
        "1  137B  5  0  0  ADD file:1 in /\n"
        '2                 CMD ["sh"]\n'
        "3    0B  0  0  1  RUN rm �[31m app/a\n"
        "size 137B, wasted 100B, efficiency 0.27"
    )


def test_too_many_layers() -> None:
    with pytest.raises(LabError, match="1025 layers"):
        built(*[[]] * (MAX_LAYERS + 1))


def test_names_beyond_measure() -> None:
    path = "/".join("a" * 2000)  # each makes 1999 folders with paths up to 4 kB long
    with pytest.raises(LabError, match="more names than"):
        built([f(f"{n}/{path}") for n in range(1000)])
