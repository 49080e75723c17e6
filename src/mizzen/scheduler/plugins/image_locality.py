"""ImageLocality: nodes that hold the pod's images already are preferred, the more so the larger the images.

An image that few nodes hold counts for less, so that not all pods of a new image gather there.
"""

from mizzen.scheduler.framework import NodeScore, Plugin
from mizzen.scheduler.snapshot import NodeInfo, PodInfo, Snapshot

_SMALLEST = 23 * 1024 * 1024
_LARGEST = 1000 * 1024 * 1024


def score_nodes(pod: PodInfo, snapshot: Snapshot) -> NodeScore | None:
    spec = pod.pod.spec
    wanted = [_normal(container.image) for container in (*spec.initContainers, *spec.containers)]
    if not wanted:
        return None
    largest = _LARGEST * len(wanted)

    def score(node: NodeInfo) -> float:
        if not node.images:
            return 0.0
        total = len(snapshot.nodes) or 1
        held = sum(node.images[image] * snapshot.holders[image] / total for image in wanted if image in node.images)
        return 100.0 * (min(max(held, _SMALLEST), largest) - _SMALLEST) / (largest - _SMALLEST)

    return score


def _normal(image: str) -> str:
    """With `:latest` where neither tag nor digest is named."""
    last = image.rpartition("/")[2]
    return image if ":" in last or "@" in last else f"{image}:latest"


PLUGIN = Plugin("ImageLocality", score=score_nodes)
