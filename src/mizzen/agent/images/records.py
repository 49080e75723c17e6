"""Which pods may use an image that is here already: those whose credentials have opened its registry, or all.

One record for each image that was pulled for pods, beside the images, in the form of an ImagePulledRecord.
Ref: https://kubernetes.io/docs/concepts/containers/images/#ensureimagepullcredentialverification
"""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import orjson

from mizzen.agent.images.keyring import Credential, matching
from mizzen.agent.images.reference import Reference
from mizzen.machinery.errors import Object

Policy = Literal["NeverVerify", "NeverVerifyPreloadedImages", "NeverVerifyAllowlistedImages", "AlwaysVerify"]
_FORM = {"kind": "ImagePulledRecord", "apiVersion": "kubelet.config.k8s.io/v1beta1"}


class PullRecords:
    """The records of one machine, whose agents share its images.

    Losing a write to another agent costs no more than one pull, so nothing is locked.
    """

    def __init__(self, root: Path, policy: Policy = "NeverVerifyPreloadedImages", allowed: Sequence[str] = ()) -> None:
        """`allowed`: preloaded images that `NeverVerifyAllowlistedImages` lets everybody use."""
        self._pulled, self._pulling = root / "pulled", root / "pulling"
        self._policy = policy
        self._allowed = frozenset(allowed)
        for directory in (self._pulled, self._pulling):
            directory.mkdir(parents=True, exist_ok=True)

    def admits(self, image_id: str, image: Reference, credentials: Sequence[Credential]) -> bool:
        """Whether a pod with these credentials may use an image that is here without asking its registry."""
        record = self._read(image_id)
        was_pulled = record is not None or self._mark(image).exists()
        if not self._must_verify(image, was_pulled):
            return True
        granted: Object = ((record or {}).get("credentialMapping") or {}).get(image.name) or {}
        if granted.get("nodePodsAccessible"):
            return True
        known = granted.get("kubernetesSecrets") or ()
        hashes = {str(one["credentialHash"]) for one in known}
        accounts = granted.get("kubernetesServiceAccounts") or ()
        return any(_hash(one) in hashes or one.account in accounts for one in matching(credentials, image))

    @contextlib.contextmanager
    def pulling(self, image: Reference) -> Iterator[None]:
        """While an image is pulled: should the agent end now, nobody takes what has come for preloaded."""
        mark = self._mark(image)
        mark.touch()
        try:
            yield
        except Exception:
            mark.unlink(missing_ok=True)
            raise
        mark.unlink(missing_ok=True)

    def record(self, image_id: str, image: Reference, by: Credential | None, now: str) -> None:
        """An image was pulled, with the credential of a pod or its account, or with none of a pod's."""
        record = self._read(image_id) or {**_FORM, "imageRef": image_id, "credentialMapping": {}}
        known = record["credentialMapping"].get(image.name) or {}
        if by is None or by.of_node:
            known = {"nodePodsAccessible": True}
        elif by.account and not known.get("nodePodsAccessible"):
            others = [one for one in known.get("kubernetesServiceAccounts") or () if one != by.account]
            known = {**known, "kubernetesServiceAccounts": [*others, dict(by.account)]}
        elif not known.get("nodePodsAccessible"):
            fresh = {**by.secret, "credentialHash": _hash(by)}
            others = [one for one in known.get("kubernetesSecrets") or () if not _is_of(one, fresh)]
            known = {**known, "kubernetesSecrets": [*others, fresh]}
        record["credentialMapping"][image.name] = known
        self._write(image_id, {**record, "lastUpdatedTime": now})

    def forget(self, image_id: str) -> None:
        """An image counts as put here by the machine's owner from now on."""
        self._path(image_id).unlink(missing_ok=True)

    def _must_verify(self, image: Reference, was_pulled: bool) -> bool:
        match self._policy:
            case "NeverVerify":
                return False
            case "NeverVerifyPreloadedImages":
                return was_pulled
            case "NeverVerifyAllowlistedImages":
                return was_pulled or not self._is_allowed(image)
            case "AlwaysVerify":
                return True

    def _is_allowed(self, image: Reference) -> bool:
        parts = image.name.split("/")
        return image.name in self._allowed or any(
            "/".join(parts[:count]) + "/*" in self._allowed for count in range(1, len(parts))
        )

    def _mark(self, image: Reference) -> Path:
        return self._pulling / hashlib.sha256(str(image).encode()).hexdigest()

    def _path(self, image_id: str) -> Path:
        return self._pulled / f"{image_id.removeprefix('sha256:')}.json"

    def _read(self, image_id: str) -> dict[str, Any] | None:
        try:
            return dict(orjson.loads(self._path(image_id).read_bytes()))
        except FileNotFoundError:
            return None
        except ValueError:
            return {**_FORM, "imageRef": image_id, "credentialMapping": {}}  # damaged: it was pulled, by nobody known

    def _write(self, image_id: str, record: Object) -> None:
        fd, partial = tempfile.mkstemp(dir=self._pulling)
        with os.fdopen(fd, "wb") as out:
            out.write(orjson.dumps(record))
        Path(partial).rename(self._path(image_id))


def _hash(credential: Credential) -> str:
    told = orjson.dumps([credential.user, credential.password, credential.identity])
    return hashlib.sha256(told).hexdigest()


def _is_of(one: Object, other: Object) -> bool:
    """Whether two entries are of one secret, as it was and as it is."""
    return all(one.get(key) == other.get(key) for key in ("uid", "namespace", "name"))
