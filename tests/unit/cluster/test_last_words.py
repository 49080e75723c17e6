"""Whoever waits for the control plane is told why it has ended."""

from pathlib import Path

import pytest

from mizzen.cluster import lifecycle
from mizzen.cluster.config import ClusterConfig, ConfigError


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('{"event":"x"}\nmizzen: the store is damaged\n', "has ended: the store is damaged"),
        ("Traceback (most recent call last):\n", "has ended: look into .*server.log"),
        ("", "has ended: look into .*server.log"),
    ],
)
def test_the_sentence_that_it_ended_with_is_passed_on(tmp_path: Path, said: str, told: str) -> None:
    log = tmp_path / "logs" / "server.log"
    log.parent.mkdir()
    log.write_text(said)
    config = ClusterConfig(name="one", data_dir=tmp_path, nodes=1, runtime="simulated", api_port=1)
    with pytest.raises(ConfigError, match=told):
        lifecycle._wait_for_server(config, lambda _: None)
