"""What a node tells people of itself."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from mizzen.agent.config import AgentConfig
from mizzen.agent.kubeletconfig import configured
from mizzen.agent.pages import answer
from mizzen.wire.message import Request

CONFIG = AgentConfig("node-1", Path("/r"), Path("/i"), ("10.0.0.1", "fd00::1"), labels={"zone": "b", "arch": "a"})


def ask(config: AgentConfig, path: str) -> str:
    body = answer(config, Request("GET", path), 1_700_000_000.0, 1_700_000_060.0).body
    assert isinstance(body, bytes)
    return body.decode()


def test_the_settings_that_a_node_shows_are_those_it_was_given() -> None:
    given: dict[str, Any] = {
        "imageMinimumGCAge": "90s", "imageMaximumGCAge": "3600s", "maxPods": 7, "providerID": "cloud://one",
        "crashLoopBackOff": {"maxContainerRestartPeriod": "20s"}, "allowedUnsafeSysctls": ["net.*"],
    }  # fmt: skip
    config, _ = configured(
        CONFIG, {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", **given}
    )
    shown = orjson.loads(ask(config, "/configz"))["kubeletconfig"]
    assert {name: shown[name] for name in given} == given


def test_a_node_that_answers_says_that_it_is_well_check_by_check() -> None:
    assert [ask(CONFIG, path) for path in ("/healthz", "/healthz/ping", "/healthz/log", "/healthz/syncloop")] == [
        "ok"
    ] * 4
    verbose = answer(CONFIG, Request("GET", "/healthz", (("verbose", ""),)), 0.0, 1.0).body
    assert verbose == b"[+]ping ok\n[+]log ok\n[+]syncloop ok\nhealthz check passed\n"
    assert 'kubernetes_healthcheck{name="ping",type="healthz"} 1' in ask(CONFIG, "/metrics/slis").splitlines()


def test_a_node_shows_its_flags_and_how_long_it_is_up() -> None:
    shown = ask(replace(CONFIG, cri_socket="/run/c.sock"), "/flagz").splitlines()
    assert {"node-ip=10.0.0.1,fd00::1", "node-labels=arch=a,zone=b", "hostname-override=node-1"} <= set(shown)
    assert "container-runtime-endpoint=unix:///run/c.sock" in shown
    assert "Up: 0 hr 01 min 00 sec" in ask(CONFIG, "/statusz").splitlines()
