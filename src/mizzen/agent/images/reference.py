"""Image names, as people write them and as registries know them.

Ref: https://kubernetes.io/docs/concepts/containers/images/#image-names
"""

import re
from dataclasses import dataclass

_DEFAULT_REGISTRY = "docker.io"
_PATH = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")
_HOST = re.compile(r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?")
_TAG = re.compile(r"[\w][\w.-]{0,127}")
_DIGEST = re.compile(r"sha(?:256:[0-9a-f]{64}|512:[0-9a-f]{128})")


@dataclass(frozen=True, slots=True)
class Reference:
    """One image in one registry, by tag or digest (the digest counts when both are given)."""

    registry: str
    repository: str
    tag: str
    digest: str

    @property
    def name(self) -> str:
        """`docker.io/library/nginx`."""
        return f"{self.registry}/{self.repository}"

    def __str__(self) -> str:
        return f"{self.name}@{self.digest}" if self.digest else f"{self.name}:{self.tag}"

    @property
    def selector(self) -> str:
        """What the registry is asked for: the digest, or else the tag."""
        return self.digest or self.tag


def parse(text: str) -> Reference:
    """Complete an image name with its defaults. Raises ValueError with the text that users see."""
    rest, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise ValueError(_invalid(text))
    head, slash, tail = rest.partition("/")
    if not slash or not ("." in head or ":" in head or head == "localhost"):
        registry, path = _DEFAULT_REGISTRY, rest
    else:
        registry, path = head, tail
    path, colon, tag = path.partition(":")
    if registry in {_DEFAULT_REGISTRY, "index.docker.io"}:
        registry = _DEFAULT_REGISTRY
        if "/" not in path:
            path = f"library/{path}"
    ok = _HOST.fullmatch(registry) and _PATH.fullmatch(path) and (not colon or _TAG.fullmatch(tag))
    if not ok:
        raise ValueError(_invalid(text))
    return Reference(registry, path, tag or ("" if digest else "latest"), digest)


def _invalid(text: str) -> str:
    return f'Failed to apply default image tag "{text}": couldn\'t parse image name "{text}": invalid reference format'
