"""What volumes and claims say that is allowed and yet hardly meant, as texts for `Warning` headers."""

from collections.abc import Iterator

from mizzen.api.podspec.warnings import VOLUMES, claim_warnings
from mizzen.api.rules.node_labels import term_warnings
from mizzen.api.rules.resources import fraction_warnings
from mizzen.machinery.errors import Object

_CLASS = "volume.beta.kubernetes.io/storage-class"
_OPTIONS = "volume.beta.kubernetes.io/mount-options"
_USE_CLASS = 'deprecated since v1.8; use "storageClassName" attribute instead'
_USE_OPTIONS = 'deprecated since v1.31; use "mountOptions" attribute instead'
_RECYCLE = (
    "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. "
    "Instead, the recommended approach is to use dynamic provisioning."
)


def of_volume(volume: Object, _old: Object | None) -> Iterator[str]:
    spec, annotations = volume["spec"], volume["metadata"].get("annotations") or {}
    for key, text in ((_CLASS, _USE_CLASS), (_OPTIONS, _USE_OPTIONS)):
        if key in annotations:
            yield f"metadata.annotations[{key}]: {text}"
    if spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        yield _RECYCLE
    terms = ((spec.get("nodeAffinity") or {}).get("required") or {}).get("nodeSelectorTerms") or ()
    for i, term in enumerate(terms):
        yield from term_warnings(f"spec.nodeAffinity.required.nodeSelectorTerms[{i}]", term)
    yield from fraction_warnings("spec.capacity", spec.get("capacity"), ("storage",))
    for field, text in VOLUMES.items():
        if spec.get(field) is not None:
            yield f"spec.{'storageOS' if field == 'storageos' else field}: {text}"


def of_claim(claim: Object, _old: Object | None) -> Iterator[str]:
    if _CLASS in (claim["metadata"].get("annotations") or {}):
        yield f"metadata.annotations[{_CLASS}]: {_USE_CLASS}"
    yield from claim_warnings("spec", claim["spec"])
