"""Images as one forest."""

from __future__ import annotations

from typing import Any

from labkit.docker.forest import Forest
from labkit.docker.layers import ImageConfig


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
    first, both = ImageConfig(["sha256:ADD base", "sha256:RUN more"], []).chain_ids
    assert forest.nodes[first].images == ["base"]
    assert forest.nodes[first].through == ["base", "app", "app2", "0123456789ab"]
    assert forest.nodes[both].images == ["app", "app2"]
    assert forest.nodes[both].parent == first
    plain = forest.to_json()
    assert list(plain) == ["layers", "containers", "total", "apart", "shared"]
    assert (plain["total"], plain["apart"], plain["shared"]) == (
        116,
        100 + 110 + 110 + 5 + 101,
        310,
    )
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
    assert forest.to_json()["shared"] == 0


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
    nodes = {row.node.label: row.node for row in new.tree(old).layout.rows}
    assert {label: node.mark for label, node in nodes.items()} == {
        "ADD a": "",
        "RUN c": "new",
        "web": "new",
        "lost": "new",
        "ADD b": "gone",
    }
    assert nodes["web"].parent == nodes["RUN c"].key
    assert (nodes["web"].kind, nodes["web"].note) == ("container", "running · 3 changes")
    assert (nodes["ADD a"].note, nodes["ADD a"].names) == ("1kB", ("a",))
    assert {row.node.mark for row in new.tree().layout.rows} == {""}


def test_images_without_layers_or_history_have_a_place() -> None:
    forest = Forest(
        [
            thing("none"),
            {"id": "sha256:1", "tags": ["bare"], "diff_ids": ["sha256:x"], "history": []},
        ]
    )
    assert [node.images for node in forest.nodes.values()] == [["none"], ["bare"]]
    assert "layer x" in str(forest.tree())
