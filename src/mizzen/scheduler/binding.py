"""Acting on decisions: volumes and claims bound, the pod bound, refusals written, victims removed."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from mizzen.api.views import meta as views
from mizzen.api.views.core import PersistentVolumeClaim, Pod
from mizzen.api.views.resource import ResourceClaim
from mizzen.base.clock import Clock
from mizzen.client.cache import Cache, Table
from mizzen.client.client import STRATEGIC, Client
from mizzen.client.resources import NODES, PERSISTENT_VOLUME_CLAIMS, PODS, RESOURCE_CLAIMS
from mizzen.machinery import times
from mizzen.machinery.errors import ApiError, Errors, Object
from mizzen.reconcile.events import Recorder
from mizzen.reconcile.plan import Note, Reference
from mizzen.scheduler import extended, volumes
from mizzen.scheduler.allocations import allocation, readiness
from mizzen.scheduler.config import Patience
from mizzen.scheduler.plugins import resource_claims
from mizzen.scheduler.plugins.volumes import SELECTED_NODE
from mizzen.scheduler.snapshot import PodInfo, Snapshot
from mizzen.scheduler.state import Assumed

PROTECTION: Final = "resource.kubernetes.io/delete-protection"
"""The finalizer of claims that have devices; the controller of claims takes it off."""


@dataclass(frozen=True, slots=True)
class Hands:
    """What the scheduler does through the API. Every method raises ApiError and ConnectionError."""

    client: Client
    cache: Cache
    clock: Clock
    recorders: Mapping[str, Recorder]
    """By the scheduler's name in `spec.schedulerName`."""
    slots: asyncio.Semaphore
    """One for every decision that is being carried out; taken by the caller."""
    patience: Mapping[str, Patience]
    """By the scheduler's name."""

    async def prepare(self, pod: PodInfo, assumed: Assumed, snapshot: Snapshot) -> str:
        """Bind all that a pod needs, before the pod itself; answers what is wrong with that, "" for nothing."""
        if assumed.node not in snapshot.nodes:
            raise Errors.not_found("", NODES.plural, assumed.node)
        wanted = volumes.unbound(pod, assumed.node, snapshot) if pod.claims else ()
        claims = await self._reserve(pod, assumed, snapshot) if pod.pod.spec.resourceClaims else []
        claims += await self._extend(pod, assumed, snapshot)
        if claims and (problem := await self._devices_ready(pod.pod, assumed.node, claims)):
            return f'running PreBind plugin "DynamicResources": {problem}'
        if wanted:
            await asyncio.gather(*(volumes.ask(self.client, choice, assumed.node) for choice in wanted))
            await self._expect(pod.pod, assumed.node)
            if problem := await self._claims_bound(pod, assumed.node):
                return f'running PreBind plugin "VolumeBinding": binding volumes: {problem}'
        return ""

    async def bind(self, pod: Pod, node: str) -> None:
        """Assign a pod to its node."""
        meta = pod.metadata
        await self.client.create(PODS, binding_of(pod, node), meta.namespace, name=meta.name, subresource="binding")

    def announce(self, pod: PodInfo, node: str) -> None:
        """Tell that a pod was assigned."""
        meta = pod.pod.metadata
        text = f"Successfully assigned {meta.namespace}/{meta.name} to {node}"
        self._record(pod.pod, Note(reference(pod.pod), "Scheduled", text, "Normal", "Binding"))

    def _record(self, decided: Pod, note: Note) -> None:
        """Tell in the name of the scheduler that decided the pod."""
        self.recorders[decided.spec.schedulerName].record(note)

    async def _reserve(self, pod: PodInfo, assumed: Assumed, snapshot: Snapshot) -> list[ResourceClaim]:
        """Write into the pod's ResourceClaims which devices they get, and that the pod uses them; answers them so."""
        meta = pod.pod.metadata
        reserved = []
        for claim in resource_claims.claims_of(pod, snapshot):
            if any(one.uid == meta.uid for one in claim.status.reservedFor):
                reserved.append(await self._confirmed(claim, meta.uid))
                continue
            consumers = [
                {"resource": one.resource, "name": one.name, "uid": one.uid} for one in claim.status.reservedFor
            ]
            status: Object = {"reservedFor": [*consumers, {"resource": "pods", "name": meta.name, "uid": meta.uid}]}
            picked = assumed.devices.get(claim.metadata.uid)
            if picked is not None:
                wanted, stamp = resource_claims.wants(claim), times.format(self.clock.now())
                config = resource_claims.class_config(wanted, snapshot)
                status["allocation"] = allocation(picked, wanted, claim.metadata.uid, config, assumed.node, stamp)
            of = claim.metadata
            version = of.resourceVersion
            if picked is not None and PROTECTION not in of.finalizers:
                version = await self._protect(claim)
            patch = {"metadata": {"uid": of.uid, "resourceVersion": version}, "status": status}
            written = await self.client.patch(RESOURCE_CLAIMS, of.name, patch, of.namespace, subresource="status")
            reserved.append(msgspec.convert(written, ResourceClaim))
        return reserved

    async def _extend(self, pod: PodInfo, assumed: Assumed, snapshot: Snapshot) -> list[ResourceClaim]:
        """Make the claim for the pod's extended resources that are devices here, and tell the node of it."""
        node = snapshot.nodes.get(assumed.node)
        classes = extended.served_by_devices(extended.delegated(pod, snapshot), node) if node is not None else {}
        if not classes:
            return []
        meta, known = pod.pod.metadata, extended.claim_of(pod, snapshot)
        picked = assumed.devices.get(extended.uid(meta.uid))
        if picked is None:
            if known is None:
                raise Errors.conflict("", PODS.plural, meta.name, "its claim is gone")
            own = await self._confirmed(known, meta.uid)
        else:
            made = known or await self._made(extended.claim_body(pod, classes, PROTECTION))
            extended.found(pod, made, assumed.devices, snapshot)
            wanted, stamp = extended.devices(pod, classes), times.format(self.clock.now())
            config = resource_claims.class_config(wanted, snapshot)
            given = allocation(picked, wanted, made.metadata.uid, config, assumed.node, stamp)
            user = {"resource": "pods", "name": meta.name, "uid": meta.uid}
            own = await self._given(made, {"allocation": given, "reservedFor": [user]})
        _, mappings = extended.requests(pod, classes)
        told = {"resourceClaimName": own.metadata.name, "requestMappings": mappings}
        patch = {"metadata": {"uid": meta.uid}, "status": {"extendedResourceClaimStatus": told}}
        await self.client.patch(PODS, meta.name, patch, meta.namespace, subresource="status")
        return [own]

    async def _given(self, claim: ResourceClaim, status: Object) -> ResourceClaim:
        """The claim with this in its status, where it is still as it was seen."""
        of = claim.metadata
        patch = {"metadata": {"uid": of.uid, "resourceVersion": of.resourceVersion}, "status": status}
        written = await self.client.patch(RESOURCE_CLAIMS, of.name, patch, of.namespace, subresource="status")
        return msgspec.convert(written, ResourceClaim)

    async def _confirmed(self, claim: ResourceClaim, pod: str) -> ResourceClaim:
        """The claim that an earlier attempt reserved, asked for again: it may have been given back since."""
        of = claim.metadata
        found = await self.client.get(RESOURCE_CLAIMS, of.name, of.namespace, view=ResourceClaim)
        reserved = found.metadata.uid == of.uid and any(one.uid == pod for one in found.status.reservedFor)
        if not reserved or found.status.allocation is None or found.metadata.deleting:
            why = "it has been given back"
            raise Errors.conflict(RESOURCE_CLAIMS.group, RESOURCE_CLAIMS.plural, of.name, why)
        return found

    async def _made(self, body: Object) -> ResourceClaim:
        """The claim, which an earlier attempt may have made already."""
        name, namespace = body["metadata"]["name"], body["metadata"]["namespace"]
        try:
            return msgspec.convert(await self.client.create(RESOURCE_CLAIMS, body, namespace), ResourceClaim)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
        found = await self.client.get(RESOURCE_CLAIMS, name, namespace, view=ResourceClaim)
        uid = body["metadata"]["ownerReferences"][0]["uid"]
        if found.status.allocation is not None or found.metadata.deleting or extended.owner(found) != uid:
            why = "it is allocated, on its way out, or another's"
            raise Errors.conflict(RESOURCE_CLAIMS.group, RESOURCE_CLAIMS.plural, name, why)
        return found

    async def unallocated(self, pod: PodInfo, assumed: Assumed, snapshot: Snapshot) -> set[str]:
        """Those of the claims that were to get devices of which the API says that they have none."""
        namespace = pod.pod.metadata.namespace
        names = [one.metadata.name for one in resource_claims.claims_of(pod, snapshot)]
        allocated: set[str] = set()
        for name in (*names, extended.claim_name(pod)):
            try:
                found = await self.client.get(RESOURCE_CLAIMS, name, namespace, view=ResourceClaim)
            except ApiError as error:
                if error.code != 404:
                    raise
                continue
            if found.status.allocation is not None:
                allocated |= {found.metadata.uid, extended.uid(extended.owner(found))}
        return assumed.devices.keys() - allocated

    async def withdraw(self, pod: PodInfo, snapshot: Snapshot) -> None:
        """A pod that cannot go where its claim for extended resources is allocated gets another claim."""
        own = extended.claim_of(pod, snapshot) if extended.delegated(pod, snapshot) else None
        if own is not None and not own.metadata.deleting:
            of = own.metadata
            await self._give_back(own, pod.pod.metadata.uid)
            await self.client.delete(RESOURCE_CLAIMS, of.name, of.namespace, uid=of.uid)

    async def _expect(self, pod: Pod, node: str) -> None:
        """Tell where a pod will be once its volumes are there, so that nobody takes the node away meanwhile."""
        if pod.status.nominatedNodeName != node:
            meta = pod.metadata
            patch = {"metadata": {"uid": meta.uid}, "status": {"nominatedNodeName": node}}
            await self.client.patch(PODS, meta.name, patch, meta.namespace, subresource="status")

    async def _protect(self, claim: ResourceClaim) -> str:
        """Keep a claim from vanishing while its devices are in use; answers its new resourceVersion."""
        of = claim.metadata
        finalizers = [*of.finalizers, PROTECTION]
        meta = {"uid": of.uid, "resourceVersion": of.resourceVersion, "finalizers": finalizers}
        found = await self.client.patch(RESOURCE_CLAIMS, of.name, {"metadata": meta}, of.namespace)
        return str(found["metadata"]["resourceVersion"])

    async def _devices_ready(self, pod: Pod, node: str, claims: Sequence[ResourceClaim]) -> str:
        """Wait until the devices of a pod can be used; else its claims are given back, and what is wrong is told."""
        table = self.cache.of(RESOURCE_CLAIMS, ResourceClaim)
        seen = list(claims)

        def look() -> str | None:
            found = [table.get(pod.metadata.namespace, one.metadata.name) for one in claims]
            seen[:] = [one for one in found if one is not None]
            if len(seen) < len(claims):
                return "a resourceclaim of the pod is gone"
            if any(all(user.uid != pod.metadata.uid for user in one.status.reservedFor) for one in seen):
                return None  # what was written is not seen yet
            return readiness(seen)

        problem = readiness(seen)
        if problem is None:
            await self._expect(pod, node)
            problem = await self._settled(table, look, self.patience[pod.spec.schedulerName].devices)
        if problem:
            await asyncio.gather(*(self._give_back(claim, pod.metadata.uid) for claim in seen))
        return problem

    async def _give_back(self, claim: ResourceClaim, uid: str) -> None:
        """Take a pod's reservation of a claim back, and the devices where nobody else has it reserved."""
        kept = [
            {"resource": one.resource, "name": one.name, "uid": one.uid}
            for one in claim.status.reservedFor
            if one.uid != uid
        ]
        status: Object = {"reservedFor": kept or None}
        if not kept:
            status |= {"allocation": None, "devices": None}
        of = claim.metadata
        patch = {"metadata": {"uid": of.uid, "resourceVersion": of.resourceVersion}, "status": status}
        await self.client.patch(RESOURCE_CLAIMS, of.name, patch, of.namespace, subresource="status")

    async def _claims_bound(self, pod: PodInfo, node: str) -> str:
        """Wait until all claims of a pod are bound; what is wrong when a provisioner gives up, or it takes too long."""
        asked: set[str] = set()
        table = self.cache.of(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim)

        def look() -> str | None:
            """A provisioner that cannot serve a node takes the node's name off the claim."""
            found = [table.get(pod.pod.metadata.namespace, name) for name in pod.claims]
            if all(one is not None and one.spec.volumeName and one.status.phase == "Bound" for one in found):
                return ""
            for name, claim in zip(pod.claims, found, strict=True):
                if claim is None:
                    return f'persistentvolumeclaim "{name}" not found'
                if claim.metadata.annotations.get(SELECTED_NODE) == node:
                    asked.add(name)
                elif name in asked and not claim.spec.volumeName:
                    return f'provisioning failed for PVC "{name}"'
            return None

        return await self._settled(table, look, self.patience[pod.pod.spec.schedulerName].volumes)

    async def _settled(self, table: Table[Any], look: Callable[[], str | None], seconds: float) -> str:
        """Wait until `look` has an answer, "" for all is well; whoever takes his time keeps no other pod waiting."""
        changed = asyncio.Event()

        def note(_old: Any, _new: Any) -> None:
            changed.set()

        table.subscribe(note)
        self.slots.release()
        try:
            async with asyncio.timeout(seconds):
                while (answer := look()) is None:
                    changed.clear()
                    await changed.wait()
                return answer
        except TimeoutError:
            return "context deadline exceeded"
        finally:
            table.unsubscribe(note)
            await self.slots.acquire()

    # --- refusing

    async def refuse(self, pod: Pod, text: str, nominated: str | None, reason: str = "Unschedulable") -> None:
        """Tell why a pod waits: an event, and its condition where that is not written yet.

        `nominated`: the node that is being cleared for it, "" for none any more, None to leave that as it is.
        """
        self._record(pod, Note(reference(pod), "FailedScheduling", text, "Warning", "Scheduling"))
        known = views.condition(pod.status.conditions, "PodScheduled")
        same = known is not None and (known.status, known.reason, known.message) == ("False", reason, text)
        if same and nominated in (None, pod.status.nominatedNodeName):
            return
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": reason,
            "message": text,
            "observedGeneration": pod.metadata.generation or None,
            "lastTransitionTime": (known.lastTransitionTime if known and known.status == "False" else None)
            or times.format(self.clock.now()),
        }
        status: dict[str, Any] = {"conditions": [condition]}
        if nominated is not None and nominated != pod.status.nominatedNodeName:
            status["nominatedNodeName"] = nominated or None
        meta = pod.metadata
        patch = {"metadata": {"uid": meta.uid}, "status": status}
        await self.client.patch(PODS, meta.name, patch, meta.namespace, type=STRATEGIC, subresource="status")

    async def evict(self, preemptor: PodInfo, victims: Sequence[PodInfo], node: str) -> None:
        """Remove the victims of a pod, those that leave already excepted."""
        staying = [one for one in victims if not one.pod.metadata.deleting]
        await asyncio.gather(*(self._evict(preemptor, one, node) for one in staying))

    async def _evict(self, preemptor: PodInfo, victim: PodInfo, node: str) -> None:
        meta, by = victim.pod.metadata, preemptor.pod
        disrupted = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "PreemptionByScheduler",
            "message": f"{by.spec.schedulerName}: preempting to accommodate a higher priority pod",
            "observedGeneration": meta.generation or None,
            "lastTransitionTime": times.format(self.clock.now()),
        }
        patch = {"metadata": {"uid": meta.uid}, "status": {"conditions": [disrupted]}}
        try:
            await self.client.patch(PODS, meta.name, patch, meta.namespace, type=STRATEGIC, subresource="status")
            await self.client.delete(PODS, meta.name, meta.namespace, uid=meta.uid)
        except ApiError as error:
            if error.code not in (404, 409):
                raise
            return
        text = f"Preempted by pod {by.metadata.uid} on node {node}"
        self._record(by, Note(reference(victim.pod), "Preempted", text, "Normal", "Preempting"))


def binding_of(pod: Pod, node: str) -> Object:
    """The Binding that assigns a pod to a node."""
    meta = pod.metadata
    return {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    }


def reference(pod: Pod) -> Reference:
    """The pod as events name it."""
    meta = pod.metadata
    return Reference("v1", "Pod", meta.namespace, meta.name, meta.uid, meta.resourceVersion)
