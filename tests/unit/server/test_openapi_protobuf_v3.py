"""OpenAPI v3 in protobuf, read back by a decoder that knows nothing of the tables, and put together as JSON again."""

from typing import Any

import orjson
import pytest
from tests.fakes.published import document_class
from tests.unit.server.conftest import Caller

from mizzen.machinery.errors import Object
from mizzen.server import openapi_protobuf_v3

NAMED = ("Schema", "Any", "Path", "MediaType", "Response", "Security")
MESSAGES = {
    "Any": "yaml:2:text",
    "Schema": "schema:1:Described reference:2:Reference",
    "Reference": "$ref:1:text description:3:text",
    "Schemas": "additional_properties:1:NamedSchema*",
    "Items": "schema_or_reference:1:Schema*",
    "Additional": "schema_or_reference:1:Schema boolean:2:boolean",
    "Default": "number:1:double boolean:2:boolean string:3:text",
    "Described": "maximum:11:double maxLength:15:count uniqueItems:20:boolean required:23:text* enum:24:Any*"
    " type:25:text allOf:26:Schema* oneOf:27:Schema* items:30:Items properties:31:Schemas"
    " additionalProperties:32:Additional default:33:Default description:34:text format:35:text extension:36:NamedAny*",
    "Parameter": "parameter:1:DescribedParameter reference:2:Reference",
    "DescribedParameter": "name:1:text in:2:text description:3:text required:4:boolean schema:10:Schema",
    "MediaType": "schema:1:Schema",
    "MediaTypes": "additional_properties:1:NamedMediaType*",
    "Body": "request_body:1:DescribedBody reference:2:Reference",
    "DescribedBody": "description:1:text content:2:MediaTypes required:3:boolean",
    "Response": "response:1:DescribedResponse reference:2:Reference",
    "DescribedResponse": "description:1:text content:3:MediaTypes",
    "Responses": "response_or_reference:2:NamedResponse*",
    "Operation": "tags:1:text* description:3:text operationId:5:text parameters:6:Parameter* requestBody:7:Body"
    " responses:8:Responses extension:13:NamedAny*",
    "Path": "get:4:Operation put:5:Operation post:6:Operation delete:7:Operation options:8:Operation"
    " head:9:Operation patch:10:Operation parameters:13:Parameter*",
    "Paths": "path:1:NamedPath*",
    "Info": "title:1:text version:6:text",
    "Security": "scheme:1:DescribedSecurity",
    "DescribedSecurity": "type:1:text description:2:text name:3:text in:4:text",
    "Securities": "additional_properties:1:NamedSecurity*",
    "Components": "schemas:1:Schemas securitySchemes:7:Securities",
    "Document": "openapi:1:text info:2:Info paths:4:Paths components:5:Components",
    **{f"Named{one}": f"name:1:text value:2:{one}" for one in NAMED},
}


DOCUMENT = document_class("o3", MESSAGES)
_ONE_OF = {"schema", "reference", "parameter", "request_body", "response", "scheme"}


def rebuilt(message: Any) -> Any:
    """The JSON that a message stands for."""
    name = message.DESCRIPTOR.name
    found = {field.name: value for field, value in message.ListFields()}
    if name == "Any":
        return orjson.loads(message.yaml)
    if name == "Default":
        return next(iter(found.values()), {})
    if name == "Additional":
        return message.boolean if not message.HasField("schema_or_reference") else rebuilt(message.schema_or_reference)
    if name == "Items":
        (item,) = message.schema_or_reference
        return rebuilt(item)
    if len(found) == 1 and name != "MediaType" and (only := next(iter(found))) in _ONE_OF:
        return rebuilt(found[only])
    for key in ("additional_properties", "path", "response_or_reference"):
        if key in found:
            return {one.name: rebuilt(one.value) for one in found[key]}
    made: Object = {}
    for key, value in found.items():
        if key == "extension":
            made |= {one.name: rebuilt(one.value) for one in value}
        elif message.DESCRIPTOR.fields_by_name[key].message_type is None:
            made[key.replace("_ref", "$ref")] = list(value) if not isinstance(value, (str, int, float)) else value
        elif hasattr(value, "DESCRIPTOR"):
            made[key] = rebuilt(value)
        else:
            made[key] = [rebuilt(one) for one in value]
    return made


def _worded(value: Any) -> Any:
    """A document without what the messages cannot tell apart from nothing."""
    if isinstance(value, dict):
        told = {key: one for key, one in value.items() if key == "default" or one not in ("", [])}
        return {key: one if key.startswith("x-") else _worded(one or {}) for key, one in told.items()}
    return [_worded(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", ["api/v1", "apis/apps/v1", "apis/resource.k8s.io/v1", "apis/batch/v1"])
async def test_a_document_in_protobuf_says_what_it_says_in_json(api: Caller, name: str) -> None:
    _, document = await api.call("GET", f"/openapi/v3/{name}")
    for accept in openapi_protobuf_v3.CONTENT_TYPES:
        response = await api.raw("GET", f"/openapi/v3/{name}", accept=accept)
        assert response.headers["content-type"] == openapi_protobuf_v3.CONTENT_TYPES[1]
        assert rebuilt(DOCUMENT.FromString(response.body)) == _worded(document)


def test_bounds_defaults_and_what_else_custom_resources_have_are_told() -> None:
    kite = {
        "type": "object",
        "properties": {
            "length": {"type": "integer", "default": 3, "maximum": 2.5, "enum": [1, 2]},
            "open": {"type": "boolean", "default": True},
            "name": {"type": "string", "default": "kite", "maxLength": 300},
            "wind": {"type": "object", "additionalProperties": True, "default": {}},
            "tail": {"description": "Its tail.", "$ref": "#/components/schemas/Tail"},
        },
        "x-kubernetes-preserve-unknown-fields": True,
    }
    document = {"openapi": "3.0.0", "components": {"schemas": {"Kite": kite, "Tail": {"type": "string"}}}}
    assert rebuilt(DOCUMENT.FromString(openapi_protobuf_v3.encode(document))) == document


async def test_json_and_protobuf_have_tags_of_their_own_and_others_are_not_acceptable(api: Caller) -> None:
    path = "/openapi/v3/apis/apps/v1"
    json = await api.raw("GET", path)
    protobuf = await api.raw("GET", path, accept=openapi_protobuf_v3.CONTENT_TYPES[0])
    assert json.headers["etag"] != protobuf.headers["etag"]
    again = await api.raw(
        "GET", path, accept=openapi_protobuf_v3.CONTENT_TYPES[0], if_none_match=protobuf.headers["etag"]
    )
    assert again.status == 304
    assert (await api.raw("GET", path, accept="application/cbor")).status == 406
