"""Bytes as Go programs write them: the envelope, zero values, presence, special forms, frames of a watch."""

import pytest

from mizzen.machinery.protobuf import envelope, varint
from mizzen.machinery.protobuf.messages import ProtobufError, fields, message_of, names
from mizzen.machinery.schema import definitions

# What kubectl 1.37 sends for `create configmap c2 --from-literal=a=b`.
CONFIG_MAP = bytes.fromhex(
    "6b3873000a0f0a02763112 09436f6e6669674d6170 1220 0a160a02633212001a0474763337 22002a003200380042001206"
    "0a016112 0162 1a002200"
)


def read(raw: bytes, api_version: str, kind: str) -> dict[str, object]:
    found = envelope.read(envelope.opened(envelope.wrapped(api_version, kind, raw)), "", "")
    assert (found.pop("apiVersion"), found.pop("kind")) == (api_version, kind)
    return found


def there_and_back(api_version: str, kind: str, obj: dict[str, object]) -> dict[str, object]:
    return read(bytes(envelope.message(obj, api_version, kind)), api_version, kind)


def test_a_body_of_kubectl_is_the_object_that_its_json_would_be() -> None:
    assert envelope.read(envelope.opened(CONFIG_MAP), "", "") == {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"name": "c2", "namespace": "tv37"},
        "data": {"a": "b"},
    }


def test_what_we_write_ends_like_what_go_writes() -> None:
    obj = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "c2", "namespace": "tv37"}, "data": {"a": "b"}}
    written = envelope.write(obj)
    assert written.startswith(CONFIG_MAP[:21])
    assert written.endswith(CONFIG_MAP[-4:])
    assert envelope.read(envelope.opened(written), "", "") == obj


def test_an_envelope_without_a_kind_takes_the_one_that_is_expected() -> None:
    body = envelope.MAGIC + b"\x12" + varint.sized(b"\x12\x06\n\x01a\x12\x01b") + b"\x1a\x00\x22\x00"
    found = envelope.read(envelope.opened(body), "v1", "ConfigMap")
    assert found == {"kind": "ConfigMap", "apiVersion": "v1", "data": {"a": "b"}}


@pytest.mark.parametrize("body", [b"", b"k8s", b'{"kind":"Pod"}', b"k8s\x00\x0a\xff", b"k8s\x00\x0a\x02\x0a\x7f"])
def test_what_is_no_envelope_is_refused(body: bytes) -> None:
    with pytest.raises(ProtobufError):
        envelope.opened(body)


def test_a_kind_that_nobody_knows_is_refused() -> None:
    body = envelope.wrapped("example.com/v1", "Gizmo", b"")
    with pytest.raises(ProtobufError, match="Gizmo"):
        envelope.read(envelope.opened(body), "v1", "Pod")


def test_zero_values_disappear_where_json_omits_them_and_stay_where_presence_tells() -> None:
    pod_spec = b"\x1a\x00" + b"\x58\x00" + b"\x20\x00"
    found = read(b"\x12" + varint.sized(pod_spec), "v1", "Pod")
    assert found == {"spec": {"terminationGracePeriodSeconds": 0}}


def test_zero_values_that_json_always_shows_appear_even_when_not_sent() -> None:
    pod_spec = b"\x12" + varint.sized(b"\x12\x01a")
    assert read(b"\x12" + varint.sized(pod_spec), "v1", "Pod") == {"spec": {"containers": [{"name": "", "image": "a"}]}}


def test_fields_of_a_later_version_are_skipped() -> None:
    later = varint.tag(900, 0) + b"\x05" + varint.tag(901, 2) + b"\x03abc" + varint.tag(902, 1) + bytes(8)
    later += varint.tag(903, 5) + bytes(4)
    assert read(later + b"\x12\x06\n\x01a\x12\x01b" + later, "v1", "ConfigMap") == {"data": {"a": "b"}}


@pytest.mark.parametrize("raw", [b"\x12", b"\x12\x06\n\x01a", b"\x12\xff\xff\xff\xff\x0f", b"\x0b", b"\x80" * 20])
def test_a_message_that_breaks_off_is_refused(raw: bytes) -> None:
    with pytest.raises(ProtobufError):
        read(raw, "v1", "ConfigMap")


def test_fields_of_an_inline_message_stand_in_the_object_around_it() -> None:
    volume = {"name": "v", "configMap": {"name": "c", "optional": False}}
    probe = {"httpGet": {"port": "http"}, "periodSeconds": 3}
    spec = {"volumes": [volume], "containers": [{"name": "c", "livenessProbe": probe}]}
    assert there_and_back("v1", "Pod", {"spec": spec}) == {"spec": spec}


