"""ImageLocality: nodes that hold the pod's images already are preferred, the more so the larger the images.

An image that few nodes hold counts for less, so that not all pods of a new image gather there.
"""

from collections.abc import Sequence

from mizzen.scheduler.framework import Plugin, Ranked
from mizzen.scheduler.snapshot import NodeInfo, PodInfo, Snapshot

_SMALLEST = 23 * 1024 * 1024
_LARGEST = 1000 * 1024 * 1024


def score_nodes(pod: PodInfo, snapshot: Snapshot) -> Ranked | None:
    spec = pod.pod.spec
    volumes = (one.image.reference for one in spec.volumes if one.image is not None)
    wanted = [_normal(image) for image in (*(one.image for one in (*spec.initContainers, *spec.containers)), *volumes)]
    if not wanted:
        return None
    largest = _LARGEST * len(wanted)

    def held(node: NodeInfo) -> int:
        """Which of the images a node holds, one bit for each."""
        return sum(1 << at for at, image in enumerate(wanted) if image in node.images) if node.images else 0

    def score(bits: int) -> int:
        total = len(snapshot.nodes) or 1
        there = [image for at, image in enumerate(wanted) if bits >> at & 1]
        weight = sum(int(snapshot.image_sizes[one] * (snapshot.holders[one] / total)) for one in there)
        return 100 * (min(max(weight, _SMALLEST), largest) - _SMALLEST) // (largest - _SMALLEST)

    def normalise(ranks: Sequence[int]) -> list[int]:
        return [score(one) for one in ranks]

    return Ranked(held, normalise)


def _normal(image: str) -> str:
    """With `:latest` where neither tag nor digest is named."""
    last = image.rpartition("/")[2]
    return image if ":" in last or "@" in last else f"{image}:latest"


PLUGIN = Plugin("ImageLocality", score=score_nodes)
