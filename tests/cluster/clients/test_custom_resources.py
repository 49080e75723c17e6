"""Custom resources from definition to deletion, through kubectl and on the wire."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.clients.harness import Kubectl, Server

GROUP = "tests.example"
DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.tests.example}
spec:
  group: tests.example
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, shortNames: [wd], categories: [all, gadgets]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale:
        specReplicasPath: .spec.replicas
        statusReplicasPath: .status.replicas
        labelSelectorPath: .status.selector
    selectableFields: [{jsonPath: .spec.color}]
    additionalPrinterColumns:
    - {name: Color, type: string, jsonPath: .spec.color}
    - {name: Replicas, type: integer, jsonPath: .spec.replicas, description: how many}
    - {name: Hidden, type: string, jsonPath: .spec.mode, priority: 1}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    schema:
      openAPIV3Schema:
        type: object
        description: A widget of the tests
        required: [spec]
        properties:
          spec:
            type: object
            required: [color]
            x-kubernetes-validations:
            - {rule: "self.replicas <= 10 || self.mode == 'large'", message: too many for a small widget}
            - {rule: "!has(oldSelf.locked) || self.color == oldSelf.color", message: the color is locked}
            properties:
              color: {type: string, enum: [red, green, blue], description: the paint}
              mode: {type: string, default: small}
              replicas: {type: integer, minimum: 0, default: 1}
              locked: {type: boolean}
              free: {type: object, x-kubernetes-preserve-unknown-fields: true}
              ports:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items:
                  type: object
                  required: [name]
                  properties: {name: {type: string}, port: {x-kubernetes-int-or-string: true}}
          status:
            type: object
            properties: {replicas: {type: integer}, selector: {type: string}, phase: {type: string}}
  - name: v1beta1
    served: true
    storage: false
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""
ITEMS = "/apis/tests.example/v1/namespaces/{}/widgets"


def widget(name: str = "w", **spec: Any) -> dict[str, Any]:
    spec = {"color": "red", **spec}
    return {"apiVersion": f"{GROUP}/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module", autouse=True)
def definition(server: Server) -> Iterator[None]:
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    status, answer = server.request("POST", definitions, yaml.safe_load(DEFINITION))
    assert status == 201, answer
    yield
    server.request("DELETE", f"{definitions}/widgets.tests.example")


def test_a_custom_resource_is_usable_as_soon_as_its_definition_is_established(kubectl: Kubectl, tmp_path: Path) -> None:
    fresh = replace(kubectl, cache=tmp_path)
    group = f"{kubectl.version}.example"
    manifest = re.sub(r"shortNames: .*]", "shortNames: []", DEFINITION).replace(GROUP, group)
    fresh.apply(manifest)
    fresh("wait", "crd", f"widgets.{group}", "--for=condition=Established", "--timeout=5s")
    assert "created" in fresh.apply(json.dumps({**widget(), "apiVersion": f"{group}/v1"}))
    assert "w" in fresh("get", f"widgets.{group}")
    assert "widgets" in fresh("api-resources", "--api-group", group)
    assert "deleted" in fresh("delete", "crd", f"widgets.{group}", "--timeout=20s")
    late = replace(kubectl, cache=tmp_path / "late")
    assert "the server doesn't have a resource type" in late.refused("get", f"widgets.{group}")


def test_printer_columns_short_names_and_categories_show(kubectl: Kubectl) -> None:
    kubectl.apply(json.dumps(widget(replicas=3)))
    head, row = kubectl("get", "wd").splitlines()
    assert head.split() == ["NAME", "COLOR", "REPLICAS", "AGE"]
    assert row.split()[:3] == ["w", "red", "3"]
    assert "HIDDEN" in kubectl("get", "widgets.v1.tests.example", "-o", "wide")
    assert kubectl("get", "gadgets", "-o", "name").split() == ["widget.tests.example/w"]
    assert "widget.tests.example/w" in kubectl("get", "all")
    assert "Color:" in kubectl("describe", "widget", "w")


def test_explain_knows_a_custom_resource(kubectl: Kubectl) -> None:
    shown = kubectl("explain", "widget.spec")
    assert "color\t<string> -required-" in shown and "the paint" in shown
    assert "ports\t<[]Object>" in kubectl("explain", "widget.spec", "--recursive")
    old = kubectl("explain", "widget.spec", "--output", "plaintext-openapiv2")
    assert "color\t<string> -required-" in old


def test_values_are_defaulted_and_pruned(admin: Kubectl) -> None:
    manifest = json.dumps(widget(nonsense=1, free={"any": {"thing": 1}}))
    assert 'unknown field "spec.nonsense"' in admin.refused("create", "-f", "-", stdin=manifest)
    admin("create", "-f", "-", "--validate=ignore", stdin=manifest)
    assert admin.json("widget", "w")["spec"] == {
        "color": "red",
        "mode": "small",
        "replicas": 1,
        "free": {"any": {"thing": 1}},
    }


def test_all_errors_of_a_value_are_told_at_once(admin: Kubectl) -> None:
    refused = admin.refused(
        "create", "-f", "-", "--validate=false", stdin=json.dumps(widget(color="pink", replicas=-1))
    )
    assert 'The Widget "w" is invalid' in refused
    assert 'spec.color: Unsupported value: "pink": supported values: "red", "green", "blue"' in refused
    assert "spec.replicas: Invalid value: -1: spec.replicas in body should be greater than or equal to 0" in refused
    wrong_type = admin.refused("create", "-f", "-", "--validate=false", stdin=json.dumps(widget(replicas="one")))
    assert "spec.replicas" in wrong_type and "must be of type integer" in wrong_type
    duplicate = widget(ports=[{"name": "a", "port": 1}, {"name": "a", "port": "http"}])
    assert "spec.ports[1]: Duplicate value" in admin.refused("create", "-f", "-", stdin=json.dumps(duplicate))


def test_rules_judge_values_and_transitions(admin: Kubectl) -> None:
    assert "too many for a small widget" in admin.refused("create", "-f", "-", stdin=json.dumps(widget(replicas=11)))
    admin("create", "-f", "-", stdin=json.dumps(widget(replicas=11, mode="large", locked=True)))
    assert "the color is locked" in admin.refused("patch", "wd", "w", "--type=merge", "-p", '{"spec":{"color":"blue"}}')


def test_status_and_scale_are_apart_from_the_spec(admin: Kubectl) -> None:
    admin.apply(json.dumps({**widget(), "status": {"phase": "dropped"}}))
    assert "status" not in admin.json("wd", "w")
    admin(
        "patch",
        "wd",
        "w",
        "--subresource=status",
        "--type=merge",
        "-p",
        '{"status":{"replicas":1,"selector":"a=b"},"spec":{"color":"blue"}}',
    )
    seen = admin.json("wd", "w")
    assert (seen["status"], seen["spec"]["color"], seen["metadata"]["generation"]) == (
        {"replicas": 1, "selector": "a=b"},
        "red",
        1,
    )
    assert "scaled" in admin("scale", "wd/w", "--replicas=4")
    scaled = admin.json("wd", "w")
    assert (scaled["spec"]["replicas"], scaled["metadata"]["generation"]) == (4, 2)
    assert (
        admin("get", "wd", "w", "--subresource=scale", "-o", "jsonpath={.kind}{.status}")
        == 'Scale{"replicas":1,"selector":"a=b"}'
    )


def test_selectable_fields_select(admin: Kubectl) -> None:
    for color in ("red", "green", "blue"):
        admin.apply(json.dumps(widget(color, color=color)))
    assert admin("get", "wd", "--field-selector", "spec.color=green", "-o", "name").split() == [
        "widget.tests.example/green"
    ]
    assert "field label not supported: spec.mode" in admin.refused("get", "wd", "--field-selector", "spec.mode=x")


def test_every_version_shows_the_same_object(admin: Kubectl, server: Server) -> None:
    admin.apply(json.dumps(widget()))
    seen = json.loads(admin("get", "widgets.v1beta1.tests.example", "w", "-o", "json"))
    assert (seen["apiVersion"], seen["spec"]["color"]) == (f"{GROUP}/v1beta1", "red")
    status, group = server.request("GET", f"/apis/{GROUP}")
    assert status == 200
    assert [one["version"] for one in group["versions"]] == ["v1", "v1beta1"]
    assert group["preferredVersion"]["version"] == "v1"


def test_server_side_apply_merges_lists_by_their_keys(admin: Kubectl) -> None:
    admin.apply(json.dumps(widget(ports=[{"name": "a", "port": 1}])), "--server-side", "--field-manager=one")
    admin.apply(json.dumps(widget(ports=[{"name": "b", "port": "http"}])), "--server-side", "--field-manager=two")
    assert admin.json("wd", "w")["spec"]["ports"] == [{"name": "a", "port": 1}, {"name": "b", "port": "http"}]


def test_strategic_merge_is_not_offered(server: Server, namespace: str) -> None:
    path = ITEMS.format(namespace)
    assert server.request("POST", path, widget())[0] == 201
    status, answer = server.request("PATCH", f"{path}/w", {}, content_type="application/strategic-merge-patch+json")
    assert status == 415
    assert "application/merge-patch+json" in answer["message"]


def test_a_definition_with_errors_is_refused_with_all_of_them(admin: Kubectl) -> None:
    wrong = DEFINITION.replace("widgets.tests.example", "gizmos.tests.example").replace(
        "storage: true", "storage: false"
    )
    refused = admin.refused("create", "-f", "-", stdin=wrong)
    assert "metadata.name: Invalid value" in refused
    assert "must have exactly one version marked as storage version" in refused


def test_finalizers_hold_an_object_until_they_are_gone(admin: Kubectl) -> None:
    held = widget()
    held["metadata"]["finalizers"] = ["tests.example/hold"]
    admin.apply(json.dumps(held))
    admin("delete", "wd", "w", "--wait=false")
    assert admin.json("wd", "w")["metadata"]["deletionTimestamp"]
    admin("patch", "wd", "w", "--type=json", "-p", '[{"op":"remove","path":"/metadata/finalizers"}]')
    admin("wait", "wd/w", "--for=delete", "--timeout=5s")
