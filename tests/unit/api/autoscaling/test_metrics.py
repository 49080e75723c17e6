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


@pytest.mark.parametrize(
    ("least", "type_", "refused"),
    [
        (0, "External", []),
        (0, "Object", []),
        (0, "Resource", [("spec.metrics", "Forbidden")]),
        (1, "Resource", []),
        (-1, "External", [("spec.minReplicas", "Invalid")]),
    ],
)
def test_nothing_is_left_only_where_something_else_than_pods_is_measured(
    least: int, type_: str, refused: list[tuple[str, str]]
) -> None:
    target = {"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "minReplicas": least, "maxReplicas": 3}
    metric = _METRICS[type_]
    assert found_in(target | {"metrics": [{"type": type_, type_.lower(): metric}]}) == refused


_VALUE = {"type": "Value", "value": "1"}
_METRICS: dict[str, Any] = {
    "External": {"metric": {"name": "queue"}, "target": _VALUE},
    "Object": {"metric": {"name": "queue"}, "target": _VALUE, "describedObject": {"kind": "A", "name": "a"}},
    "Resource": {"name": "cpu", "target": _TARGET},
}


def found_in(spec: dict[str, Any]) -> list[tuple[str, str]]:
    return [(error.path, str(error.cause).removeprefix("FieldValue")) for error in spec_errors(spec)]
