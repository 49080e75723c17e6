"""ImageLocality: nodes that hold the pod's images already are preferred, the more so the larger the images."""

from mizzen.scheduler.framework import NodeScore, Plugin
from mizzen.scheduler.snapshot import NodeInfo, PodInfo, Snapshot

_SMALLEST = 23 * 1024 * 1024
_LARGEST = 1000 * 1024 * 1024


def score_nodes(pod: PodInfo, snapshot: Snapshot) -> NodeScore | None:
    images = tuple({_normal(container.image) for container in pod.pod.spec.containers})
    if not images:
        return None
    largest = _LARGEST * len(images)

    def score(node: NodeInfo) -> float:
        held = sum(node.images.get(image, 0) for image in images)
        return 100.0 * (min(max(held, _SMALLEST), largest) - _SMALLEST) / (largest - _SMALLEST)

    return score


def _normal(image: str) -> str:
    """With `:latest` where neither tag nor digest is named."""
    last = image.rpartition("/")[2]
    return image if ":" in last or "@" in last else f"{image}:latest"


PLUGIN = Plugin("ImageLocality", score=score_nodes)