def test_special_forms_keep_their_values() -> None:
    service = {"ports": [{"port": 80, "targetPort": "http"}, {"port": 81, "targetPort": 0}]}
    assert there_and_back("v1", "Service", {"spec": service}) == {"spec": service}
    lease = {"renewTime": "2026-01-02T03:04:05.000678Z", "acquireTime": "1969-12-31T23:59:59.500000Z"}
    assert there_and_back("coordination.k8s.io/v1", "Lease", {"spec": lease}) == {"spec": lease}
    ancient = {"renewTime": "0001-01-01T00:00:02.000007Z"}
    assert there_and_back("coordination.k8s.io/v1", "Lease", {"spec": ancient}) == {"spec": ancient}
    secret = {"a": "", "b": "AP+A"}
    assert there_and_back("v1", "Secret", {"data": secret}) == {"data": secret}
    extra = {"spec": {"extra": {"scopes": ["a", "b"], "none": []}}}
    assert there_and_back("authorization.k8s.io/v1", "SubjectAccessReview", extra) == extra
    meta = {"metadata": {"creationTimestamp": "1970-01-01T00:00:00Z"}}
    assert there_and_back("v1", "Namespace", meta) == meta


def test_a_time_that_is_not_set_disappears() -> None:
    assert read(b"\n\x02\x42\x00", "v1", "Namespace") == {"metadata": {}}
    assert there_and_back("v1", "Namespace", {"metadata": {"creationTimestamp": None}}) == {"metadata": {}}


def test_the_schema_of_a_custom_resource_keeps_its_unions_and_any_json() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"items": {"type": "string"}, "default": {"x": [1, None]}, "maximum": 1.5, "minimum": 0},
            "b": {"additionalProperties": False, "enum": ["x", None, 1]},
            "c": {"additionalProperties": {"type": "integer"}, "x-kubernetes-preserve-unknown-fields": True},
        },
    }
    spec = {
        "group": "example.com",
        "names": {"plural": "gizmos", "kind": "Gizmo"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": schema},
                "subresources": {"status": {}},
            }
        ],
    }
    found = there_and_back("apiextensions.k8s.io/v1", "CustomResourceDefinition", {"spec": spec})
    assert found == {"spec": spec}


def test_a_watch_event_is_a_frame_around_an_envelope() -> None:
    enveloped = envelope.write({"kind": "ConfigMap", "apiVersion": "v1", "data": {"a": "b" * 300}})
    frame = envelope.frame("MODIFIED", enveloped)
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4
    assert frame[4:14] == b"\n\x08MODIFIED"
    assert frame.endswith(enveloped)


def test_a_list_carries_its_metadata_and_objects() -> None:
    one = envelope.item(envelope.message({"data": {"a": "b"}}, "v1", "ConfigMap"))
    meta = {"resourceVersion": "7", "continue": "token", "remainingItemCount": 3}
    body = b"".join(envelope.listed("v1", "ConfigMapList", meta, one + one))
    assert envelope.read(envelope.opened(body), "", "") == {
        "kind": "ConfigMapList",
        "apiVersion": "v1",
        "metadata": meta,
        "items": [{"data": {"a": "b"}}, {"data": {"a": "b"}}],
    }


def test_delete_options_are_read_whatever_group_they_claim() -> None:
    options = {"kind": "DeleteOptions", "apiVersion": "example.com/v1", "propagationPolicy": "Orphan"}
    assert envelope.read(envelope.opened(envelope.write(options)), "", "") == options


def test_messages_have_exactly_the_published_fields() -> None:
    def shown(name: str) -> set[str]:
        own = {field.name for field in fields(name) if field.name}
        inlined = (shown(field.form) for field in fields(name) if not field.name)
        return own.union(*inlined) - {"kind", "apiVersion"}

    published = {name: one.get("properties", {}).keys() - {"kind", "apiVersion"} for name, one in definitions().items()}
    both = {name for name in published.keys() & set(names()) if ".JSONSchemaPropsOr" not in name}
    assert len(both) > 700
    assert {name for name in both if shown(name) != published[name]} == set()


def test_kinds_of_custom_resources_have_no_message() -> None:
    assert message_of("example.com/v1", "Gizmo") is None


def test_metrics_have_messages_although_they_are_published_nowhere() -> None:
    metrics = {
        "metadata": {"name": "n"},
        "timestamp": "2026-01-02T03:04:05Z",
        "window": "1m0.5s",
        "usage": {"cpu": "5m", "memory": "1Mi"},
    }
    assert there_and_back("metrics.k8s.io/v1beta1", "NodeMetrics", metrics) == metrics
