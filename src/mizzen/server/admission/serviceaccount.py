"""ServiceAccount: every pod has an account, its pull secrets, and a volume with its token.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#service-account-admission-controller
"""

from collections.abc import Iterator
from typing import Final

from mizzen.api.core.serviceaccount import SERVICE_ACCOUNT
from mizzen.machinery.errors import Object
from mizzen.server import fresh
from mizzen.server.admission.plugin import CREATE, Plugin, refusal
from mizzen.server.seams import Admission, Reader

DEFAULT_ACCOUNT: Final = "default"
MOUNT_PATH: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
MIRROR: Final = "kubernetes.io/config.mirror"
ENFORCE_SECRETS: Final = "kubernetes.io/enforce-mountable-secrets"
TOKEN_SECONDS: Final = 3607
_VOLUME_PREFIX: Final = "kube-api-access-"


class ServiceAccount(Plugin):
    """Gives new pods their account and its token."""

    name = "ServiceAccount"
    operations = CREATE
    resources = frozenset({("", "pods")})
    subresources = frozenset({""})

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def mutate(self, admission: Admission) -> None:
        pod = admission.object
        if pod is None:
            return
        if MIRROR in (pod["metadata"].get("annotations") or {}):
            _check_mirror(admission, pod)
            return
        spec = pod.setdefault("spec", {})
        if not spec.get("serviceAccountName"):
            spec["serviceAccountName"] = DEFAULT_ACCOUNT
        spec["serviceAccount"] = spec["serviceAccountName"]
        account = self._account(admission, spec["serviceAccountName"])
        if _mounts_token(spec, account):
            _mount_token(spec)
        if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
            spec["imagePullSecrets"] = [dict(secret) for secret in account["imagePullSecrets"]]

    def validate(self, admission: Admission) -> None:
        pod = admission.object
        if pod is None or MIRROR in (pod["metadata"].get("annotations") or {}):
            return
        account = self._account(admission, pod["spec"].get("serviceAccountName") or DEFAULT_ACCOUNT)
        if (account["metadata"].get("annotations") or {}).get(ENFORCE_SECRETS) != "true":
            return
        allowed = {secret.get("name") for secret in account.get("secrets") or ()}
        pull = {secret.get("name") for secret in account.get("imagePullSecrets") or ()}
        for what, name in _secrets(pod["spec"]):
            if name not in (pull if what == "imagePullSecrets" else allowed):
                reference = account["metadata"]["name"]
                why = (
                    f'{what} with secret "{name}" is not allowed because service account {reference} does not reference'
                )
                raise refusal(admission, f"{why} that secret")

    def _account(self, admission: Admission, name: str) -> Object:
        account = self._reader.get(SERVICE_ACCOUNT, admission.namespace, name)
        if account is None:
            place = f"{admission.namespace}/{name}"
            why = f'error looking up service account {place}: serviceaccount "{name}" not found'
            raise refusal(admission, why)
        return account


def _check_mirror(admission: Admission, pod: Object) -> None:
    """A mirror pod only shows what a node runs by itself: it may hold nothing of the cluster's."""
    spec = pod["spec"]
    if spec.get("serviceAccountName"):
        raise refusal(admission, "a mirror pod may not reference service accounts")
    if any(True for _ in _secrets(spec)):
        raise refusal(admission, "a mirror pod may not reference secrets")
    for volume in spec.get("volumes") or ():
        for source in (volume.get("projected") or {}).get("sources") or ():
            if source.get("serviceAccountToken"):
                raise refusal(admission, "a mirror pod may not use ServiceAccountToken volume projections")


def _secrets(spec: Object) -> Iterator[tuple[str, str]]:
    """Secrets that a pod names, and where."""
    for volume in spec.get("volumes") or ():
        if source := volume.get("secret"):
            yield "volume", source.get("secretName", "")
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(field) or ():
            for variable in container.get("env") or ():
                if key := (variable.get("valueFrom") or {}).get("secretKeyRef"):
                    yield f"container {container['name']} env {variable['name']}", key.get("name", "")
            for source in container.get("envFrom") or ():
                if reference := source.get("secretRef"):
                    yield f"container {container['name']} envFrom", reference.get("name", "")
    for secret in spec.get("imagePullSecrets") or ():
        yield "imagePullSecrets", secret.get("name", "")


def _mounts_token(spec: Object, account: Object) -> bool:
    """The pod's word counts before the account's; by default, yes."""
    for holder in (spec, account):
        wish = holder.get("automountServiceAccountToken")
        if wish is not None:
            return bool(wish)
    return True


def _mount_token(spec: Object) -> None:
    """Mount the token into every container that mounts nothing at its place."""
    volumes = spec.get("volumes") or []
    names = {volume.get("name", "") for volume in volumes}
    name = next((known for known in names if known.startswith(_VOLUME_PREFIX)), "")
    is_new = not name
    while not name or (is_new and name in names):
        name = _VOLUME_PREFIX + fresh.letters(5)
    mounted = False
    for field in ("initContainers", "containers"):
        for container in spec.get(field) or ():
            mounts = container.get("volumeMounts") or []
            if any(mount.get("mountPath") == MOUNT_PATH for mount in mounts):
                continue
            container["volumeMounts"] = [*mounts, {"name": name, "readOnly": True, "mountPath": MOUNT_PATH}]
            mounted = True
    if mounted and is_new:
        spec["volumes"] = [*volumes, _token_volume(name)]


def _token_volume(name: str) -> Object:
    field = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    sources = [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [field]}},
    ]
    return {"name": name, "projected": {"sources": sources, "defaultMode": 420}}
