"""Bytes to checked objects: types, unknown and repeated fields, canonical forms."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.machinery import decode, parse
from mizzen.machinery.schema import Form, registry

POD = registry.find("", "v1", "Pod")
CONFIG_MAP = registry.find("", "v1", "ConfigMap")
assert POD is not None and CONFIG_MAP is not None


def test_the_registry_knows_forms_lists_keys_and_strategies():
    containers = POD.properties["spec"].properties["containers"]
    assert (containers.form, containers.list_type, containers.map_keys) == (Form.LIST, "map", ("name",))
    assert (containers.patch_strategy, containers.merge_key) == (("merge",), "name")
    assert containers.items.properties["resources"].properties["limits"].items.form is Form.QUANTITY
    assert POD.properties["metadata"].properties["creationTimestamp"].form is Form.TIME
    assert CONFIG_MAP.properties["binaryData"].items.form is Form.BYTES
    assert registry.find("", "v1", "Nothing") is None


@pytest.mark.parametrize(
    ("schema", "body", "problem"),
    [
        (
            CONFIG_MAP,
            {"data": {"a": 1}},
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        ),
        (
            CONFIG_MAP,
            {"data": []},
            "json: cannot unmarshal array into Go struct field ConfigMap.data of type map[string]string",
        ),
        (
            POD,
            {"spec": {"containers": {}}},
            "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
        ),
        (
            POD,
            {"spec": {"containers": [{"image": True}]}},
            "json: cannot unmarshal bool into Go struct field Container.spec.containers.image of type string",
        ),
        (
            POD,
            {"spec": {"terminationGracePeriodSeconds": 2.0}},
            "json: cannot unmarshal number 2.0 into Go struct field "
            "PodSpec.spec.terminationGracePeriodSeconds of type int64",
        ),
        (
            POD,
            {"spec": {"priority": 2**40}},
            f"json: cannot unmarshal number {2**40} into Go struct field PodSpec.spec.priority of type int32",
        ),
    ],
)
def test_a_value_of_the_wrong_type_is_named_as_the_original_names_it(schema, body, problem):
    with pytest.raises(decode.DecodeError) as caught:
        decode.decode(orjson.dumps(body), schema)
    assert str(caught.value) == problem


def test_unknown_fields_are_listed_and_pruned():
    body = b'{"spec":{"containers":[{"name":"x","flavour":1}],"colour":null},"extra":{}}'
    decoded = decode.decode(body, POD)
    assert decoded.problems == (
        'unknown field "spec.containers[0].flavour"',
        'unknown field "spec.colour"',
        'unknown field "extra"',
    )
    assert decoded.object == {"spec": {"containers": [{"name": "x"}]}}
    assert decode.decode(body, POD, lenient=True) == decode.Decoded(decoded.object)


def test_repeated_fields_are_listed_and_the_last_one_counts():
    decoded = decode.decode(b'{"metadata":{"name":"a","name":"b"},"data":{"a":"1","a":"2"}}', CONFIG_MAP)
    assert decoded.problems == ('duplicate field "metadata.name"', 'duplicate field "data.a"')
    assert decoded.object == {"metadata": {"name": "b"}, "data": {"a": "2"}}


@pytest.mark.parametrize("text", ['{"a":"x","a" :"y"}', '{"a":"x","\\u0061":"y"}', '{"a":"x",\n"a"\n:"y"}'])
def test_a_repeated_key_is_seen_however_it_is_written(text):
    value = parse.parse_json(text.encode())
    assert parse.has_duplicates(text.encode(), value)


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)


@given(_json, st.sampled_from([None, 1]))
def test_an_object_without_repeats_is_never_said_to_have_any(value, indent):
    text = json.dumps(value, indent=indent).encode()
    assert list(decode.parse(text)[1]()) == []


def test_nulls_and_empty_optional_containers_are_dropped():
    body = {"spec": {"containers": [], "volumes": [], "nodeSelector": None, "securityContext": {}}}
    assert decode.normalise(body, POD) == {"spec": {"containers": [], "securityContext": {}}}


def test_quantities_and_times_become_canonical():
    body = {
        "metadata": {"creationTimestamp": "2026-01-31T13:00:00+01:00"},
        "spec": {"containers": [{"name": "x", "resources": {"limits": {"cpu": "1000m", "memory": 1073741824}}}]},
    }
    normal = decode.normalise(body, POD)
    assert normal["metadata"]["creationTimestamp"] == "2026-01-31T12:00:00Z"
    assert normal["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "1", "memory": "1073741824"}
    assert decode.normalise(json.loads(json.dumps(normal)), POD) == normal


def test_a_null_in_a_map_or_list_becomes_a_zero():
    assert decode.normalise({"data": {"a": None}}, CONFIG_MAP) == {"data": {"a": ""}}


def test_bad_base64_is_refused():
    with pytest.raises(decode.DecodeError, match="illegal base64 data at input byte 0"):
        decode.normalise({"binaryData": {"a": "!!"}}, CONFIG_MAP)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "unexpected end of JSON input"),
        (b"hello", "invalid character 'h' looking for beginning of value"),
        (b'{"a":1}trailing', "invalid character 't' after top-level value"),
    ],
)
def test_bytes_that_are_no_json_are_explained(body, problem):
    with pytest.raises(parse.ParseError) as caught:
        decode.decode(body, CONFIG_MAP)
    assert str(caught.value) == problem


def test_yaml_reads_only_the_first_document_and_tells_of_repeats():
    body = b'data:\n  a: "1"\n  b: x\n  a: "2"\nkind: ConfigMap\n---\nfoo: 1\n'
    decoded = decode.decode(body, CONFIG_MAP, is_yaml=True)
    assert decoded.object == {"data": {"a": "2", "b": "x"}, "kind": "ConfigMap"}
    assert decoded.problems == ('line 4: key "a" already set in map',)


def test_the_problems_of_json_come_in_the_order_of_the_document():
    body = b'{"metadata":{"name":"a","name":"b","odd":1},"spec":{"x":1,"x":2,"hostPID":true,"hostPID":false}}'
    assert decode.decode(body, POD).problems == (
        'duplicate field "metadata.name"',
        'unknown field "metadata.odd"',
        'unknown field "spec.x"',
        'duplicate field "spec.hostPID"',
    )


def test_the_complaints_of_a_yaml_parser_are_told_together():
    problems = ['line 4: key "a" already set in map', 'line 5: key "b" already set in map', 'unknown field "c"']
    assert decode.strict_error(problems) == (
        'strict decoding error: yaml: unmarshal errors:\n  line 4: key "a" already set in map\n'
        '  line 5: key "b" already set in map, unknown field "c"'
    )


def test_odd_and_repeated_fields_of_a_json_patch_are_named_by_operation():
    body = b'[{"op":"add","path":"/a","value":1,"foo":2},{"op":"add","path":"/b","path":"/c","value":{"k":1,"k":1}}]'
    _, repeats = decode.parse(body)
    assert decode.json_patch_problems(body, repeats()) == [
        'json patch unknown field "[0].foo"',
        'json patch duplicate field "[1].path"',
        'json patch duplicate field "[1].value.k"',
    ]


def test_yaml_words_mean_what_they_mean_in_version_1_1():
    text = b"a: yes\nb: 'yes'\nc: 2020-01-01\nd: 010\ne: 0x10\nf: ~\ng: 1e3\nh: 1.5\n1: x\n"
    text += b"i: &x {k: 1}\nj: {<<: *x, l: 2}\n"
    assert parse.parse_yaml(text)[0] == {
        **{"a": True, "b": "yes", "c": "2020-01-01", "d": 8, "e": 16, "f": None, "g": 1000, "h": 1.5, "1": "x"},
        **{"i": {"k": 1}, "j": {"k": 1, "l": 2}},
    }


def test_yaml_that_blows_up_through_aliases_is_refused():
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 9))
    with pytest.raises(parse.ParseError, match="excessive aliasing"):
        parse.parse_yaml(f"l0: &l0 [x]\n{levels}".encode())


@given(_json)
def test_json_read_as_yaml_is_the_same(value):
    body = json.dumps({"value": value}).encode()
    if any(mark in body for mark in (b"\\u00", b"\\ud", b"\\f", b"\\ufff")):
        return
    assert parse.parse_yaml(body)[0] == {"value": value}


def test_a_zero_counts_as_absent_where_the_original_holds_the_number_by_value():
    deployment, service = registry.find("apps", "v1", "Deployment"), registry.find("", "v1", "Service")
    assert deployment is not None and service is not None
    probe = {"initialDelaySeconds": 0, "terminationGracePeriodSeconds": 0}
    container = {"name": "c", "ports": [{"containerPort": 0, "hostPort": 0}], "livenessProbe": probe}
    spec = {"replicas": 0, "minReadySeconds": 0, "template": {"spec": {"containers": [container]}}}
    kept = {"name": "c", "ports": [{"containerPort": 0}], "livenessProbe": {"terminationGracePeriodSeconds": 0}}
    wanted = {"spec": {"replicas": 0, "template": {"spec": {"containers": [kept]}}}}
    assert decode.normalise({"spec": spec}, deployment) == wanted
    ports = {"spec": {"ports": [{"port": 80, "nodePort": 0}], "healthCheckNodePort": 0}}
    assert decode.normalise(ports, service) == {"spec": {"ports": [{"port": 80}]}}


def test_an_empty_optional_string_counts_as_absent_unless_emptiness_means_something():
    claim = registry.find("", "v1", "PersistentVolumeClaim")
    assert claim is not None
    body = {"metadata": {"name": "", "namespace": ""}, "spec": {"storageClassName": "", "volumeName": ""}}
    assert decode.normalise(body, claim) == {"metadata": {}, "spec": {"storageClassName": ""}}
    pod = {"spec": {"hostNetwork": False, "enableServiceLinks": False, "restartPolicy": ""}}
    assert decode.normalise(pod, POD) == {"spec": {"enableServiceLinks": False}}


@pytest.mark.parametrize(
    ("kind", "given", "kept"),
    [
        (("apps", "Deployment"), {"template": {"spec": {"containers": [{"restartPolicy": ""}]}}}, None),
        (
            ("", "PersistentVolume"),
            {"storageClassName": "", "hostPath": {"path": "", "type": ""}},
            {"hostPath": {"path": "", "type": ""}},
        ),
        (("", "PersistentVolume"), {"csi": {"driver": "d", "fsType": "", "readOnly": False}}, {"csi": {"driver": "d"}}),
        (
            ("apiextensions.k8s.io", "CustomResourceDefinition"),
            {"preserveUnknownFields": False, "group": ""},
            {"group": ""},
        ),
        (("policy", "PodDisruptionBudget"), {"unhealthyPodEvictionPolicy": ""}, None),
    ],
)
def test_what_is_empty_is_kept_as_the_type_of_the_original_keeps_it(kind, given, kept):
    schema = registry.find(kind[0], "v1", kind[1])
    assert schema is not None
    assert decode.normalise({"spec": json.loads(json.dumps(given))}, schema) == {
        "spec": given if kept is None else kept
    }


@given(_json)
def test_json_in_yaml_is_read_as_the_yaml_parser_reads_it(value):
    body = json.dumps({"value": value, "more": [1, "1.0", None, True]}).encode()
    if any(mark in body for mark in (b"\\u00", b"\\ud", b"\\f", b"\\ufff")):
        return
    assert parse.parse_yaml(body) == parse.parse_yaml(b" " + body)


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 2}', '{"a": 1.0}', '{"a": [2e3]}', '{"a": yes}', "{a: 1}", '{"a" : 1}']
)
def test_what_yaml_reads_otherwise_than_json_is_read_as_yaml(text):
    assert parse.parse_yaml(text.encode()) == parse.parse_yaml(b" " + text.encode())


@pytest.mark.parametrize("depth", [parse.MAX_DEPTH + 1, 900, 3_000, 100_000])
def test_what_is_nested_too_deeply_is_refused_before_it_exhausts_anything(depth):
    for body, is_yaml in (
        (b'{"a":' * depth + b"1" + b"}" * depth, False),
        (b"[" * depth, False),
        (b'{"a":' * depth + b"1" + b"}" * depth, True),
        (b"[" * depth, True),
        (b"- " * depth + b"x", True),
    ):
        with pytest.raises(parse.ParseError):
            decode.parse(body, is_yaml)


def test_aliases_nest_no_deeper_than_anything_else():
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 400)]
    with pytest.raises(parse.ParseError, match="exceeded max depth"):
        decode.parse("\n".join(lines).encode(), True)


def test_what_is_nested_as_deeply_as_may_be_is_read():
    depth = parse.MAX_DEPTH
    for body in (b'{"a":' * depth + b"1" + b"}" * depth, b'{"a" : ' * depth + b"1" + b"}" * depth):
        for is_yaml in (False, True):
            value, _ = decode.parse(body, is_yaml)
            orjson.dumps({"items": [{"object": value}]})
