"""Volumes of storage drivers on this node: attached by others, then staged once, published for each pod, and back.

What is made is noted before it is made, and forgotten after it is undone: whatever happens between is repeated.
"""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from mizzen.agent.kubeletdir import KubeletDir
from mizzen.agent.volumes import teardown, tokens, usage
from mizzen.agent.volumes.csi import records, requests
from mizzen.agent.volumes.csi.drivers import Driver, Drivers
from mizzen.agent.volumes.csi.expansion import expand
from mizzen.agent.volumes.csi.records import Record
from mizzen.agent.volumes.kinds import Claims, Mounted, StepFailure, VolumeFailure
from mizzen.api.views.podspec import CsiVolume, Pod
from mizzen.base.clock import Clock
from mizzen.client.client import Client
from mizzen.client.resources import SECRETS, VOLUME_ATTACHMENTS
from mizzen.machinery.errors import ApiError, Object
from mizzen.net.rpc import Refused
from mizzen.wire import csi

_ATTACH_PATIENCE = 15.0
_FIRST_LOOK, _LAST_LOOK = 0.1, 2.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A volume as a driver is asked for it."""

    pod: Pod
    record: Record
    settings: Mapping[str, Any]
    source: Mapping[str, Any]
    """The `csi` part of the persistent volume, or of the pod's volume."""
    modes: tuple[str, ...] = ("ReadWriteOnce",)
    options: tuple[str, ...] = ()
    read_only: bool = False
    publish_secret: tuple[str, str] = ("", "")
    """Namespace and name."""
    claim: str = ""


