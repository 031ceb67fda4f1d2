"""Time to draw a forest of images: `python benchmarks/trees.py`. Medians of seven runs, in seconds."""

from __future__ import annotations

from statistics import median
from time import perf_counter

from labkit.show.trees import Node, Tree


def images(count: int) -> list[Node]:
    """`count` tagged images of ten layers; each twenty share the first five."""
    nodes: list[Node] = []
    for image in range(count):
        parent = f"base{image // 20}.4"
        if image % 20 == 0:
            for i in range(5):
                key = f"base{image // 20}.{i}"
                nodes.append(
                    Node(key, f"RUN step {i}", f"{key[:-1]}{i - 1}" if i else None, "9 MB")
                )
        for i in range(5):
            key = f"image{image}.{i}"
            label = f"RUN apt-get install -y package-{image}-{i} && rm -rf /var/lib/apt/lists/*"
            nodes.append(
                Node(
                    key,
                    label,
                    parent,
                    "1.2 MB",
                    names=(f"team/image{image}:latest",) if i == 4 else (),
                )
            )
            parent = key
    return nodes


def main() -> None:
    for count, limit in (200, 0.2), (2_000, 2.0):
        nodes, svg, text = images(count), [], []
        for _ in range(7):
            start = perf_counter()
            picture = Tree(nodes, "Images").svg()
            svg.append(perf_counter() - start)
            start = perf_counter()
            str(Tree(nodes, "Images"))
            text.append(perf_counter() - start)
        print(
            f"- {count} images, {len(nodes)} layers: svg {median(svg):.3f} s (limit {limit} s, "
            f"{len(picture) / 1e6:.1f} MB), text {median(text):.3f} s"
        )


if __name__ == "__main__":
    main()
