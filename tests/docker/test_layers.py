"""Layers against a plain model of a file system, and against numbers known by construction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial

import pytest
from hypothesis import given, settings
from samples.images import model, some_image
from samples.reading import tree

from labkit.docker.history import BuildStep, ImageConfig, chain_ids
from labkit.docker.layers import MAX_LAYERS, Image
from labkit.docker.listing import LayerEntry
from labkit.errors import LabError

thorough = settings(max_examples=400)


def built(*layers: Sequence[LayerEntry], history: list[BuildStep] | None = None) -> Image:
    diff_ids = [f"sha256:{n:064x}" for n in range(len(layers))]
    steps = history or [BuildStep(f"STEP {n}", empty=False) for n in range(len(layers))]
    sources = [partial(iter, layer) for layer in layers]
    return Image("demo", "sha256:0", ImageConfig(diff_ids, steps), sources)


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
    again = Image.from_listings(image.name, image.id, *stored)
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
    assert third.chain_id == chain_ids([first.diff_id or "", third.diff_id or ""])[1]


def test_json_has_exactly_its_keys() -> None:
    plain = built(APP, [f("app/.wh.a")]).to_json()
    assert list(plain) == ["image", "layers", "size", "wasted", "efficiency"]
    words = "diff_id chain_id created_by empty size added changed removed"
    assert list(plain["layers"][1]) == words.split()


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
    assert repr(image) == str(image)


def test_too_many_layers() -> None:
    with pytest.raises(LabError, match="1025 layers"):
        built(*[[]] * (MAX_LAYERS + 1))


def test_names_beyond_measure() -> None:
    path = "/".join("a" * 2000)  # each makes 1999 folders with paths up to 4 kB long
    with pytest.raises(LabError, match="more names than"):
        built([f(f"{n}/{path}") for n in range(1000)])
