"""The node's account of which pod has which devices, at `pod-resources/kubelet.sock`.

Ref: https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/
"""

from collections.abc import Callable, Iterable

from mizzen.agent.devices.listener import CallRefused, Listener
from mizzen.agent.devices.shell import Devices
from mizzen.agent.kubeletdir import KubeletDir
from mizzen.api.views.podspec import Pod
from mizzen.wire import podresources
from mizzen.wire.protobuf import Message


class Account:
    """Answers for the pods that `pods` names: those that have not ended."""

    def __init__(self, directory: KubeletDir, devices: Devices, pods: Callable[[], Iterable[Pod]]) -> None:
        self._devices = devices
        self._pods = pods
        methods = {
            podresources.LIST: self._list, podresources.GET: self._get, podresources.ALLOCATABLE: self._allocatable,
        }  # fmt: skip
        self._listener = Listener(directory, directory.root / "pod-resources" / "kubelet.sock", methods)

    async def run(self) -> None:
        """Listen until cancelled."""
        await self._listener.run()

    async def _list(self, _data: bytes) -> bytes:
        shown = [self._shown(pod) for pod in self._pods()]
        return podresources.encode("ListPodResourcesResponse", {"pod_resources": shown})

    async def _get(self, data: bytes) -> bytes:
        asked = podresources.decode("GetPodResourcesRequest", data)
        name, namespace = asked["pod_name"], asked["pod_namespace"]
        for pod in self._pods():
            if (pod.metadata.name, pod.metadata.namespace) == (name, namespace):
                return podresources.encode("GetPodResourcesResponse", {"pod_resources": self._shown(pod)})
        raise CallRefused(f"pod {name} in namespace {namespace} not found")

    async def _allocatable(self, _data: bytes) -> bytes:
        devices = [{"resource_name": name, "device_ids": sorted(ids)} for name, ids in self._devices.healthy().items()]
        cpus = self._devices.cpus.allocatable()
        return podresources.encode("AllocatableResourcesResponse", {"devices": devices, "cpu_ids": cpus})

    def _shown(self, pod: Pod) -> Message:
        sidecars = [one for one in pod.spec.initContainers or () if one.restartPolicy == "Always"]
        containers = [
            {"name": one.name, **self._devices.account(pod, one)} for one in (*sidecars, *pod.spec.containers)
        ]
        return {"name": pod.metadata.name, "namespace": pod.metadata.namespace, "containers": containers}
