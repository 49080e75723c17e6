"""Patches as functions of the stored object: they may be tried again, and what they make is nobody else's."""

from typing import Any

import pytest

from mizzen.api.core.pod import POD
from mizzen.machinery.copies import copied
from mizzen.machinery.errors import ApiError, Object
from mizzen.machinery.identity import Identity
from mizzen.server import bodies
from mizzen.server.call import Write
from mizzen.server.patching import Patched
from mizzen.server.served import Served

SPEC = {"containers": [{"name": "a", "image": "i", "env": [{"name": "x", "value": "1"}]}]}
STORED = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p"}, "spec": SPEC}
NODE = {"kubernetes.io/os": "linux"}
PATCHES = (
    ("application/json-patch+json", [{"op": "add", "path": "/spec/nodeSelector", "value": NODE}]),
    ("application/merge-patch+json", {"spec": {"nodeSelector": NODE, "tolerations": [{"key": "k"}]}}),
    ("application/strategic-merge-patch+json", {"spec": {"nodeSelector": NODE, "tolerations": [{"key": "k"}]}}),
)


@pytest.mark.parametrize(("media", "patch"), PATCHES)
def test_a_patch_that_is_tried_again_does_the_same_whatever_became_of_its_first_outcome(media: str, patch: Any) -> None:
    served = Served(POD)
    write = Write(served, "n", "p", Identity("me"))
    patched = Patched(write, media, copied(patch), [], bodies.schema_of_served(served))
    first = patched(copied(STORED))
    wanted = copied(first)
    first["spec"]["nodeSelector"]["another"] = "1"
    first["spec"].setdefault("tolerations", [{}])[0]["key"] = "other"
    assert patched(copied(STORED)) == wanted
    assert wanted["spec"]["nodeSelector"] == NODE


@pytest.mark.parametrize(
    ("patch", "why"),
    [
        ({"metadata": {"labels": "invalid"}}, "cannot restore map from string"),
        ({"metadata": {"labels": {"a": 1}}}, "unrecognized type: string"),
        ({"spec": {"containers": True}}, "cannot restore slice from bool"),
        ({"spec": {"securityContext": [1]}}, "cannot restore struct from: slice"),
        ({"spec": {"activeDeadlineSeconds": "soon"}}, "unrecognized type: int64"),
    ],
)
def test_a_strategic_patch_with_a_value_of_another_type_is_refused_as_it_is_folded_in(patch: Object, why: str) -> None:
    served = Served(POD)
    write = Write(served, "n", "p", Identity("me"))
    patched = Patched(write, "application/strategic-merge-patch+json", patch, [], bodies.schema_of_served(served))
    with pytest.raises(ApiError) as refused:
        patched(copied(STORED))
    assert (refused.value.code, refused.value.message.endswith(f": {why}")) == (422, True), refused.value.message
