"""Carries out what pods' volumes need: fetches, mounts, publishes, rotates tokens, takes down."""

import asyncio
import contextlib
import itertools
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from mizzen.agent.env import ConfigFailure, Sources
from mizzen.agent.kubeletdir import KubeletDir
from mizzen.agent.objects import Objects
from mizzen.agent.runtime import syscalls
from mizzen.agent.volumes import certificates, files, kinds, ownership, projected, subpath, teardown, tokens, usage
from mizzen.agent.volumes.aside import aside
from mizzen.agent.volumes.certificates import Certificates
from mizzen.agent.volumes.csi.shell import CsiVolumes
from mizzen.agent.volumes.kinds import ClaimFailure, ImageVolumes, Mounted, Place, StepFailure, VolumeFailure
from mizzen.agent.volumes.projected import Certificate, Material, Token
from mizzen.api.views.podspec import Pod, Volume
from mizzen.base.clock import Clock
from mizzen.client.client import Client
from mizzen.client.resources import (
    CLUSTER_TRUST_BUNDLES,
    CONFIG_MAPS,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    SECRETS,
)
from mizzen.machinery import times
from mizzen.machinery.errors import ApiError, Object

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Mount:
    """What the shell remembers of a pod's volumes."""

    volumes: Mapping[str, Mounted]
    tokens: Mapping[tuple[str, int], Token]
    certificates: Mapping[tuple[str, int], Certificate]


