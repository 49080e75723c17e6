"""HorizontalPodAutoscalers between their two versions."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mizzen.api.autoscaling.conversion import to_v1, to_v2
from mizzen.api.autoscaling.horizontalpodautoscaler_v1 import HORIZONTAL_POD_AUTOSCALER_V1 as V1
from mizzen.machinery.errors import Object

_name = st.sampled_from(("cpu", "memory", "hits"))
_share = st.fixed_dictionaries({"type": st.just("Utilization"), "averageUtilization": st.integers(1, 99)})
_average = st.fixed_dictionaries({"type": st.just("AverageValue"), "averageValue": st.sampled_from(("5", "300Mi"))})
_value = st.fixed_dictionaries({"type": st.just("Value"), "value": st.sampled_from(("1k", "30"))})
_metric_name = st.fixed_dictionaries({"name": _name}, optional={"selector": st.just({"matchLabels": {"a": "b"}})})
_described = st.just({"kind": "Service", "name": "s"})
_metric = st.one_of(
    st.fixed_dictionaries(
        {
            "type": st.just("Resource"),
            "resource": st.fixed_dictionaries({"name": _name, "target": _share | _average}),
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("ContainerResource"),
            "containerResource": st.fixed_dictionaries({"name": _name, "container": st.just("c"), "target": _share}),
        }
    ),
    st.fixed_dictionaries(
        {"type": st.just("Pods"), "pods": st.fixed_dictionaries({"metric": _metric_name, "target": _average})}
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("External"),
            "external": st.fixed_dictionaries({"metric": _metric_name, "target": _value | _average}),
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("Object"),
            "object": st.fixed_dictionaries(
                {"metric": _metric_name, "describedObject": _described, "target": _value | _average}
            ),
        }
    ),
)
_behavior = st.just(
    {"scaleUp": {"selectPolicy": "Max", "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}]}}
)


def _v2(metrics: list[Object], behavior: Object | None = None) -> Object:
    spec: dict[str, Any] = {"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "maxReplicas": 3, "metrics": metrics}
    if behavior:
        spec["behavior"] = behavior
    status = {"desiredReplicas": 0, "currentReplicas": 0, "currentMetrics": None}
    return {"apiVersion": "autoscaling/v2", "metadata": {"name": "h"}, "spec": spec, "status": status}


def _sorted(metrics: list[Object]) -> list[Object]:
    return sorted(metrics, key=lambda metric: json.dumps(metric, sort_keys=True))


@given(st.lists(_metric, min_size=1, max_size=4), st.none() | _behavior)
def test_nothing_is_lost_on_the_way_through_v1(metrics: list[Object], behavior: Object | None) -> None:
    there_and_back = to_v2(to_v1(_v2(metrics, behavior)))
    assert _sorted(there_and_back["spec"].pop("metrics")) == _sorted(metrics)
    before = _v2(metrics, behavior)
    before["spec"].pop("metrics")
    assert there_and_back == before


def test_the_first_cpu_share_is_v1s_own_field() -> None:
    share = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 61}},
    }
    v1 = to_v1(_v2([share]))
    assert v1["spec"]["targetCPUUtilizationPercentage"] == 61
    assert "annotations" not in v1["metadata"]


def test_an_annotation_that_cannot_be_read_counts_as_nothing() -> None:
    v1 = {"metadata": {"annotations": {"autoscaling.alpha.kubernetes.io/metrics": "{"}}, "spec": {"maxReplicas": 1}}
    assert to_v2(v1)["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 80


def test_v1_is_checked_as_what_it_is_stored_as() -> None:
    v1: Object = {"metadata": {"name": "h"}, "spec": {"maxReplicas": 0, "targetCPUUtilizationPercentage": 0}}
    assert V1.default and V1.validate
    V1.default(v1)
    assert {error.path for error in V1.validate(v1, None)} == {
        "spec.maxReplicas",
        "spec.scaleTargetRef.kind",
        "spec.scaleTargetRef.name",
        "spec.metrics[0].resource.target.averageUtilization",
    }
