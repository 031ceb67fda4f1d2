"""All images of an engine as one forest: what they share stands once.

A node is a layer on all that is below it, so its key is the ChainID (OCI image-spec, config.md).
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from labkit.docker.layers import BuildStep, ImageConfig, Json, decimal_size, instruction
from labkit.messages import _
from labkit.show.layout import Node
from labkit.show.trees import Tree


@dataclass
class ForestNode:
    """A layer in the forest."""

    chain_id: str
    parent: str | None
    created_by: str
    size: int  # bytes
    images: list[str] = field(default_factory=list)  # names of those that end here
    through: list[str] = field(default_factory=list)  # and of all that use it


class Forest:
    """Images and containers as one forest.

    Images: {"id", "tags", "diff_ids", "history": [{"created_by", "size"}] oldest first};
    containers: {"id", "name", "image_id", "state"?, "changes"?: how many paths}.
    """

    def __init__(self, images: Iterable[Json], containers: Iterable[Json] = ()) -> None:
        self.nodes: dict[str, ForestNode] = {}
        self.containers = list(containers)
        self.apart = 0  # bytes, a layer once for each image
        self._tops: dict[str, str] = {}  # the ChainID of an image's last layer, by its id
        for image in images:
            names = list(image["tags"]) or [image["id"].removeprefix("sha256:")[:12]]
            config = ImageConfig.from_json(image)
            chain = config.chain_ids or [image["id"]]  # one without layers stands alone
            steps = [step for step, diff_id in config.steps if diff_id] or [BuildStep("")]
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
        """Plain values for `labkit forest --json`; ``total`` bytes are of each layer once."""
        total = sum(node.size for node in self.nodes.values())
        return {
            "layers": [dict(vars(node)) for node in self.nodes.values()],
            "containers": self.containers,
            "total": total,
            "apart": self.apart,
            "shared": self.apart - total,
        }

    def tree(self, before: Forest | None = None, known: Container[str] | None = None) -> Tree:
        """The picture. Since ``before``, new things are marked (unless ``known``, by key).

        Those that are gone are still shown.
        """
        old = (before or self)._drawn()
        new = self._drawn()
        known = known or old
        drawn = [node if key in known else replace(node, mark="new") for key, node in new.items()]
        drawn += [replace(node, mark="gone") for key, node in old.items() if key not in new]
        return Tree(drawn)

    def _drawn(self) -> dict[str, Node]:
        """By key; containers before layers: a short twig reads better above a long one."""
        nodes = {}
        for container in self.containers:
            notes = [container.get("state", "")]
            if "changes" in container:
                notes.append(_.many("{n} change", "{n} changes", container["changes"]))
            key = container["id"]
            parent = self._tops.get(container["image_id"])
            nodes[key] = Node(key, container["name"], parent, " · ".join(notes), "container")
        for key, layer in self.nodes.items():
            label = instruction(layer.created_by)
            label = label or _("layer {digits}", digits=key.removeprefix("sha256:")[:12])
            size = decimal_size(layer.size)
            nodes[key] = Node(key, label, layer.parent, size, "layer", tuple(layer.images))
        return nodes