class Volumes:
    """The volumes of this node's pods, below `root/pods/UID/volumes`."""

    def __init__(
        self,
        directory: KubeletDir,
        client: Client,
        objects: Objects,
        images: ImageVolumes,
        drivers: CsiVolumes,
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._root = directory.root / "pods"
        self._drivers = drivers
        self._client = client
        self._objects = objects
        self._images = images
        self._clock = clock
        self._certificates = Certificates(client, clock, drivers.node)
        self._mounts: dict[str, Mount] = {}
        self._pulling: dict[tuple[str, str], asyncio.Lock] = {}
        """For each volume that is an image: held by whoever makes it."""
        self._sole: dict[tuple[str, str], str] = {}
        """Claims for one pod at a time, by namespace and name: the uid of that pod."""
        self._version = itertools.count()
        self._file_systems = usage.FileSystems()

    def of(self, uid: str) -> Mapping[str, Mounted]:
        """The mounted volumes of a pod, by name."""
        mount = self._mounts.get(uid)
        return mount.volumes if mount is not None else {}

    async def mount(self, pod: Pod, sources: Sources) -> None:
        """Make a pod's volumes, but no images; may be repeated. Raises VolumeFailure, ApiError, ConnectionError."""
        volumes = tuple(one for one in pod.spec.volumes or () if one.image is None)
        held = self._mounts.get(pod.metadata.uid) or Mount({}, {}, {})
        material = await self._material(pod, volumes, sources, held)
        # What was asked for is kept for the next attempt, should this one fail.
        self._mounts[pod.metadata.uid] = replace(held, tokens=material.tokens, certificates=material.certificates)
        made = await settled(self._make(pod, one, material) for one in volumes)
        by_name = {one.name: mounted for one, mounted in zip(volumes, made, strict=True)}
        pictures = {name: one for name, one in held.volumes.items() if name not in by_name}
        self._mounts[pod.metadata.uid] = Mount({**pictures, **by_name}, material.tokens, material.certificates)
        await self._apply_group(pod, by_name)

    async def mount_image(self, pod: Pod, volume: Volume) -> None:
        """Make a volume of a pod that is an image; may be repeated. Raises VolumeFailure, ImageRefused."""
        uid = pod.metadata.uid
        async with self._pulling.setdefault((uid, volume.name), asyncio.Lock()):
            if volume.name in self.of(uid):
                return
            mounted = await self._make(pod, volume, Material(Sources()))
            if (held := self._mounts.get(uid)) is None:
                await asyncio.to_thread(self._drop_late, uid)
                raise VolumeFailure("the pod has ended while its image was fetched")
            self._mounts[uid] = replace(held, volumes={**held.volumes, volume.name: mounted})

    def _drop_late(self, uid: str) -> None:
        """Take down what was made for a pod whose volumes had been taken down already."""
        teardown.remove(self._root / uid / "volumes")
        self._images.let_go(uid)
        with contextlib.suppress(OSError):
            (self._root / uid).rmdir()

    async def refresh(self, pod: Pod, sources: Sources) -> None:
        """Bring the files of a running pod up to date. Raises VolumeFailure, ApiError, ConnectionError."""
        mount = self._mounts.get(pod.metadata.uid)
        if mount is None:
            return
        volumes = [one for one in pod.spec.volumes or () if _is_made_of_files(one)]
        material = await self._material(pod, volumes, sources, mount)
        for one in volumes:
            await self._make(pod, one, material)
        if (held := self._mounts.get(pod.metadata.uid)) is not None:
            fresh = replace(held, tokens=material.tokens, certificates=material.certificates)
            self._mounts[pod.metadata.uid] = fresh

    def has_stale_tokens(self, uid: str) -> bool:
        """Whether a token or certificate of the pod is due for rotation."""
        mount = self._mounts.get(uid)
        now = self._clock.now()
        return mount is not None and (
            any(projected.wants_rotation(token, now) for token in mount.tokens.values())
            or any(one.refresh_at <= now for one in mount.certificates.values())
        )

    async def usage(self, pod: Pod) -> list[Object]:
        """How full the volumes of a pod's claims are, as the node's summary shows it."""
        told = await self._drivers.usage(pod.metadata.uid)
        found = []
        for volume in pod.spec.volumes or ():
            mounted = self.of(pod.metadata.uid).get(volume.name)
            claim = claimed(pod, volume)
            if mounted is None or not claim or mounted.block:
                continue
            numbers = told.get(mounted.path, {}) or await self._file_systems.of(mounted.path)
            reference = {"name": claim, "namespace": pod.metadata.namespace}
            found.append({"name": volume.name, "pvcRef": reference, "time": times.format(self._clock.now()), **numbers})
        return found

    async def tend(self, pod: Pod) -> tuple[str, ...]:
        """Do what drivers want for a running pod now and then; answers the volumes that have grown.

        Raises VolumeFailure, ApiError, ConnectionError.
        """
        return await self._drivers.tend(pod, self)

    async def unmount(self, uid: str) -> None:
        """Take down every volume of a pod, known or not. Raises OSError, ApiError, ConnectionError."""
        home = self._root / uid
        await self._drivers.unmount(uid)
        self._mounts.pop(uid, None)
        self._pulling = {key: lock for key, lock in self._pulling.items() if key[0] != uid}
        for part in ("volume-subpaths", "volumes"):
            await aside(partial(teardown.remove, home / part))
        self._images.let_go(uid)
        self._certificates.forget(uid)
        self._sole = {claim: holder for claim, holder in self._sole.items() if holder != uid}

    async def subpath(self, uid: str, volume: str, sub: str, container: str, index: int) -> Path:
        """A safe mount source for a path inside a volume. Raises VolumeFailure.

        A volume on another machine may keep it waiting: that holds up this container alone.
        """
        mounted = self._mounts[uid].volumes[volume]
        target = self._root / uid / "volume-subpaths" / volume / container / str(index)

        def bind() -> None:
            teardown.unmount_below(target)
            subpath.bind_subpath(mounted.path, sub, target)

        try:
            await aside(bind)
        except (OSError, ValueError) as error:
            raise VolumeFailure(
                f'failed to prepare subPath for volumeMount "{volume}" of container "{container}": {error}'
            ) from error
        return target

    async def volume_of(self, pod: Pod, claim: str) -> tuple[Object, Object]:
        """The claim and the persistent volume it is bound to. Raises VolumeFailure, ClaimFailure."""
        namespace = pod.metadata.namespace
        try:
            found = await self._client.get(PERSISTENT_VOLUME_CLAIMS, claim, namespace, view=dict)
        except ApiError as error:
            raise ClaimFailure(f"error processing PVC {namespace}/{claim}: {error}") from error
        if (found.get("status") or {}).get("phase") != "Bound" or not found["spec"].get("volumeName"):
            raise ClaimFailure(f"error processing PVC {namespace}/{claim}: PVC is not bound")
        if "ReadWriteOncePod" in (found["spec"].get("accessModes") or ()):
            uid = pod.metadata.uid
            if self._sole.setdefault((namespace, claim), uid) != uid:
                raise VolumeFailure("volume uses the ReadWriteOncePod access mode and is already in use by another pod")
        try:
            return found, await self._client.get(PERSISTENT_VOLUMES, found["spec"]["volumeName"], view=dict)
        except ApiError as error:
            raise ClaimFailure(f"error processing PVC {namespace}/{claim}: {error}") from error

    async def _make(self, pod: Pod, volume: Volume, material: Material) -> Mounted:
        home = self._root / pod.metadata.uid / "volumes" / _directory(volume) / volume.name
        try:
            payload = projected.payload(pod, volume, material)
            if payload is not None:
                return await asyncio.to_thread(self._publish, pod, home, payload)
            place = Place(pod, home, self, self._images, self._drivers, self._directory)
            for mount in kinds.KINDS:
                mounted = await mount(volume, place)
                if mounted is not None:
                    return mounted
        except StepFailure:
            raise
        except (ConfigFailure, VolumeFailure, OSError, ValueError) as error:
            raise VolumeFailure(f'MountVolume.SetUp failed for volume "{volume.name}" : {error}') from error
        raise VolumeFailure(f'MountVolume.SetUp failed for volume "{volume.name}" : no volume plugin matched')

    def _publish(self, pod: Pod, home: Path, payload: Mapping[str, files.File]) -> Mounted:
        if not home.exists():
            home.mkdir(parents=True)
            home.chmod(0o777)
            syscalls.mount_memory(str(home), "mode=0777")
        group = pod.spec.securityContext.fsGroup if pod.spec.securityContext is not None else None
        files.publish(home, payload, f"{self._clock.now():.6f}_{next(self._version)}", group)
        return Mounted(home, read_only=True, unmount=True)

    async def _material(
        self,
        pod: Pod,
        volumes: "tuple[Volume, ...] | list[Volume]",
        sources: Sources,
        held: Mount,
    ) -> Material:
        maps: set[str] = set()
        secrets: set[str] = set()
        for volume in volumes:
            more_maps, more_secrets = projected.needs(volume)
            maps |= more_maps
            secrets |= more_secrets
        wanted = {
            (one.audience or "", one.expirationSeconds or 3600)
            for volume in volumes
            for one in projected.token_requests(volume)
        }
        namespace, uid = pod.metadata.namespace, pod.metadata.uid
        names = [(CONFIG_MAPS, name) for name in maps] + [(SECRETS, name) for name in secrets]
        found = await asyncio.gather(*(self._objects.get(kind, namespace, name, uid) for kind, name in names))
        now = self._clock.now()
        fresh = {key: token for key, token in held.tokens.items() if not projected.wants_rotation(token, now)}
        missing = sorted(wanted - fresh.keys())
        tokens = await asyncio.gather(*(self._token(pod, *key) for key in missing))
        by_kind = {(kind, name): value for (kind, name), value in zip(names, found, strict=True)}
        return Material(
            replace(
                sources,
                config_maps={name: by_kind[CONFIG_MAPS, name] for name in maps},
                secrets={name: by_kind[SECRETS, name] for name in secrets},
            ),
            tokens={**fresh, **dict(zip(missing, tokens, strict=True))},
            trust_bundles=await self._bundles(volumes),
            certificates=await self._certified(pod, volumes, held),
            token_owner=projected.token_owner(pod),
        )

    async def _certified(
        self, pod: Pod, volumes: "tuple[Volume, ...] | list[Volume]", held: Mount
    ) -> dict[tuple[str, int], Certificate]:
        """The certificates that volumes hold, those that are due for others asked for anew."""
        wanted = certificates.wanted(volumes)
        now = self._clock.now()
        found = {key: one for key, one in held.certificates.items() if one.refresh_at > now}
        missing = [key for key in wanted if key not in found]
        try:
            fresh = await asyncio.gather(*(self._certificates.get(pod, key, wanted[key]) for key in missing))
        except VolumeFailure as error:
            raise VolumeFailure(f'MountVolume.SetUp failed for volume "{missing[0][0]}" : {error}') from error
        return {**found, **dict(zip(missing, fresh, strict=True))}

    async def _bundles(self, volumes: Iterable[Volume]) -> dict[str, str]:
        """The trust bundles that volumes name, or choose by signer and labels; absent when there are none."""
        wanted = {projected.bundle_key(one): one for volume in volumes for one in projected.bundles(volume)}
        if not wanted:
            return {}
        listed = (await self._client.list(CLUSTER_TRUST_BUNDLES, view=dict)).items
        found = {key: projected.chosen_bundles(one, listed) for key, one in wanted.items()}
        return {key: projected.joined(texts) for key, texts in found.items() if texts}

    async def _token(self, pod: Pod, audience: str, seconds: int) -> Token:
        try:
            status = await tokens.requested(self._client, pod, audience, seconds)
        except ApiError as error:
            raise VolumeFailure(f"failed to fetch token: {error}") from error
        return Token(status["token"], self._clock.now(), times.parse(status["expirationTimestamp"]))

    async def _apply_group(self, pod: Pod, volumes: Mapping[str, Mounted]) -> None:
        context = pod.spec.securityContext
        if context is None or context.fsGroup is None:
            return
        lazily = context.fsGroupChangePolicy == "OnRootMismatch"
        for mounted in volumes.values():
            if mounted.takes_group and not mounted.read_only and not mounted.block:
                await asyncio.to_thread(
                    ownership.give_to_group, mounted.path, context.fsGroup, only_if_root_differs=lazily
                )


async def settled(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all work, which has come to its end also when some of it failed: nothing is made afterwards.

    Raises: what failed first.
    """
    results = await asyncio.gather(*work, return_exceptions=True)
    done: list[T] = []
    for one in results:
        if isinstance(one, BaseException):
            raise one
        done.append(one)
    return done


def claimed(pod: Pod, volume: Volume) -> str:
    """The claim that a volume stands for; empty for other kinds."""
    if volume.persistentVolumeClaim is not None:
        return volume.persistentVolumeClaim.claimName
    return f"{pod.metadata.name}-{volume.name}" if volume.ephemeral is not None else ""


def _is_made_of_files(volume: Volume) -> bool:
    return any((volume.configMap, volume.secret, volume.downwardAPI, volume.projected))


def _directory(volume: Volume) -> str:
    """The directory below which kubelet users look for a volume of this kind."""
    kind = next((name for name in volume.__struct_fields__ if name != "name" and getattr(volume, name) is not None), "")
    names = {
        "emptyDir": "empty-dir", "downwardAPI": "downward-api", "configMap": "configmap", "hostPath": "host-path",
        "persistentVolumeClaim": "claim",
    }  # fmt: skip
    return f"kubernetes.io~{names.get(kind, kind or 'none')}"
