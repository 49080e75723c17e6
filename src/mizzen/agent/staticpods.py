"""Static pods: manifests in a directory of the node, run without the API's consent and mirrored to it for the record.

Ref: https://kubernetes.io/docs/tasks/configure-pod-container/static-pod/
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from mizzen.agent.equipment import Equipment
from mizzen.agent.life import PodRemoved
from mizzen.agent.pods import Pods
from mizzen.agent.restarts import grace_of
from mizzen.api.views.podspec import Pod
from mizzen.base import log
from mizzen.client.resources import NODES, PODS
from mizzen.machinery import times
from mizzen.machinery.errors import ApiError

_log = log.get("agent")
_EVERY = 2.0
_SOURCE = "kubernetes.io/config.source"
MIRROR = "kubernetes.io/config.mirror"
_HASH = "kubernetes.io/config.hash"

_REFERENCES = {
    "serviceAccountName": "serviceaccounts", "serviceAccount": "serviceaccounts", "imagePullSecrets": "secrets",
    "secret": "secrets", "secretRef": "secrets", "secretKeyRef": "secrets", "nodePublishSecretRef": "secrets",
    "configMap": "configmaps", "configMapRef": "configmaps", "configMapKeyRef": "configmaps",
    "persistentVolumeClaim": "persistentvolumeclaims", "ephemeral": "persistentvolumeclaims",
    "resourceClaims": "resourceclaims", "serviceAccountToken": "serviceaccounts",
    "clusterTrustBundle": "clustertrustbundles", "podCertificate": "podcertificaterequests",
}  # fmt: skip
"""Fields of a specification that name objects of the API, and of which resource."""
_NO_REFERENCES = {"nodeSelector", "volumeAttributes", "matchLabels", "options"}
"""Fields whose keys are anybody's."""


def manifest(text: str, node: str, file: str) -> dict[str, Any]:
    """A manifest completed: named after the node, bound to it, its uid made from its content.

    Raises: ValueError.
    """
    try:
        body = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{file}: {error}") from error
    if not isinstance(body, dict) or body.get("kind") != "Pod":
        raise ValueError(f"{file}: not a Pod")
    meta = body.setdefault("metadata", {})
    digest = hashlib.md5(f"{node}\0{file}\0{text}".encode(), usedforsecurity=False).hexdigest()
    meta["name"] = f"{meta.get('name', '')}-{node.lower()}"
    meta.setdefault("namespace", "default")
    meta["uid"] = digest
    meta["annotations"] = {**(meta.get("annotations") or {}), _SOURCE: "file", _HASH: digest}
    spec = body.setdefault("spec", {})
    if resource := referenced(spec):
        raise ValueError(f"{file}: static pods may not reference {resource}")
    spec["nodeName"] = node
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec["tolerations"] = [*spec.get("tolerations", []), {"operator": "Exists", "effect": "NoExecute"}]
    return body


def referenced(value: Any) -> str:
    """The resource of an object of the API that a pod's specification refers to; empty when it needs none.

    Ref: https://kubernetes.io/docs/tasks/configure-pod-container/static-pod/
    """
    found = ""
    if isinstance(value, dict):
        named = (_REFERENCES[key] for key in value if key in _REFERENCES and value[key])
        inner = (referenced(below) for key, below in value.items() if key not in _NO_REFERENCES)
        found = next((one for one in (*named, *inner) if one), "")
    if isinstance(value, list):
        found = next((one for one in map(referenced, value) if one), "")
    return found


def mirror(body: Mapping[str, Any], node: str, node_uid: str) -> dict[str, Any]:
    """What the API is shown of a static pod: it belongs to the node that runs it."""
    meta = {key: value for key, value in body["metadata"].items() if key != "uid"}
    digest = meta["annotations"][_HASH]
    owner = {"apiVersion": "v1", "kind": "Node", "name": node, "uid": node_uid, "controller": True}
    marked = {**meta, "annotations": {**meta["annotations"], MIRROR: digest}, "ownerReferences": [owner]}
    return {**body, "metadata": marked}


def _name(body: Mapping[str, Any]) -> tuple[str, str]:
    return body["metadata"]["namespace"], body["metadata"]["name"]


