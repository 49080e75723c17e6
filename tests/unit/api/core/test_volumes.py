from typing import Any

import pytest

from mizzen.api.core.persistentvolume import PERSISTENT_VOLUME
from mizzen.api.core.persistentvolumeclaim import PERSISTENT_VOLUME_CLAIM
from mizzen.api.storage.storageclass import STORAGE_CLASS

from ..written import causes, cells, written


def volume(**spec: Any) -> dict[str, Any]:
    base = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}
    source = (
        {}
        if any(kind in spec for kind in ("csi", "local", "nfs", "azureDisk", "iscsi"))
        else {"hostPath": {"path": "/srv"}}
    )
    return {"metadata": {"name": "vol"}, "spec": base | source | spec}


def claim(size: str = "1Gi", **spec: Any) -> dict[str, Any]:
    base = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    return {"metadata": {"name": "disk"}, "spec": base | spec}


def test_a_volume_is_kept_and_mounted_as_a_file_system() -> None:
    stored = written(PERSISTENT_VOLUME, volume(hostPath={"path": "/srv"}))
    assert stored["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert stored["spec"]["volumeMode"] == "Filesystem"
    assert stored["spec"]["hostPath"] == {"path": "/srv", "type": ""}
    assert stored["status"]["phase"] == "Pending"


def test_sources_get_their_own_defaults() -> None:
    disk = written(PERSISTENT_VOLUME, volume(azureDisk={"diskName": "d", "diskURI": "https://x"}))["spec"]["azureDisk"]
    assert (disk["cachingMode"], disk["kind"], disk["fsType"], disk["readOnly"]) == (
        "ReadWrite",
        "Shared",
        "ext4",
        False,
    )
    target = {"targetPortal": "p", "iqn": "iqn.2026-01.test:x", "lun": 0}
    assert written(PERSISTENT_VOLUME, volume(iscsi=target))["spec"]["iscsi"]["iscsiInterface"] == "default"


@pytest.mark.parametrize(
    ("spec", "cause"),
    [
        ({"capacity": {"storage": "0"}}, ("spec.capacity[storage]", "Invalid")),
        ({"capacity": {"storage": "1", "cpu": "1"}}, ("spec.capacity", "NotSupported")),
        ({"accessModes": ["ReadSometimes"]}, ("spec.accessModes", "NotSupported")),
        ({"accessModes": ["ReadWriteOncePod", "ReadWriteOnce"]}, ("spec.accessModes", "Forbidden")),
        ({"hostPath": {"path": "/a/../b"}}, ("spec.hostPath.path", "Invalid")),
        ({"hostPath": {"path": "/a", "type": "Hole"}}, ("spec.hostPath.type", "NotSupported")),
        ({"hostPath": None}, ("spec", "Required")),
        ({"nfs": {"server": "s", "path": "relative"}}, ("spec.nfs.path", "Invalid")),
        ({"iscsi": {"targetPortal": "p", "iqn": "nope", "lun": 300}}, ("spec.iscsi.lun", "Invalid")),
        (
            {"csi": {"driver": "d", "volumeHandle": "h", "nodePublishSecretRef": {"name": "s"}}},
            ("spec.csi.nodePublishSecretRef.namespace", "Required"),
        ),
        ({"persistentVolumeReclaimPolicy": "Shred"}, ("spec.persistentVolumeReclaimPolicy", "NotSupported")),
        ({"volumeAttributesClassName": "fast"}, ("spec.csi", "Required")),
    ],
)
def test_what_a_volume_may_not_say(spec: dict[str, Any], cause: tuple[str, str]) -> None:
    assert cause in causes(PERSISTENT_VOLUME, volume(**spec))


def test_the_source_of_a_volume_may_not_change() -> None:
    old = written(PERSISTENT_VOLUME, volume())
    assert causes(PERSISTENT_VOLUME, volume(hostPath={"path": "/other"}), old) == {
        ("spec.persistentvolumesource", "Forbidden")
    }


def test_data_source_and_its_reference_mirror_each_other() -> None:
    source = {"kind": "PersistentVolumeClaim", "name": "other"}
    assert written(PERSISTENT_VOLUME_CLAIM, claim(dataSource=source))["spec"]["dataSourceRef"] == source
    assert written(PERSISTENT_VOLUME_CLAIM, claim(dataSourceRef=source))["spec"]["dataSource"] == source
    elsewhere = claim(dataSourceRef=source | {"namespace": "far"})
    assert "dataSource" not in written(PERSISTENT_VOLUME_CLAIM, elsewhere)["spec"]


def test_a_source_of_the_core_group_is_a_claim() -> None:
    bad = claim(dataSource={"kind": "VolumeSnapshot", "name": "s"})
    assert ("spec.dataSource", "Invalid") in causes(PERSISTENT_VOLUME_CLAIM, bad)


def test_a_bound_claim_may_ask_for_more_and_not_for_less_than_it_has() -> None:
    old = written(PERSISTENT_VOLUME_CLAIM, claim("2Gi", volumeName="v"))
    old["status"] = {"phase": "Bound", "capacity": {"storage": "2Gi"}}
    assert causes(PERSISTENT_VOLUME_CLAIM, claim("3Gi", volumeName="v"), old) == set()
    assert causes(PERSISTENT_VOLUME_CLAIM, claim("1Gi", volumeName="v"), old) == {
        ("spec.resources.requests.storage", "Forbidden")
    }


def test_a_pending_claim_may_be_given_a_volume_and_a_class_and_nothing_else() -> None:
    old = written(PERSISTENT_VOLUME_CLAIM, claim())
    assert causes(PERSISTENT_VOLUME_CLAIM, claim(volumeName="v", storageClassName="fast"), old) == set()
    assert causes(PERSISTENT_VOLUME_CLAIM, claim("2Gi"), old) == {("spec", "Forbidden")}
    assert causes(PERSISTENT_VOLUME_CLAIM, claim("1Mi"), old) == {
        ("spec", "Forbidden"),
        ("spec.resources.requests.storage", "Forbidden"),
    }


def test_columns_of_volumes_and_claims() -> None:
    reserved = volume(claimRef={"namespace": "n", "name": "c"}, storageClassName="slow")
    row = cells(PERSISTENT_VOLUME, reserved | {"status": {"phase": "Bound"}})
    assert (row["Capacity"], row["Access Modes"], row["Claim"], row["Status"]) == ("1Gi", "RWO", "n/c", "Bound")
    bound = claim(volumeName="v") | {
        "status": {"phase": "Bound", "capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"]}
    }
    row = cells(PERSISTENT_VOLUME_CLAIM, bound)
    assert (row["Volume"], row["Capacity"], row["Access Modes"], row["VolumeMode"]) == (
        "v",
        "2Gi",
        "RWO,RWX",
        "Filesystem",
    )
    assert cells(PERSISTENT_VOLUME_CLAIM, claim())["Capacity"] == ""


