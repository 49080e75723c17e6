"""ComponentStatuses are made when they are asked for."""

from tests.unit.server.conftest import Caller

PATH = "/api/v1/componentstatuses"


async def test_components_tell_how_they_do(api: Caller) -> None:
    api.server.components.checks["scheduler"] = lambda: "it does not run here"
    _, found = await api.call("GET", PATH)
    assert found["kind"] == "ComponentStatusList"
    assert [(one["metadata"]["name"], one["conditions"]) for one in found["items"]] == [
        ("etcd-0", [{"type": "Healthy", "status": "True", "message": "ok"}]),
        ("scheduler", [{"type": "Healthy", "status": "False", "error": "it does not run here"}]),
    ]
    _, one = await api.call("GET", f"{PATH}/etcd-0")
    assert (one["kind"], one["metadata"]["name"]) == ("ComponentStatus", "etcd-0")
    assert (await api.call("GET", f"{PATH}/nothing"))[0] == 404
    _, chosen = await api.call("GET", f"{PATH}?fieldSelector=metadata.name=scheduler")
    assert len(chosen["items"]) == 1


async def test_kubectl_is_shown_them_as_a_table_with_a_warning(api: Caller) -> None:
    response = await api.raw("GET", PATH, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    assert response.headers["warning"] == '299 - "v1 ComponentStatus is deprecated in v1.19+"'
    _, table = await api.call("GET", PATH, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    assert [row["cells"] for row in table["rows"]] == [["etcd-0", "Healthy", "ok", ""]]
