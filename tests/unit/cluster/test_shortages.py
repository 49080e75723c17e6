"""People are told at once why a node that is Ready takes no pods."""

from mizzen.cluster.lifecycle import pressed


def test_each_pressure_of_a_node_is_a_sentence() -> None:
    conditions = [
        {"type": "MemoryPressure", "status": "False", "message": "kubelet has sufficient memory available"},
        {"type": "DiskPressure", "status": "True", "message": "kubelet has disk pressure: 1.0 GiB are free"},
        {"type": "Ready", "status": "True", "message": "kubelet is posting ready status"},
    ]
    nodes = [{"metadata": {"name": "full"}, "status": {"conditions": conditions}}, {"metadata": {"name": "new"}}]
    assert pressed(nodes) == (
        "node full takes no new pods, for DiskPressure: kubelet has disk pressure: 1.0 GiB are free",
    )
