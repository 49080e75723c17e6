"""What revisions record, and which of them hold the present template."""

import msgspec
import orjson

from mizzen.api.views.apps import ControllerRevision
from mizzen.api.views.meta import ObjectMeta
from mizzen.controllers import revisions
from mizzen.controllers.ownership import Identity

TEMPLATE = {
    "spec": {"volumes": [], "containers": [{"name": "c", "image": "a"}]},
    "metadata": {"labels": {"b": "1", "a": "2"}, "creationTimestamp": None},
}
OWNER = revisions.Owner(ObjectMeta(name="d", namespace="n", uid="u"), Identity("apps/v1", "DaemonSet"), TEMPLATE, 0)


def revision(data: object) -> ControllerRevision:
    meta = {"name": "d-old", "namespace": "n", "labels": {revisions.HASH_LABEL: "old"}}
    return msgspec.convert({"metadata": meta, "data": data, "revision": 1}, ControllerRevision)


def test_data_are_the_bytes_that_clients_make_of_the_template() -> None:
    assert orjson.dumps(revisions.data_of(TEMPLATE)) == (
        b'{"spec":{"template":{"$patch":"replace","metadata":{"labels":{"a":"2","b":"1"}},'
        b'"spec":{"containers":[{"image":"a","name":"c"}],"volumes":[]}}}}'
    )


def test_a_revision_with_the_nulls_of_its_template_still_holds_it() -> None:
    kept = {"spec": {"template": {**TEMPLATE, "$patch": "replace"}}}
    found = revisions.current(OWNER, [revision(kept)], None)
    assert (found.name, found.digest, found.action) == ("d-old", "old", None)
    other = {"spec": {"template": {**TEMPLATE, "spec": {}, "$patch": "replace"}}}
    assert revisions.current(OWNER, [revision(other)], None).action is not None
