"""All images of an engine as one forest: what they share stands once.

A node is a layer on all that is below it, so its key is the ChainID. Source: OCI image-spec,
config.md.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from labkit.docker.history import (
    BuildStep,
    Json,
    align_history,
    chain_ids,
    decimal_size,
    instruction,
)
from labkit.messages import _
from labkit.show.trees import Node, Tree


@dataclass
class ForestNode:
    """A layer in the forest. ``size`` in bytes.

    ``images``: names of those that end here; ``through``: of all that use it.
    """

    chain_id: str
    parent: str | None
    created_by: str
    size: int
    images: list[str] = field(default_factory=list)
    through: list[str] = field(default_factory=list)

    def drawn(self) -> Node:
        digits = self.chain_id.removeprefix("sha256:")[:12]
        label = instruction(self.created_by) or _("layer {digits}", digits=digits)
        size = decimal_size(self.size)
        return Node(self.chain_id, label, self.parent, size, "layer", tuple(self.images))


class Forest:
    """Images and containers as one forest.

    Images: {"id", "tags", "diff_ids", "history": [{"created_by", "size"}] oldest first};
    containers: {"id", "name", "image_id", "state"?, "changes"?: how many paths}.
    In bytes, ``total``: each layer once; ``apart``: the sum of the images; ``shared``: the
    difference.
    """

    def __init__(self, images: Iterable[Json], containers: Iterable[Json] = ()) -> None:
        self.nodes: dict[str, ForestNode] = {}
        self.containers = list(containers)
        self.apart = 0
        self._tops: dict[str, str] = {}  # the ChainID of an image's last layer, by its id
        for image in images:
            self._add(image)
        self.total = sum(node.size for node in self.nodes.values())
        self.shared = self.apart - self.total

    def _add(self, image: Json) -> None:
        names = list(image["tags"]) or [image["id"].removeprefix("sha256:")[:12]]
        history = [BuildStep.from_json(entry) for entry in image["history"]]
        steps = [step for step, diff_id in align_history(history, image["diff_ids"]) if diff_id]
        chain = chain_ids(image["diff_ids"])
        if not chain:  # an image without layers stands alone
            chain = [image["id"]]
            steps = [BuildStep("")]
        parent = None
        for chain_id, step in zip(chain, steps, strict=True):
            node = self.nodes.setdefault(chain_id, ForestNode(chain_id, parent, "", step.size))
            node.created_by = node.created_by or step.created_by
            node.through += names
            self.apart += node.size
            parent = chain_id
        self.nodes[chain[-1]].images += names
        self._tops[image["id"]] = chain[-1]

    def to_json(self) -> dict[str, Any]:
        """Plain values for `labkit forest --json`."""
        return {
            "layers": [dict(vars(node)) for node in self.nodes.values()],
            "containers": self.containers,
            "total": self.total,
            "apart": self.apart,
            "shared": self.shared,
        }

    def tree(self, before: Forest | None = None, known: Container[str] | None = None) -> Tree:
        """The picture.

        Since ``before``, new layers and containers are marked (unless ``known``, by key), and those
        that are gone still shown.
        """
        old = (before or self)._drawn()
        new = self._drawn()
        if not known:
            known = old if before else new
        drawn = [node if key in known else replace(node, mark="new") for key, node in new.items()]
        drawn += [replace(node, mark="gone") for key, node in old.items() if key not in new]
        return Tree(drawn)

    def _drawn(self) -> dict[str, Node]:
        """By key; containers before layers: a short twig reads better above a long one."""
        nodes = [self._drawn_container(container) for container in self.containers]
        nodes += [node.drawn() for node in self.nodes.values()]
        return {node.key: node for node in nodes}

    def _drawn_container(self, container: Json) -> Node:
        notes = [container.get("state", "")]
        if "changes" in container:
            notes.append(_.many("{n} change", "{n} changes", container["changes"]))
        parent = self._tops.get(container["image_id"])
        return Node(container["id"], container["name"], parent, " · ".join(notes), "container")
