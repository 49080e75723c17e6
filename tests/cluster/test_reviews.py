"""Reviews: asked and answered, never stored."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.cluster.inprocess import Api, running

ACCESS = "/apis/authorization.k8s.io/v1"
ASKED = {"user": "ann", "resourceAttributes": {"verb": "get", "resource": "pods"}}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running(tmp_path) as api:
        yield api


async def test_a_review_has_no_table(api: Api) -> None:
    table = "application/json;as=Table;v=v1;g=meta.k8s.io"
    status, answer = await api.call("POST", f"{ACCESS}/subjectaccessreviews", {"spec": ASKED}, accept=table)
    assert (status, answer["reason"]) == (406, "NotAcceptable")
    status, answer = await api.call(
        "POST", f"{ACCESS}/subjectaccessreviews", {"spec": ASKED}, accept=f"{table},application/json"
    )
    assert (status, answer["kind"]) == (201, "SubjectAccessReview")


async def test_a_local_review_asks_about_the_namespace_of_its_path(api: Api) -> None:
    path = f"{ACCESS}/namespaces/default/localsubjectaccessreviews"
    status, answer = await api.call("POST", path, {"spec": ASKED})
    assert (status, [cause["field"] for cause in answer["details"]["causes"]]) == (
        422,
        ["spec.resourceAttributes.namespace"],
    )
    asked = {**ASKED, "resourceAttributes": {**ASKED["resourceAttributes"], "namespace": "default"}}
    status, answer = await api.call("POST", path, {"spec": asked})
    assert (status, answer["status"]["allowed"]) == (201, False)
    status, _ = await api.call("POST", path, {"metadata": {"namespace": "other"}, "spec": asked})
    assert status == 400
