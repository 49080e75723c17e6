"""What storage drivers are asked, and where their volumes are."""

import hashlib
from pathlib import Path

import pytest

from mizzen.agent.kubeletdir import KubeletDir
from mizzen.agent.volumes.csi import records, requests
from mizzen.agent.volumes.csi.records import Record
from mizzen.api.views.podspec import Pod, PodMeta, PodSpec
from mizzen.wire import csi

BOTH = (csi.SINGLE_NODE_MULTI_WRITER,)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/var/lib/kubelet", "/n/kubelet"),
        ("/var/lib/kubelet/", "/n/kubelet"),
        ("/var//lib/kubelet/pods/../plugins", "/n/kubelet/plugins"),
        ("/var/lib/kubelet2", "/var/lib/kubelet2"),
        ("/var/lib", "/var/lib"),
    ],
)
def test_each_node_has_its_own_kubelet_directory(path: str, place: str) -> None:
    assert KubeletDir(Path("/n/kubelet")).on_node(path) == Path(place)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/var/log", "/n/logs"),
        ("/var/log/", "/n/logs"),
        ("/var/log/pods", "/n/logs/pods"),
        ("/var/log/containers/x.log", "/n/logs/containers/x.log"),
        ("/var/log/journal", "/var/log/journal"),
        ("/var/log/podsandmore", "/var/log/podsandmore"),
    ],
)
def test_each_node_has_the_logs_of_its_own_containers(path: str, place: str) -> None:
    assert KubeletDir(Path("/n/kubelet"), Path("/n/logs")).on_node(path) == Path(place)


def test_links_of_a_node_lead_where_pods_see_them_lead(tmp_path: Path) -> None:
    kubelet, logs = tmp_path / "kubelet", tmp_path / "logs"
    for made in (kubelet / "plugins", logs / "pods" / "a", logs / "containers"):
        made.mkdir(parents=True)
    (logs / "pods" / "a" / "0.log").touch()
    (logs / "containers" / "a.log").symlink_to("/var/log/pods/a/0.log")
    (logs / "containers" / "b.log").symlink_to("a.log")
    (logs / "containers" / "out").symlink_to("/etc/hostname")
    (logs / "containers" / "round").symlink_to("round")
    directory = KubeletDir(kubelet, logs)
    assert directory.on_node("/var/log/containers/a.log") == logs / "pods" / "a" / "0.log"
    assert directory.on_node("/var/log/containers/b.log") == logs / "pods" / "a" / "0.log"
    assert directory.on_node("/var/log/containers/out") == Path("/etc/hostname")
    assert directory.on_node("/var/log/containers/round") == logs / "containers" / "round"
    assert directory.on_node(str(logs / "containers" / "b.log")) == logs / "containers" / "b.log"


@pytest.mark.parametrize(
    ("path", "place"),
    [("/var/run/cdi", "/n/cdi"), ("/run/cdi/x.json", "/n/cdi/x.json"), ("/var/run/cdis", "/var/run/cdis")],
)
def test_each_node_has_the_cdi_files_of_its_own_drivers(path: str, place: str) -> None:
    assert KubeletDir(Path("/n/kubelet"), cdi=Path("/n/cdi")).on_node(path) == Path(place)
    assert KubeletDir(Path("/n/kubelet")).on_node(path) == Path(path)


def test_a_file_of_the_node_has_its_well_known_name_in_pods() -> None:
    assert KubeletDir(Path("/n/kubelet")).for_pods(Path("/n/kubelet/pods/u")) == "/var/lib/kubelet/pods/u"


def test_an_attachment_is_named_as_its_controller_names_it() -> None:
    digest = hashlib.sha256(b"handledrivernode").hexdigest()
    assert requests.attachment_name("handle", "driver", "node") == f"csi-{digest}"


@pytest.mark.parametrize(
    ("mode", "plain", "telling"),
    [("ReadWriteOnce", 1, 7), ("ReadOnlyMany", 3, 3), ("ReadWriteMany", 5, 5), ("ReadWriteOncePod", 1, 6)],
)
def test_a_driver_that_tells_writers_apart_hears_which_it_is(mode: str, plain: int, telling: int) -> None:
    assert requests.access_mode([mode], ()) == plain
    assert requests.access_mode([mode], BOTH) == telling


@pytest.mark.parametrize(
    ("policy", "fs_type", "modes", "takes"),
    [
        ("File", "", ["ReadWriteMany"], True),
        ("None", "ext4", ["ReadWriteOnce"], False),
        ("ReadWriteOnceWithFSType", "ext4", ["ReadWriteOnce"], True),
        ("ReadWriteOnceWithFSType", "", ["ReadWriteOnce"], False),
        ("ReadWriteOnceWithFSType", "ext4", ["ReadWriteMany"], False),
    ],
)
def test_the_fs_group_policy_says_whose_volumes_the_node_gives_away(
    policy: str, fs_type: str, modes: list[str], takes: bool
) -> None:
    assert requests.takes_group({"fsGroupPolicy": policy}, fs_type, modes, ()) == takes
    assert not requests.takes_group({"fsGroupPolicy": policy}, fs_type, modes, (csi.MOUNT_GROUP,))


def test_a_pod_is_described_only_to_drivers_that_ask() -> None:
    pod = Pod(metadata=PodMeta(name="p", namespace="ns", uid="u"), spec=PodSpec(serviceAccountName="robot"))
    assert requests.pod_attributes(pod, {}, inline=True) == {}
    told = requests.pod_attributes(pod, {"podInfoOnMount": True}, inline=False)
    assert (told["csi.storage.k8s.io/pod.name"], told["csi.storage.k8s.io/ephemeral"]) == ("p", "false")


def test_a_block_volume_is_asked_for_by_an_empty_message() -> None:
    wanted = requests.capability(1, block=True, fs_type="ext4", options=(), group=None)
    data = csi.encode("VolumeCapability", wanted)
    assert data == b"\x0a\x00\x1a\x02\x08\x01"


def test_a_claim_whose_volume_has_grown_loses_the_signs_of_growing() -> None:
    pending = {"type": "FileSystemResizePending", "status": "True"}
    other = {"type": "ModifyingVolume", "status": "True"}
    status = {
        "capacity": {"storage": "1Gi"}, "conditions": [pending, other],
        "allocatedResourceStatuses": {"storage": "NodeResizePending"},
    }  # fmt: skip
    assert requests.grown_claim({"status": status}, "2Gi") == {
        "status": {
            "capacity": {"storage": "2Gi"}, "conditions": [other], "allocatedResourceStatuses": {"storage": None},
        }
    }  # fmt: skip
    assert requests.grown_claim({"status": {"capacity": {"storage": "2Gi"}}}, "2Gi") is None


def test_what_pods_have_is_read_back_from_their_directories(tmp_path: Path) -> None:
    disk = Record(driverName="d", volumeHandle="h", specVolID="disk")
    raw = Record(driverName="d", volumeHandle="r", specVolID="raw", volumeMode="Block")
    for record in (disk, raw):
        records.write(tmp_path, "u", record)
    assert records.of_all(tmp_path) == {("u", "disk"): disk, ("u", "raw"): raw}
    records.remove(tmp_path, "u", disk)
    assert list(records.of_pod(tmp_path, "u")) == [raw]
    assert not (tmp_path / "pods/u/volumes/kubernetes.io~csi/disk").exists()
