"""Time to draw a forest of images, in seconds, median of seven: `python benchmarks/trees.py`."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter

from labkit.show.layout import Node
from labkit.show.trees import Tree


def images(count: int) -> list[Node]:
    """`count` tagged images of ten layers; each twenty share the first five."""
    nodes: list[Node] = []
    for image in range(count):
        parent = f"base{image // 20}.4"
        if image % 20 == 0:
            for i in range(5):
                key = f"base{image // 20}.{i}"
                above = f"base{image // 20}.{i - 1}" if i else None
                nodes.append(Node(key, f"RUN step {i}", above, "9 MB"))
        for i in range(5):
            key = f"image{image}.{i}"
            label = f"RUN apt-get install -y package-{image}-{i} && rm -rf /var/lib/apt/lists/*"
            names = (f"team/image{image}:latest",) if i == 4 else ()
            nodes.append(Node(key, label, parent, "1.2 MB", names=names))
            parent = key
    return nodes


def seconds(work: Callable[[], object]) -> float:
    """The median of seven runs."""
    times = []
    for _ in range(7):
        start = perf_counter()
        work()
        times.append(perf_counter() - start)
    return median(times)


def main() -> None:
    for count, limit in (200, 0.2), (2_000, 2.0):
        nodes = images(count)
        size = len(Tree(nodes, "Images").svg()) / 1e6
        svg = seconds(lambda nodes=nodes: Tree(nodes, "Images").svg())
        text = seconds(lambda nodes=nodes: str(Tree(nodes, "Images")))
        print(
            f"- {count} images, {len(nodes)} layers: svg {svg:.3f} s (limit {limit} s, "
            f"{size:.1f} MB), text {text:.3f} s"
        )


if __name__ == "__main__":
    main()
