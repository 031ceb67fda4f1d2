"""Layers against a plain model of a file system, and by numbers known from how each image was made."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples.images import model, some_image

from labkit.docker.layers import (
    LAYERS,
    Entry,
    Forest,
    Image,
    align_history,
    chain_ids,
    entries,
    humanise,
    instruction,
    listing,
)
from labkit.errors import LabError

steady = settings(
    derandomize=True, deadline=None, max_examples=400, suppress_health_check=list(HealthCheck)
)


def built(*layers: Sequence[Entry], history: list[dict[str, Any]] | None = None) -> Image:
    diff_ids = [f"sha256:{n:064x}" for n in range(len(layers))]
    steps = history or [{"created_by": f"STEP {n}", "empty": False} for n in range(len(layers))]
    return Image(
        "demo",
        "sha256:0",
        {"diff_ids": diff_ids, "history": steps},
        [lambda x=x: x for x in layers],
    )


# -- a model: one dictionary a layer, and looking a path up from the top layer down -------------------------------


@steady
@given(some_image)
def test_layers_are_as_in_the_model(layers: list[list[Entry]]) -> None:
    image, truth = built(*layers), model(layers)
    for layer, expected in zip(image.layers, truth["layers"], strict=True):
        assert (layer.size, layer.added, layer.changed, layer.removed) == (
            expected["size"],
            expected["added"],
            expected["changed"],
            expected["removed"],
        )
    assert (image.size, image.wasted) == (truth["size"], truth["wasted"])
    for n, expected in enumerate(truth["layers"], 1):
        assert {path: node[:2] for path, node in image.tree(n).items()} == expected["tree"]


@steady
@given(some_image)
def test_whiteouts_work_wherever_they_stand_in_their_layer(layers: list[list[Entry]]) -> None:
    def hides(entry: Entry) -> bool:
        return ".wh." in entry[1]

    # A whiteout also makes its parent folders; so that only its place differs, those come first.
    parents = [
        [
            ("d", "/".join(path.split("/")[:depth]), 0, "755:0:0")
            for _, path, _, _ in filter(hides, layer)
            for depth in range(1, path.count("/") + 1)
        ]
        for layer in layers
    ]
    clean = [[entry for entry in layer if hides(entry) or entry[0] == "d"] for layer in layers]
    first = built(
        *(
            [*some, *sorted(layer, key=lambda e: not hides(e))]
            for some, layer in zip(parents, clean, strict=True)
        )
    )
    last = built(
        *([*some, *sorted(layer, key=hides)] for some, layer in zip(parents, clean, strict=True))
    )
    assert first.to_json() == last.to_json()


@steady
@given(some_image)
def test_a_recording_of_listings_is_the_image(layers: list[list[Entry]]) -> None:
    image = built(*layers)
    again = Image.from_listings(image.image, image.id, image.config, image.listings())
    assert again.to_json() == image.to_json()
    assert all(again.tree(n) == image.tree(n) for n in range(len(layers) + 1))
    assert again.tree(0) == {}


anything = st.text(st.characters(exclude_characters="\0"), min_size=1)
odd = st.one_of(
    anything,
    st.binary(min_size=1).map(
        lambda raw: raw.replace(b"\0", b"").decode("utf-8", "surrogateescape")
    ),
)


@steady
@given(
    st.lists(st.tuples(st.sampled_from("fdlhcbp"), odd, st.integers(0, 1 << 62), odd | st.just("")))
)
def test_a_listing_keeps_every_name(found: list[Entry]) -> None:
    lines = list(listing(found))
    assert list(entries(lines)) == found
    assert all(line.isprintable() or "\t" in line for line in lines)
    assert all("\n" not in line and line.encode() for line in lines), "one line of valid UTF-8 each"


@pytest.mark.parametrize("line", ["", "f", "f x y", "f 1", "f 1 \\x", "f 1 ñ\\n"])
def test_a_broken_listing_is_one_line(line: str) -> None:
    with pytest.raises(LabError, match="record the lesson again"):
        list(entries([line]))


# -- numbers known by construction --------------------------------------------------------------------------------


def d(path: str, owner: str = "755:0:0") -> Entry:
    return ("d", path, 0, owner)


def f(path: str, size: int = 0) -> Entry:
    return ("f", path, size, "")


def h(path: str, target: str) -> Entry:
    return ("h", path, 0, target)


APP = [d("app"), f("app/a", 100), d("app/sub"), f("app/sub/b", 30), f("keep", 7)]


@pytest.mark.parametrize(
    ("layers", "wasted", "last"),
    [
        # one file deleted
        ([APP, [f("app/.wh.a")]], 100, ([], [], ["app/a"])),
        # rm -rf of a folder hides all that was in it
        ([APP, [f(".wh.app")]], 130, ([], [], ["app", "app/a", "app/sub", "app/sub/b"])),
        # an opaque folder hides what lies below it, not what its own layer puts there, before or after the mark
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
            [[d("usr/lib"), ("l", "lib", 0, "usr/lib")], [f("lib/x", 1)]],
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
    layers: list[list[Entry]], wasted: int, last: tuple[list[str], ...]
) -> None:
    image = built(*layers)
    size = sum(entry[2] for layer in layers for entry in layer)
    assert (image.size, image.wasted) == (size, wasted)
    assert image.efficiency == ((size - wasted) / size if size else 1.0)
    top = image.layers[-1]
    assert (top.added, top.changed, top.removed) == last
    assert model(layers)["wasted"] == wasted, "the model is right too"


def test_tree_tells_kind_size_link_and_layer() -> None:
    image = built(
        [d("a"), f("a/x", 3), ("l", "l", 0, "a/x"), ("c", "null", 0, "")],
        [f("a/x", 4)],
        history=[
            {"created_by": "ENV A=1", "empty": True},
            {"created_by": "COPY . .", "empty": False},
            {"created_by": "CMD x", "empty": True},
            {"created_by": "RUN y", "empty": False},
        ],
    )
    assert image.tree(0) == image.tree(1) == {}
    assert (
        image.tree(2)
        == image.tree(3)
        == {
            "a": ("d", 0, "", 1),
            "a/x": ("f", 3, "", 1),
            "l": ("l", 0, "a/x", 1),
            "null": ("c", 0, "", 1),
        }
    )
    assert image.tree()["a/x"] == ("f", 4, "", 3)


def test_empty_is_what_history_says_not_what_has_no_bytes() -> None:
    image = built(
        [],
        [f("x", 1)],
        history=[
            {"created_by": "RUN true", "empty": False},
            {"created_by": "CMD x", "empty": True},
            {"created_by": "COPY", "empty": False},
        ],
    )
    first, second, third = image.layers
    assert [layer.empty for layer in image.layers] == [False, True, False]
    assert (first.size, second.diff_id, second.chain_id) == (0, None, first.chain_id)
    assert third.chain_id == chain_ids([first.diff_id or "", third.diff_id or ""])[1]


def test_json_has_exactly_its_keys() -> None:
    plain = built(APP, [f("app/.wh.a")]).to_json()
    assert list(plain) == ["image", "layers", "size", "wasted", "efficiency"]
    assert list(plain["layers"][1]) == [
        "diff_id",
        "chain_id",
        "created_by",
        "empty",
        "size",
        "added",
        "changed",
        "removed",
    ]


def test_text_is_a_small_table() -> None:
    image = built(
        APP,
        [f("app/.wh.a")],
        history=[
            {"created_by": "/bin/sh -c #(nop) ADD file:1 in / ", "empty": False},
            {"created_by": 'CMD ["sh"]', "empty": True},
            {"created_by": "RUN /bin/sh -c rm\n\x1b[31m app/a # buildkit", "empty": False},
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
        built(*[[]] * (LAYERS + 1))


def test_names_beyond_measure() -> None:
    path = "/".join("a" * 2000)  # each makes 1999 folders with paths up to 4 kB long
    with pytest.raises(LabError, match="more names than"):
        built([f(f"{n}/{path}") for n in range(1000)])


# -- history, ids, words ------------------------------------------------------------------------------------------


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
def test_humanise(size: int, text: str) -> None:
    assert humanise(size) == text


def flags(history: list[dict[str, Any]], count: int) -> list[bool]:
    return [
        diff_id is not None
        for _, diff_id in align_history(history, [f"sha256:{n}" for n in range(count)])
    ]


def test_align_what_a_config_says() -> None:
    history = [
        {"created_by": "a", "empty": False},
        {"created_by": "b", "empty": True},
        {"created_by": "c", "empty": False},
    ]
    assert align_history(history, ["x", "y"]) == [
        (history[0], "x"),
        (history[1], None),
        (history[2], "y"),
    ]
    for diff_ids in (
        ["x"],
        ["x", "y", "z"],
    ):  # it does not fit: no layer gets another one's instruction
        assert [
            (entry["created_by"], diff_id) for entry, diff_id in align_history(history, diff_ids)
        ] == [("", diff_id) for diff_id in diff_ids]
    assert align_history(history[1:2], []) == [(history[1], None)]


def test_align_by_sizes_as_an_engine_tells() -> None:
    def step(created_by: str, size: int = 0) -> dict[str, Any]:
        return {"created_by": created_by, "size": size}

    classic = [
        step("/bin/sh -c #(nop) ADD file:1 in /", 9),
        step('/bin/sh -c #(nop)  CMD ["bash"]'),
        step("/bin/sh -c #(nop)  ENV A=1"),
        step("/bin/sh -c true"),
        step("/bin/sh -c #(nop) COPY x in y", 3),
    ]
    assert flags(classic, 3) == [True, False, False, True, True]
    assert flags(classic, 2) == [True, False, False, False, True]
    buildkit = [
        step("ADD rootfs.tar / # buildkit", 5),
        step("ENV A=1"),
        step("WORKDIR /app"),
        step("RUN /bin/sh -c true # buildkit"),
        step("EXPOSE map[80/tcp:{}]"),
        step('ENTRYPOINT ["x"]'),
    ]
    assert flags(buildkit, 3) == [True, False, True, True, False, False]
    assert flags(buildkit, 2) == [True, False, False, True, False, False], (
        "RUN makes a layer sooner than WORKDIR"
    )
    assert flags([step("", 4)], 1) == [True]
    lost = align_history(buildkit, ["a", "b", "c", "d"])
    assert [entry["created_by"] for entry, _ in lost] == [""] * 4
    assert sum(entry["size"] for entry, _ in lost) == 5


# -- the forest ---------------------------------------------------------------------------------------------------


def thing(name: str, *steps: tuple[str, int], id: str = "") -> dict[str, Any]:
    return {
        "id": id or f"sha256:{name:0<64}",
        "tags": [name] if name else [],
        "diff_ids": [f"sha256:{created_by}" for created_by, _ in steps],
        "history": [{"created_by": created_by, "size": size} for created_by, size in steps],
    }


def test_forest_counts_shared_bytes_once() -> None:
    base, add = ("ADD base", 100), ("RUN more", 10)
    forest = Forest(
        [
            thing("base", base),
            thing("app", base, add),
            thing("app2", base, add),
            thing("other", ("ADD o", 5)),
            thing("", base, ("RUN z", 1), id="sha256:0123456789abcdef"),
        ]
    )
    assert (forest.total, forest.apart, forest.shared) == (116, 100 + 110 + 110 + 5 + 101, 310)
    first, both = chain_ids(["sha256:ADD base", "sha256:RUN more"])
    assert forest.nodes[first].images == ["base"]
    assert forest.nodes[first].through == ["base", "app", "app2", "0123456789ab"]
    assert forest.nodes[both].images == ["app", "app2"]
    assert forest.nodes[both].parent == first
    plain = forest.to_json()
    assert list(plain) == ["layers", "containers", "total", "apart", "shared"]
    assert plain["layers"][0] == {
        "chain_id": first,
        "parent": None,
        "created_by": "ADD base",
        "size": 100,
        "images": ["base"],
        "through": ["base", "app", "app2", "0123456789ab"],
    }


def test_the_same_layer_on_another_base_is_another_node() -> None:
    forest = Forest([thing("a", ("A", 1), ("X", 5)), thing("b", ("B", 1), ("X", 5))])
    assert len(forest.nodes) == 4
    assert forest.shared == 0


def test_forest_picture_marks_what_is_new_and_gone() -> None:
    old = Forest([thing("a", ("ADD a", 1000)), thing("b", ("ADD b", 5))])
    new = Forest(
        [thing("a", ("ADD a", 1000)), thing("c", ("ADD a", 1000), ("RUN /bin/sh -c c", 2))],
        [
            {
                "id": "c1",
                "name": "web",
                "image_id": f"sha256:{'c':0<64}",
                "state": "running",
                "changes": 3,
            },
            {"id": "c2", "name": "lost", "image_id": "sha256:none"},
        ],
    )
    nodes = {node["label"]: node for node in new.tree(old).data()["nodes"]}
    assert {label: node["mark"] for label, node in nodes.items()} == {
        "ADD a": "",
        "RUN c": "new",
        "web": "new",
        "lost": "new",
        "ADD b": "gone",
    }
    assert nodes["web"]["parent"] == nodes["RUN c"]["key"]
    assert (nodes["web"]["kind"], nodes["web"]["note"]) == ("container", "running · 3 changes")
    assert (nodes["ADD a"]["note"], nodes["ADD a"]["names"]) == ("1kB", ["a"])
    assert {node["mark"] for node in new.tree().data()["nodes"]} == {""}


def test_images_without_layers_or_history_have_a_place() -> None:
    forest = Forest(
        [
            thing("none"),
            {"id": "sha256:1", "tags": ["bare"], "diff_ids": ["sha256:x"], "history": []},
        ]
    )
    assert [node.images for node in forest.nodes.values()] == [["none"], ["bare"]]
    assert "layer x" in str(forest.tree())
