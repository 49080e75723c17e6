"""Schedulers from a configuration file: profiles, weights, arguments, Python plugins."""

from pathlib import Path
from typing import Any

import pytest
from tests.unit.scheduler.world import node, pod

from mizzen.scheduler import config
from mizzen.scheduler.cycle import Placed, Unschedulable
from mizzen.scheduler.framework import NodeFilter, Plugin, Reject
from mizzen.scheduler.plugins import PLUGINS
from mizzen.scheduler.snapshot import NodeInfo, PodInfo, Snapshot


def parsed(**profile: Any) -> config.Profile:
    head = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}
    return config.parse({**head, "profiles": [profile]}).profiles[0]


def plugin(profile: config.Profile, name: str) -> Plugin:
    return next(one for one in profile.plugins if one.name == name)


def even_only(pod: PodInfo, snapshot: Snapshot) -> NodeFilter | None:
    def verdict(node: NodeInfo) -> Reject | None:
        return None if int(node.name.rpartition("-")[2]) % 2 == 0 else Reject("node(s) had an odd number")

    return verdict


EVEN = Plugin("Even", filter=even_only, wakes_on=frozenset({"node added"}))


def first_by_name(pod: PodInfo, snapshot: Snapshot) -> Placed | Unschedulable:
    return Placed(min(snapshot.nodes)) if snapshot.nodes else Unschedulable(0)


def test_without_a_word_everything_is_as_usual() -> None:
    profile = parsed()
    assert profile.name == "default-scheduler"
    assert [one.name for one in profile.plugins] == [one.name for one in PLUGINS]
    assert profile.preempts


def test_weights_and_disabled_plugins_are_per_profile() -> None:
    many = {"disabled": [{"name": "ImageLocality"}], "enabled": [{"name": "TaintToleration", "weight": 7}]}
    profile = parsed(schedulerName="other", plugins={"multiPoint": many})
    assert profile.name == "other"
    assert plugin(profile, "TaintToleration").weight == 7
    assert "ImageLocality" not in [one.name for one in profile.plugins]


def test_a_plugin_can_be_left_to_filter_only() -> None:
    profile = parsed(plugins={"score": {"disabled": [{"name": "*"}]}})
    assert not any(one.score for one in profile.plugins)
    assert plugin(profile, "NodeResourcesFit").filter is not None


def test_preemption_can_be_switched_off() -> None:
    assert not parsed(plugins={"postFilter": {"disabled": [{"name": "DefaultPreemption"}]}}).preempts


def test_a_python_plugin_is_named_by_its_import_path() -> None:
    entry = {"name": "Even", "weight": 2, "mizzen.dev/python": f"{__name__}:EVEN"}
    profile = parsed(plugins={"multiPoint": {"enabled": [entry]}})
    assert profile.plugins[-1].filter is even_only
    assert profile.plugins[-1].weight == 2


def test_a_whole_scheduler_can_be_a_python_function() -> None:
    profile = parsed(schedulerName="mine", **{"mizzen.dev/python": f"{__name__}:first_by_name"})
    assert profile.decide is first_by_name


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ({"plugins": {"multiPoint": {"enabled": [{"name": "Nope"}]}}}, "there is no plugin 'Nope'"),
        ({"mizzen.dev/python": "nowhere"}, "no import path"),
        ({"mizzen.dev/python": "mizzen.absent:X"}, "cannot be imported"),
        ({"mizzen.dev/python": "mizzen.scheduler.config:PYTHON"}, "is a str"),
        (
            {"pluginConfig": [{"name": "InterPodAffinity", "args": {"hardPodAffinityWeight": 101}}]},
            "between 0 and 100",
        ),
        (
            {"pluginConfig": [{"name": "NodeResourcesFit", "args": {"scoringStrategy": {"type": "Tidy"}}}]},
            "scoringStrategy.type",
        ),
        ({"pluginConfig": [{"name": "VolumeBinding", "args": {"bindTimeoutSeconds": -1}}]}, "bindTimeoutSeconds"),
        ({"pluginConfig": [{"name": "DynamicResources", "args": {"bindingTimeout": "soon"}}]}, "bindingTimeout"),
    ],
)
def test_what_is_wrong_is_named(profile: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parsed(**profile)


def test_extenders_and_back_off_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "scheduler.yaml"
    path.write_text(
        """apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
podInitialBackoffSeconds: 2
extenders:
- urlPrefix: http://127.0.0.1:8888/x/
  filterVerb: filter
  prioritizeVerb: prioritize
  weight: 5
  httpTimeout: 1m0.5s
  managedResources: [{name: example.com/gpu, ignoredByScheduler: true}]
"""
    )
    found = config.load(path)
    assert found.first_backoff == 2
    assert found.extenders[0].url == "http://127.0.0.1:8888/x"
    assert (found.extenders[0].weight, found.extenders[0].timeout) == (5, 60.5)
    judge = plugin(found.profiles[0], "NodeResourcesFit").filter
    assert judge is not None
    snapshot = Snapshot()
    snapshot.set_node(node("a"))
    wants = [{"name": "c", "resources": {"requests": {"example.com/gpu": 1}}}]
    verdict = judge(pod(containers=wants), snapshot)
    assert verdict is not None
    assert verdict(snapshot.nodes["a"]) is None, "the extender alone looks after it"


def test_the_example_of_the_guide_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    guide = (Path(__file__).parents[3] / "docs" / "scheduling.md").read_text()
    blocks = [block.partition("\n") for block in guide.split("```")[1::2]]
    (tmp_path / "nightshift.py").write_text(next(text for kind, _, text in blocks if kind == "python"))
    (tmp_path / "scheduler.yaml").write_text(
        next(text for kind, _, text in blocks if kind == "yaml" and "mizzen.dev/python" in text)
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = config.load(tmp_path / "scheduler.yaml")
    assert [one.name for one in found.profiles] == ["default-scheduler", "cheapest"]
    assert "NightShift" in [one.name for one in found.profiles[0].plugins]
    assert found.profiles[1].decide is not None