class StaticPods:
    """Keeps the running static pods, and their mirrors, in step with the directory."""

    def __init__(self, tools: Equipment, pods: Pods, directory: Path) -> None:
        self._tools = tools
        self._pods = pods
        self._directory = directory
        self._known: dict[str, dict[str, Any]] = {}
        self._ending: dict[str, dict[str, Any]] = {}
        """Those whose manifest is gone and whose containers still end; another of their name waits for that."""
        self._stale: dict[str, tuple[str, str]] | None = None
        """Mirrors of static pods that are gone, by hash; unknown until the API has been asked once."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self.look()
            await self._mirror_all()
            await self._tools.clock.sleep(_EVERY)

    def look(self) -> None:
        """Start what is new in the directory, end what is gone from it; a changed file is both, one after the other."""
        found: dict[str, dict[str, Any]] = {}
        for path in sorted(self._directory.glob("[!.]*")):
            try:
                body = manifest(path.read_text(), self._tools.config.node_name, path.name)
            except (OSError, ValueError) as error:
                _log.warning("static pod not read", file=str(path), error=str(error))
                continue
            found[body["metadata"]["uid"]] = body
        for uid in [uid for uid in self._known if uid not in found]:
            self._ending[uid] = body = self._known.pop(uid)
            self._pods.gone(uid, PodRemoved(grace_of(msgspec.convert(body, Pod))))
        there = {one.pod.metadata.uid for one in self._pods}
        for uid in [uid for uid in self._ending if uid not in there]:
            name = _name(self._ending.pop(uid))
            if self._stale is not None:
                self._stale[uid] = name
        taken = {_name(body) for body in self._ending.values()}
        for uid, body in found.items():
            if uid not in self._known and _name(body) not in taken:
                stamped = {**body["metadata"], "creationTimestamp": times.format(self._tools.clock.now())}
                self._pods.seen(msgspec.convert({**body, "metadata": stamped}, Pod))
                self._known[uid] = body

    async def _mirror_all(self) -> None:
        try:
            await self._remove_stale()
        except (ApiError, ConnectionError, TimeoutError) as error:
            _log.debug("mirrors not removed", error=str(error))
        for uid, body in (*self._known.items(), *self._ending.items()):
            meta = body["metadata"]
            try:
                await self._mirror(uid, body)
            except (ApiError, ConnectionError, TimeoutError) as error:
                _log.debug("mirror pod not written", pod=meta["name"], error=str(error))

    async def _remove_stale(self) -> None:
        client, node = self._tools.client, self._tools.config.node_name
        if self._stale is None:
            listed = await client.list(PODS, view=dict, fields=f"spec.nodeName={node}")
            marked = {(one["metadata"].get("annotations") or {}).get(MIRROR): one["metadata"] for one in listed.items}
            self._stale = {
                digest: (meta["namespace"], meta["name"])
                for digest, meta in marked.items()
                if digest is not None and digest not in self._known and digest not in self._ending
            }
        for digest, (namespace, name) in list(self._stale.items()):
            try:
                found = await client.get(PODS, name, namespace, view=dict)
                if (found["metadata"].get("annotations") or {}).get(MIRROR) == digest:
                    await client.delete(PODS, name, namespace, uid=found["metadata"]["uid"], grace_seconds=0)
            except ApiError as error:
                if error.code != 404:
                    raise
            del self._stale[digest]

    async def _mirror(self, uid: str, body: Mapping[str, Any]) -> None:
        client, meta = self._tools.client, body["metadata"]
        try:
            present = await client.get(PODS, meta["name"], meta["namespace"], view=dict)
        except ApiError as error:
            if error.code != 404:
                raise
            if uid in self._ending:
                return
            node = self._tools.config.node_name
            owner = await client.get(NODES, node, view=dict)
            present = await client.create(PODS, mirror(body, node, owner["metadata"]["uid"]), meta["namespace"])
        found = present["metadata"]
        # Deleting the mirror does not end the pod: it is shown anew.
        if (found.get("annotations") or {}).get(MIRROR) != uid or found.get("deletionTimestamp"):
            if uid in self._ending:
                return
            await client.delete(PODS, meta["name"], meta["namespace"], grace_seconds=0)
            return
        try:
            status = self._pods.status(uid)
        except KeyError:  # it has ended meanwhile
            return
        if present.get("status") != status:
            await client.patch(PODS, meta["name"], {"status": status}, meta["namespace"], subresource="status")