class CsiVolumes:
    """The volumes of drivers; `changed` is told when the set of attached volumes in use is another."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        drivers: Drivers,
        directory: KubeletDir,
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        self._client = client
        self._clock = clock
        self._drivers = drivers
        self.node = drivers.node
        self._directory = directory
        self._changed = changed
        self._records = records.of_all(directory.root)
        self._wanted: dict[tuple[str, str], Wanted] = {}
        self._staged: set[tuple[str, str]] = set()
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}

    def in_use(self) -> tuple[str, ...]:
        """The attached volumes that pods have, as the node's status names them."""
        attached = (one for one in self._records.values() if one.attachmentID)
        return tuple(sorted({requests.unique_name(*one.key) for one in attached}))

    async def mount_claim(self, pod: Pod, claim: Object, persistent: Object, *, read_only: bool) -> Mounted:
        spec, source = persistent["spec"], persistent["spec"]["csi"]
        name, handle = source["driver"], source["volumeHandle"]
        driver, settings = self._drivers.get(name), await self._drivers.settings(name)
        attached = settings.get("attachRequired", True)
        record = Record(
            driverName=name,
            volumeHandle=handle,
            specVolID=persistent["metadata"]["name"],
            nodeName=self._drivers.node,
            attachmentID=requests.attachment_name(handle, name, self._drivers.node) if attached else "",
            volumeMode=spec.get("volumeMode") or "Filesystem",
        )
        secret = source.get("nodePublishSecretRef") or {}
        wanted = Wanted(
            pod, record, settings, source, tuple(spec.get("accessModes") or ()), tuple(spec.get("mountOptions") or ()),
            read_only or bool(source.get("readOnly")), (secret.get("namespace", ""), secret.get("name", "")),
            claim["metadata"]["name"],
        )  # fmt: skip
        mounted = await self._mount(driver, wanted)
        if csi.EXPAND in driver.abilities:
            await expand(self._client, driver, claim, persistent, self._expansion(driver, wanted))
        return mounted

    async def mount_inline(self, pod: Pod, name: str, source: CsiVolume) -> Mounted:
        driver, settings = self._drivers.get(source.driver), await self._drivers.settings(source.driver)
        modes = settings.get("volumeLifecycleModes") or ["Persistent"]
        if "Ephemeral" not in modes:
            raise VolumeFailure(
                f'kubernetes.io/csi: mounter.SetUpAt: volume mode "Ephemeral" not supported by driver {source.driver} '
                f"(only supports {orjson.dumps(modes).decode()})"
            )
        record = Record(
            driverName=source.driver,
            volumeHandle=requests.inline_handle(pod.metadata.uid, name),
            specVolID=name,
            nodeName=self._drivers.node,
            volumeLifecycleMode="Ephemeral",
        )
        asked = {"fsType": source.fsType, "volumeAttributes": source.volumeAttributes}
        secret = source.nodePublishSecretRef.name if source.nodePublishSecretRef is not None else ""
        wanted = Wanted(
            pod, record, settings, asked, read_only=bool(source.readOnly),
            publish_secret=(pod.metadata.namespace if secret else "", secret),
        )  # fmt: skip
        return await self._mount(driver, wanted)

    async def unmount(self, uid: str) -> None:
        """Undo every volume of a pod. Raises OSError with the driver's own words when it cannot."""
        failure: OSError | None = None
        for record in list(records.of_pod(self._directory.root, uid)):
            try:
                async with self._locked(record):
                    driver = self._drivers.get(record.driverName)
                    await self._unpublish(driver, uid, record)
                    await self._unstage(driver, record)
                await self._changed()
            except (Refused, VolumeFailure) as error:
                failure = OSError(f'UnmountVolume.TearDown failed for volume "{record.specVolID}" : {error}')
        if failure is not None:
            raise failure

    async def tend(self, pod: Pod, claims: Claims) -> tuple[str, ...]:
        """What a running pod's volumes need from time to time: drivers publish anew, volumes grow.

        Answers the volumes that have grown. Raises VolumeFailure, ApiError, ConnectionError.
        """
        grown: list[str] = []
        for (uid, _), wanted in list(self._wanted.items()):
            if uid != pod.metadata.uid:
                continue
            driver = self._drivers.get(wanted.record.driverName)
            if wanted.settings.get("requiresRepublish"):
                context = await self._attached(wanted.record)
                async with self._locked(wanted.record):
                    await self._publish(driver, wanted, context)
            if wanted.claim and csi.EXPAND in driver.abilities:
                claim, persistent = await claims.volume_of(pod, wanted.claim)
                if await expand(self._client, driver, claim, persistent, self._expansion(driver, wanted)):
                    grown.append(persistent["metadata"]["name"])
        return tuple(grown)

    async def usage(self, uid: str) -> dict[Path, dict[str, int]]:
        """How full a pod's volumes are by their drivers' account, by place; those that do not tell are left out."""
        found = {}
        for (owner, _), record in list(self._records.items()):
            with contextlib.suppress(Refused, VolumeFailure):
                if owner == uid and csi.GET_STATS in (driver := self._drivers.get(record.driverName)).abilities:
                    target = self._target(uid, record)
                    request = {"volume_id": record.volumeHandle, "volume_path": target}
                    answer = await driver.call("NodeGetVolumeStats", request)
                    found[self._directory.on_node(target)] = usage.by_driver(answer["usage"])
        return found

    async def _mount(self, driver: Driver, wanted: Wanted) -> Mounted:
        record, uid = wanted.record, wanted.pod.metadata.uid
        key = (uid, record.specVolID)
        path = self._directory.root / requests.target_place(uid, record.specVolID, block=record.block)
        context = await self._attached(record)
        async with self._locked(record):
            published = key in self._records and teardown.is_mounted(path)  # before this agent started, it may be
            records.write(self._directory.root, uid, record)
            self._records[key], self._wanted[key] = record, wanted
            if not published:
                if record.attachmentID:
                    await self._changed()
                await self._stage(driver, wanted, context)
                await self._publish(driver, wanted, context)
        fs_type = wanted.source.get("fsType") or ""
        group = requests.takes_group(wanted.settings, fs_type, wanted.modes, driver.abilities)
        return Mounted(path, wanted.read_only, group and not record.block, record.block)

    async def _stage(self, driver: Driver, wanted: Wanted, context: Mapping[str, str]) -> None:
        record = wanted.record
        if record.key in self._staged or csi.STAGE_UNSTAGE not in driver.abilities or _is_inline(record):
            return
        place = self._directory.root / self._staging_place(record)
        place.mkdir(mode=0o750, parents=True, exist_ok=True)
        reference = wanted.source.get("nodeStageSecretRef") or {}
        request = {
            "volume_id": record.volumeHandle,
            "publish_context": context,
            "staging_target_path": self._directory.for_pods(place),
            "volume_capability": self._capability(driver, wanted),
            "secrets": await self._secret(reference.get("namespace", ""), reference.get("name", "")),
            "volume_context": wanted.source.get("volumeAttributes") or {},
        }
        try:
            await driver.call("NodeStageVolume", request)
        except Refused as error:
            step = "MapVolume.SetUpDevice" if record.block else "MountVolume.MountDevice"
            raise StepFailure(f'{step} failed for volume "{record.specVolID}" : {error}') from error
        self._staged.add(record.key)

    async def _publish(self, driver: Driver, wanted: Wanted, context: Mapping[str, str]) -> None:
        record, pod = wanted.record, wanted.pod
        target = self._directory.root / requests.target_place(pod.metadata.uid, record.specVolID, block=record.block)
        target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        attributes = dict(wanted.source.get("volumeAttributes") or {})
        attributes |= requests.pod_attributes(pod, wanted.settings, inline=_is_inline(record))
        secrets = await self._secret(*wanted.publish_secret)
        own = secrets if wanted.settings.get("serviceAccountTokenInSecrets") else attributes
        own.update(await self._tokens(wanted))
        request = {
            "volume_id": record.volumeHandle,
            "publish_context": context,
            "staging_target_path": self._staging_path(driver, record),
            "target_path": self._directory.for_pods(target),
            "volume_capability": self._capability(driver, wanted),
            "readonly": wanted.read_only,
            "secrets": secrets,
            "volume_context": attributes,
        }
        try:
            await driver.call("NodePublishVolume", request)
        except Refused as error:
            raise VolumeFailure(str(error)) from error

    async def _unpublish(self, driver: Driver, uid: str, record: Record) -> None:
        target = self._directory.root / requests.target_place(uid, record.specVolID, block=record.block)
        request = {"volume_id": record.volumeHandle, "target_path": self._directory.for_pods(target)}
        await driver.call("NodeUnpublishVolume", request)
        await asyncio.to_thread(_clear, target)
        records.remove(self._directory.root, uid, record)
        self._records.pop((uid, record.specVolID), None)
        self._wanted.pop((uid, record.specVolID), None)

    async def _unstage(self, driver: Driver, record: Record) -> None:
        if _is_inline(record) or any(one.key == record.key for one in self._records.values()):
            return
        place = self._directory.root / self._staging_place(record)
        if csi.STAGE_UNSTAGE in driver.abilities:
            request = {"volume_id": record.volumeHandle, "staging_target_path": self._directory.for_pods(place)}
            await driver.call("NodeUnstageVolume", request)
        self._staged.discard(record.key)
        await asyncio.to_thread(_clear, place)

    async def _attached(self, record: Record) -> dict[str, str]:
        """What the attacher has to tell, once the volume is attached to this node."""
        if not record.attachmentID:
            return {}
        began, pause = self._clock.monotonic(), _FIRST_LOOK
        while True:
            status = await self._attachment(record.attachmentID)
            if status.get("attached"):
                return status.get("attachmentMetadata") or {}
            if error := (status.get("attachError") or {}).get("message"):
                raise StepFailure(f'AttachVolume.Attach failed for volume "{record.specVolID}" : {error}')
            if self._clock.monotonic() - began > _ATTACH_PATIENCE:
                raise VolumeFailure(f"timed out waiting for external-attacher of {record.driverName} CSI driver")
            await self._clock.sleep(pause)  # a node may get its attachments, but not watch them
            pause = min(2 * pause, _LAST_LOOK)

    async def _attachment(self, name: str) -> Mapping[str, Any]:
        try:
            return (await self._client.get(VOLUME_ATTACHMENTS, name, view=dict)).get("status") or {}
        except ApiError as error:
            if error.code not in {403, 404}:
                raise
            return {}  # not made yet

    async def _secret(self, namespace: str, name: str) -> dict[str, str]:
        if not name:
            return {}
        try:
            found = await self._client.get(SECRETS, name, namespace, view=dict)
        except ApiError as error:
            raise VolumeFailure(f"fetching NodePublishSecretRef {namespace}/{name} failed: {error}") from error
        return {key: base64.b64decode(value).decode() for key, value in (found.get("data") or {}).items()}

    async def _tokens(self, wanted: Wanted) -> dict[str, str]:
        asked = wanted.settings.get("tokenRequests") or ()
        if not asked:
            return {}
        found = {}
        for one in asked:
            audience = one.get("audience") or ""
            found[audience] = await tokens.requested(self._client, wanted.pod, audience, one.get("expirationSeconds"))
        return {requests.TOKENS: orjson.dumps(found, option=orjson.OPT_SORT_KEYS).decode()}

    def _capability(self, driver: Driver, wanted: Wanted) -> dict[str, Any]:
        context = wanted.pod.spec.securityContext
        group = context.fsGroup if context is not None and csi.MOUNT_GROUP in driver.abilities else None
        return requests.capability(
            requests.access_mode(wanted.modes, driver.abilities), block=wanted.record.block,
            fs_type=wanted.source.get("fsType") or "", options=wanted.options, group=group,
        )  # fmt: skip

    def _expansion(self, driver: Driver, wanted: Wanted) -> dict[str, Any]:
        return {
            "volume_id": wanted.record.volumeHandle,
            "volume_path": self._target(wanted.pod.metadata.uid, wanted.record),
            "staging_target_path": self._staging_path(driver, wanted.record),
            "volume_capability": self._capability(driver, wanted),
        }

    def _target(self, uid: str, record: Record) -> str:
        place = requests.target_place(uid, record.specVolID, block=record.block)
        return self._directory.for_pods(self._directory.root / place)

    def _staging_place(self, record: Record) -> str:
        return requests.staging_place(*record.key, record.specVolID, block=record.block)

    def _staging_path(self, driver: Driver, record: Record) -> str:
        if csi.STAGE_UNSTAGE not in driver.abilities or _is_inline(record):
            return ""
        return self._directory.for_pods(self._directory.root / self._staging_place(record))

    @contextlib.asynccontextmanager
    async def _locked(self, record: Record) -> AsyncIterator[None]:
        """One thing at a time happens to a volume, whichever pods want it."""
        lock = self._locks.setdefault(record.key, asyncio.Lock())
        async with lock:
            yield


def _is_inline(record: Record) -> bool:
    return record.volumeLifecycleMode == "Ephemeral"


def _clear(place: Path) -> None:
    """Remove a place that the driver has emptied; what it left mounted is not touched."""
    if not place.exists() or teardown.mounts_below(place):
        return
    if place.is_dir():
        place.rmdir()
    else:
        place.unlink()
