"""What files say of a node."""

from pathlib import Path

import pytest

from mizzen.agent.config import AgentConfig
from mizzen.cluster.config import ConfigError
from mizzen.cluster.nodefiles import with_providers, with_settings

CONFIG = AgentConfig("node-1", Path("/r"), Path("/i"), ("10.0.0.1",))
FORM = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
PROVIDERS = """
apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
- {name: NAME, apiVersion: credentialprovider.kubelet.k8s.io/v1, matchImages: [a.test], defaultCacheDuration: 1m}
"""


def test_files_of_a_directory_are_merged_over_the_settings_in_the_order_of_their_names(tmp_path: Path) -> None:
    base, more = tmp_path / "kubelet.yaml", tmp_path / "kubelet.conf.d"
    more.mkdir()
    base.write_text(FORM + "maxPods: 5\nsystemReserved: {cpu: 100m, memory: 1Gi}\nallowedUnsafeSysctls: [a, b]\n")
    (more / "20-late.conf").write_text(FORM + "maxPods: 7\nallowedUnsafeSysctls: [c]\n")
    (more / "10-early.conf").write_text(FORM + "maxPods: 6\nsystemReserved: {cpu: 200m}\nfeatureGates: {X: true}\n")
    (more / "ignored.yaml").write_text("nothing of ours")
    config, unknown = with_settings(CONFIG, base, more)
    assert (config.max_pods, config.unsafe_sysctls) == (7, ("c",))
    assert config.reserved == {"cpu": "200m", "memory": "1Gi"} and unknown == ("featureGates",)
    assert with_settings(CONFIG, None, None) == (CONFIG, ())


def test_a_file_without_a_kind_is_named(tmp_path: Path) -> None:
    (tmp_path / "10.conf").write_text("maxPods: 6\n")
    with pytest.raises(ConfigError, match=r"10\.conf: not a KubeletConfiguration"):
        with_settings(CONFIG, None, tmp_path)


def test_the_programs_that_files_name_must_be_there(tmp_path: Path) -> None:
    files, programs = tmp_path / "config", tmp_path / "bin"
    files.mkdir()
    programs.mkdir()
    for name in ("one", "two"):
        (files / f"{name}.yaml").write_text(PROVIDERS.replace("NAME", name))
    (programs / "one").write_text("#!/bin/sh\n")
    (programs / "one").chmod(0o755)
    with pytest.raises(ConfigError, match="bin/two is no program"):
        with_providers(CONFIG, files, programs)
    found = with_providers(CONFIG, files / "one.yaml", programs)
    assert [one.name for one in found.credential_providers] == ["one"] and found.credential_programs == programs
