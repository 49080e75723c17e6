from typing import Any

from mizzen.api.storage.csidriver import CSI_DRIVER
from mizzen.api.storage.csinode import CSI_NODE
from mizzen.api.storage.csistoragecapacity import CSI_STORAGE_CAPACITY
from mizzen.api.storage.storageclass import STORAGE_CLASS
from mizzen.api.storage.volumeattachment import VOLUME_ATTACHMENT
from mizzen.api.storage.volumeattributesclass import VOLUME_ATTRIBUTES_CLASS

from ..written import causes, cells, written


def test_a_driver_attaches_persistent_volumes_unless_it_says_otherwise() -> None:
    spec = written(CSI_DRIVER, {"spec": {}})["spec"]
    assert (spec["attachRequired"], spec["podInfoOnMount"], spec["volumeLifecycleModes"]) == (
        True,
        False,
        ["Persistent"],
    )
    assert spec["fsGroupPolicy"] == "ReadWriteOnceWithFSType"


def test_tokens_live_ten_minutes_or_longer() -> None:
    content = {"metadata": {"name": "d.test"}, "spec": {"tokenRequests": [{"audience": "a", "expirationSeconds": 599}]}}
    assert causes(CSI_DRIVER, content) == {("spec.tokenRequests[0].expirationSeconds", "Invalid")}


def test_whether_a_driver_attaches_may_not_change() -> None:
    old = written(CSI_DRIVER, {"metadata": {"name": "d.test"}, "spec": {}})
    changed = {"metadata": {"name": "d.test"}, "spec": {"attachRequired": False}}
    assert causes(CSI_DRIVER, changed, old) == {("spec.attachedRequired", "Invalid")}
    assert cells(CSI_DRIVER, changed)["TokenRequests"] == "<unset>"


def test_drivers_of_a_node_are_named_once_and_keep_their_identity() -> None:
    def node(*ids: str) -> dict[str, Any]:
        return {"metadata": {"name": "n"}, "spec": {"drivers": [{"name": "d.test", "nodeID": each} for each in ids]}}

    assert causes(CSI_NODE, node("1", "1")) == {("spec.drivers[1].name", "Duplicate")}
    assert causes(CSI_NODE, node("2"), written(CSI_NODE, node("1"))) == {("CSINodeDriver", "Invalid")}
    assert cells(CSI_NODE, node("1"))["Drivers"] == 1


def test_room_is_never_negative_and_stays_of_its_class() -> None:
    old = written(CSI_STORAGE_CAPACITY, {"storageClassName": "a"})
    assert causes(CSI_STORAGE_CAPACITY, {"storageClassName": "b", "capacity": "-1"}, old) == {
        ("capacity", "Invalid"),
        ("storageClassName", "Invalid"),
    }


def test_an_attachment_has_one_source_and_keeps_it() -> None:
    content: dict[str, Any] = {
        "metadata": {"name": "a"},
        "spec": {"attacher": "d.test", "nodeName": "n", "source": {"persistentVolumeName": "v"}},
    }
    old = written(VOLUME_ATTACHMENT, content)
    assert old["status"] == {"attached": False}
    moved = content | {"spec": content["spec"] | {"nodeName": "m"}}
    assert causes(VOLUME_ATTACHMENT, moved, old) == {("spec", "Invalid")}
    both = content | {"spec": content["spec"] | {"source": {"persistentVolumeName": "v", "inlineVolumeSpec": {}}}}
    assert causes(VOLUME_ATTACHMENT, both) == {("spec.source", "Forbidden")}
    assert cells(VOLUME_ATTACHMENT, content | {"status": {"attached": True}})["Attached"] is True