def test_the_default_class_is_marked_and_what_a_class_makes_may_not_change() -> None:
    content = {"provisioner": "acme.test/disk", "parameters": {"a": "1"}}
    marked = content | {
        "metadata": {"name": "sc", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}
    }
    assert cells(STORAGE_CLASS, marked)["Name"] == "sc (default)"
    old = written(STORAGE_CLASS, content)
    changed = {"provisioner": "acme.test/tape", "parameters": {"a": "2"}, "reclaimPolicy": "Retain"}
    assert causes(STORAGE_CLASS, changed, old) == {
        ("parameters", "Forbidden"),
        ("provisioner", "Forbidden"),
        ("reclaimPolicy", "Forbidden"),
    }


def test_mount_options_need_a_source_that_knows_them() -> None:
    key = "volume.beta.kubernetes.io/mount-options"
    spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}
    volume = {"metadata": {"annotations": {key: "ro"}}, "spec": {**spec, "hostPath": {"path": "/a"}}}
    assert causes(PERSISTENT_VOLUME, volume) == {(f"metadata.annotations.{key}", "Forbidden")}
    volume["spec"] = {**spec, "nfs": {"server": "s", "path": "/a"}}
    assert causes(PERSISTENT_VOLUME, volume) == set()


def test_tables_show_the_class_of_attributes() -> None:
    one = written(PERSISTENT_VOLUME_CLAIM, claim(volumeAttributesClassName="fast"))
    names = [column.name for column in PERSISTENT_VOLUME_CLAIM.table.columns]
    cells = dict(zip(names, PERSISTENT_VOLUME_CLAIM.table.row(one, 1e9), strict=True))
    assert cells["VolumeAttributesClass"] == "fast"
    plain = written(PERSISTENT_VOLUME, volume(hostPath={"path": "/srv"}))
    names = [column.name for column in PERSISTENT_VOLUME.table.columns]
    assert dict(zip(names, PERSISTENT_VOLUME.table.row(plain, 1e9), strict=True))["VolumeAttributesClass"] == "<unset>"
