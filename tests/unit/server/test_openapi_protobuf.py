"""OpenAPI v2 in protobuf, read back by a decoder that knows nothing of the tables."""

from typing import Any

from tests.fakes.published import document_class

from mizzen.machinery.errors import Object
from mizzen.server import openapi_protobuf

MESSAGES = {
    "Any": "yaml:2:text",
    "NamedAny": "name:1:text value:2:Any",
    "NamedSchema": "name:1:text value:2:Schema",
    "Properties": "all:1:NamedSchema*",
    "Additional": "schema:1:Schema boolean:2:boolean",
    "Type": "value:1:text*",
    "Items": "schema:1:Schema*",
    "Schema": "ref:1:text description:4:text default:5:Any maximum:7:double min_length:12:count required:19:text*"
    " enum:20:Any* additional:21:Additional type:22:Type items:23:Items properties:25:Properties"
    " extensions:31:NamedAny*",
    "Body": "name:2:text required:4:boolean schema:5:Schema",
    "Query": "in:2:text name:4:text type:6:text",
    "Path": "required:1:boolean in:2:text name:4:text type:5:text",
    "NonBody": "query:3:Query path:4:Path",
    "Parameter": "body:1:Body other:2:NonBody",
    "ParametersItem": "parameter:1:Parameter",
    "SchemaItem": "schema:1:Schema",
    "Response": "description:1:text schema:2:SchemaItem",
    "ResponseValue": "response:1:Response",
    "NamedResponse": "name:1:text value:2:ResponseValue",
    "Responses": "codes:1:NamedResponse*",
    "Operation": "id:5:text parameters:8:ParametersItem* responses:9:Responses extensions:13:NamedAny*",
    "PathItem": "get:2:Operation patch:8:Operation parameters:9:ParametersItem*",
    "NamedPath": "name:1:text value:2:PathItem",
    "Paths": "path:2:NamedPath*",
    "Document": "swagger:1:text paths:8:Paths definitions:9:Properties",
}


def decoded(document: Object) -> Any:
    """The document as the published message, of which only these fields are declared."""
    return document_class("o", MESSAGES).FromString(openapi_protobuf.encode(document))


def test_definitions_keep_their_shape_and_their_extensions() -> None:
    kite = {
        "type": "object",
        "description": "A kite.",
        "required": ["length"],
        "x-kubernetes-group-version-kind": [{"group": "wind.test", "version": "v1", "kind": "Kite"}],
        "properties": {
            "length": {"type": "integer", "default": {}, "maximum": 2.5, "enum": [1, 2]},
            "tails": {"type": "array", "items": {"$ref": "#/definitions/Tail"}},
            "labels": {"type": "object", "additionalProperties": {"type": "string", "minLength": 300}},
            "open": {"type": "object", "additionalProperties": True},
        },
    }
    document = decoded({"swagger": "2.0", "definitions": {"Kite": kite, "Tail": {"type": "string"}}})
    assert document.swagger == "2.0"
    first, second = document.definitions.all
    assert (first.name, first.value.description, list(first.value.required)) == ("Kite", "A kite.", ["length"])
    (extension,) = first.value.extensions
    assert extension.name == "x-kubernetes-group-version-kind"
    assert extension.value.yaml == '[{"group":"wind.test","version":"v1","kind":"Kite"}]'
    length, tails, labels, free = (one.value for one in first.value.properties.all)
    assert (list(length.type.value), length.default.yaml, length.maximum) == (["integer"], "{}", 2.5)
    assert [one.yaml for one in length.enum] == ["1", "2"]
    assert tails.items.schema[0].ref == "#/definitions/Tail"
    assert labels.additional.schema.min_length == 300
    assert free.additional.boolean
    assert (second.name, list(second.value.type.value)) == ("Tail", ["string"])


def test_operations_keep_parameters_answers_and_their_kind() -> None:
    body = {"name": "body", "in": "body", "required": True, "schema": {"$ref": "#/definitions/Kite"}}
    patch = {
        "operationId": "patchKite",
        "x-kubernetes-action": "patch",
        "parameters": [body, {"name": "dryRun", "in": "query", "type": "string"}],
        "responses": {"200": {"description": "OK", "schema": {"$ref": "#/definitions/Kite"}}},
    }
    place = {"name": "name", "in": "path", "required": True, "type": "string"}
    document = decoded({"paths": {"/kites/{name}": {"patch": patch, "parameters": [place]}}})
    (path,) = document.paths.path
    assert path.name == "/kites/{name}"
    assert path.value.parameters[0].parameter.other.path.name == "name"
    operation = path.value.patch
    assert (operation.id, operation.extensions[0].value.yaml) == ("patchKite", '"patch"')
    assert operation.parameters[0].parameter.body.schema.ref == "#/definitions/Kite"
    assert operation.parameters[1].parameter.other.query.name == "dryRun"
    (answer,) = operation.responses.codes
    assert (answer.name, answer.value.response.schema.schema.ref) == ("200", "#/definitions/Kite")
