"""What the metrics of a HorizontalPodAutoscaler are refused for."""

from typing import Any

import pytest

from mizzen.api.autoscaling.validation import spec_errors

_TARGET = {"type": "Utilization", "averageUtilization": 50}


@pytest.mark.parametrize(
    ("metric", "found"),
    [
        (
            {"type": "Resource", "resource": {"name": "cpu", "target": {"averageValue": "1"}}},
            [("resource.target.type", "Required"), ("resource.target.type", "Invalid")],
        ),
        (
            {
                "type": "Pods",
                "pods": {"metric": {"name": "a"}, "target": {"type": "AverageValue", "averageValue": "0"}},
            },
            [("pods.target.averageValue", "Invalid")],
        ),
        (
            {"type": "ContainerResource", "containerResource": {"name": "odd", "container": "A", "target": _TARGET}},
            [
                ("containerResource.name", "Invalid"),
                ("containerResource.name", "Invalid"),
                ("containerResource.container", "Invalid"),
            ],
        ),
        (
            {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "a", "target": _TARGET}},
            [],
        ),
    ],
)
def test_a_metric_is_checked(metric: dict[str, Any], found: list[tuple[str, str]]) -> None:
    spec = {"maxReplicas": 1, "scaleTargetRef": {"kind": "Deployment", "name": "d"}, "metrics": [metric]}
    seen = [(error.path, str(error.cause).removeprefix("FieldValue")) for error in spec_errors(spec)]
    assert seen == [(f"spec.metrics[0].{path}", cause) for path, cause in found]