def test_an_inline_volume_is_a_csi_volume_and_nothing_more() -> None:
    inline = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "nfs": {"server": "s", "path": "/"}}
    content = {"spec": {"attacher": "d.test", "nodeName": "n", "source": {"inlineVolumeSpec": inline}}}
    path = "spec.source.inlineVolumeSpec"
    assert causes(VOLUME_ATTACHMENT, content) == {
        (f"{path}.capacity", "Forbidden"),
        (f"{path}.csi", "Required"),
    }


def test_attributes_of_a_class_are_given_and_stay() -> None:
    assert causes(VOLUME_ATTRIBUTES_CLASS, {"driverName": "d.test"}) == {("parameters", "Required")}
    old = written(VOLUME_ATTRIBUTES_CLASS, {"driverName": "d.test", "parameters": {"iops": "1"}})
    faster = {"driverName": "d.test", "parameters": {"iops": "2"}}
    assert causes(VOLUME_ATTRIBUTES_CLASS, faster, old) == {("parameters", "Forbidden")}


def test_topologies_name_each_key_and_value_once() -> None:
    zone = {"key": "zone", "values": ["a", "a"]}
    content = {"provisioner": "acme.test/d", "allowedTopologies": [{"matchLabelExpressions": [zone, zone]}]}
    path = "allowedTopologies[0].matchLabelExpressions"
    assert causes(STORAGE_CLASS, content) == {
        (f"{path}[0].values[1]", "Duplicate"),
        (f"{path}[1].values[1]", "Duplicate"),
        (f"{path}[1].key", "Duplicate"),
    }


def test_topology_keys_are_blamed_on_their_driver() -> None:
    assert CSI_NODE.validate
    driver = {"name": "d.test", "nodeID": "1", "topologyKeys": ["", "a", "a"]}
    errors = CSI_NODE.validate(written(CSI_NODE, {"spec": {"drivers": [driver]}}), None)
    assert [(error.path, str(error.cause)) for error in errors] == [
        ("spec.drivers[0]", "FieldValueRequired"),
        ("spec.drivers[0]", "FieldValueInvalid"),
        ("spec.drivers[0]", "FieldValueInvalid"),
        ("spec.drivers[0]", "FieldValueDuplicate"),
    ]


def test_a_topology_is_given_once_in_whatever_order_and_an_empty_one_never() -> None:
    def class_(*terms: Any) -> dict[str, Any]:
        return {"provisioner": "d.test", "allowedTopologies": [{"matchLabelExpressions": term} for term in terms]}

    one, same = [{"key": "z", "values": ["a", "b"]}], [{"key": "z", "values": ["b", "a"]}]
    assert causes(STORAGE_CLASS, class_(one, [{"key": "z", "values": ["a"]}])) == set()
    assert causes(STORAGE_CLASS, class_(one, same)) == {("allowedTopologies[1].matchLabelExpressions", "Duplicate")}
    assert causes(STORAGE_CLASS, class_([])) == {("allowedTopologies[0].matchLabelExpressions", "Duplicate")}


def test_a_class_of_attributes_is_looked_at_again_on_update() -> None:
    old = written(VOLUME_ATTRIBUTES_CLASS, {"driverName": "D.test", "parameters": {"a": "b"}})
    assert causes(VOLUME_ATTRIBUTES_CLASS, {"driverName": "D.test"}, old) == {
        ("parameters", "Forbidden"),
        ("parameters", "Required"),
    }


def test_an_attachment_names_a_volume_and_reports_briefly() -> None:
    source = {"persistentVolumeName": "A_b"}
    content = {"spec": {"attacher": "d.test", "nodeName": "n", "source": source}}
    assert causes(VOLUME_ATTACHMENT, content) == {("spec.source.persistentVolumeName", "Invalid")}
    assert VOLUME_ATTACHMENT.validate_status
    status = {"attachError": {"message": "x" * 1025, "errorCode": -1}}
    assert [error.path for error in VOLUME_ATTACHMENT.validate_status({"status": status}, None)] == [
        "status.attachError.message",
        "status.attachError.errorCode",
    ] * 2
