"""Secret (core/v1): sensitive values, base64 in the API; known types must hold the keys their users expect."""

from base64 import b64decode, b64encode
from collections.abc import Iterator

import orjson

from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.rules import fields, keyed
from mizzen.machinery.errors import FieldError, Object, invalid, required, too_long

SERVICE_ACCOUNT_NAME = "kubernetes.io/service-account.name"
DOCKER_KEYS = {
    "kubernetes.io/dockercfg": ".dockercfg",
    "kubernetes.io/dockerconfigjson": ".dockerconfigjson",
}


def default(secret: Object) -> None:
    """Fold `stringData` into `data`, where it wins; a Secret without type is opaque."""
    plain = secret.pop("stringData", None)
    if plain:
        data = secret["data"] = dict(secret.get("data") or {})
        for key, value in plain.items():
            data[key] = b64encode((value or "").encode()).decode()
    if not secret.get("data"):
        secret.pop("data", None)
    if not secret.get("type"):
        secret["type"] = "Opaque"


def validate(secret: Object, old: Object | None) -> Iterator[FieldError]:
    data = secret.get("data") or {}
    if old is not None:
        yield from fields.unchanged("type", secret.get("type"), old.get("type"))
        yield from keyed.immutable_errors(secret, old, ("data",))
    yield from keyed.key_errors("data", data)
    if keyed.decoded_size(data) > keyed.SIZE_LIMIT:
        yield too_long("data", keyed.SIZE_LIMIT)
    yield from _type_errors(secret, data)


def warn(secret: Object, _old: Object | None) -> Iterator[str]:
    """A certificate or key that is none is stored all the same."""
    if secret.get("type") != "kubernetes.io/tls":
        return
    data = secret.get("data") or {}
    for key, what in (("tls.crt", "certificate"), ("tls.key", "key")):
        if b"-----BEGIN " not in b64decode(data.get(key) or ""):
            yield f"tls: failed to find any PEM data in {what} input"
            return


def _type_errors(secret: Object, data: dict[str, str]) -> Iterator[FieldError]:
    match secret.get("type"):
        case "kubernetes.io/service-account-token":
            if not (secret["metadata"].get("annotations") or {}).get(SERVICE_ACCOUNT_NAME):
                yield required(f"metadata.annotations[{SERVICE_ACCOUNT_NAME}]")
        case ("kubernetes.io/dockercfg" | "kubernetes.io/dockerconfigjson") as type_:
            yield from _docker_errors(DOCKER_KEYS[type_], data)
        case "kubernetes.io/basic-auth":
            if "username" not in data and "password" not in data:
                yield required("data[username]")
                yield required("data[password]")
        case "kubernetes.io/ssh-auth":
            if not data.get("ssh-privatekey"):
                yield required("data[ssh-privatekey]")
        case "kubernetes.io/tls":
            for key in ("tls.crt", "tls.key"):
                if key not in data:
                    yield required(f"data[{key}]")


def _docker_errors(key: str, data: dict[str, str]) -> Iterator[FieldError]:
    if key not in data:
        yield required(f"data[{key}]")
        return
    try:
        config = orjson.loads(b64decode(data[key]))
    except ValueError as failure:
        yield invalid(f"data[{key}]", "<secret contents redacted>", str(failure))
        return
    if config is not None and not isinstance(config, dict):
        yield invalid(f"data[{key}]", "<secret contents redacted>", "must be a JSON object")


TABLE = Table(
    columns=(NAME, Column("Type"), Column("Data"), AGE),
    row=lambda secret, now: [name(secret), secret.get("type", ""), len(secret.get("data") or ()), age(secret, now)],
)

SECRET = Kind(
    group="",
    version="v1",
    kind="Secret",
    plural="secrets",
    namespaced=True,
    singular="secret",
    default=default,
    validate=validate,
    warn=warn,
    table=TABLE,
    selectable={"type": lambda secret: secret.get("type") or ""},
)
