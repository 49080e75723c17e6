"""Which representation a client wants: JSON, YAML or protobuf; whole, as a Table, or metadata alone.

Ref: https://kubernetes.io/docs/reference/using-api/api-concepts/#alternate-representations-of-resources
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from mizzen.machinery.errors import ApiError

JSON: Final = "application/json"
YAML: Final = "application/yaml"
PROTOBUF: Final = "application/vnd.kubernetes.protobuf"

_OFFERED: Final = f"{JSON}, {YAML}, {PROTOBUF}"
STREAMED: Final = f"{JSON};stream=watch, {PROTOBUF};stream=watch"
_LISTED: Final = f"{_OFFERED}, {STREAMED}"
_META_VERSIONS: Final = {
    "Table": ("v1", "v1beta1"),
    "PartialObjectMetadata": ("v1", "v1beta1"),
    "PartialObjectMetadataList": ("v1", "v1beta1"),
}
_DISCOVERY_VERSIONS: Final = {"APIGroupDiscoveryList": ("v2", "v2beta1")}


@dataclass(frozen=True, slots=True)
class Media:
    """A representation: the format, and what objects are converted to (`as`, empty: as they are)."""

    type: str = JSON
    convert: str = ""
    version: str = ""

    @property
    def content_type(self) -> str:
        """The Content-Type of an answer in this representation."""
        if self.convert == "APIGroupDiscoveryList":
            return f"{self.type};g=apidiscovery.k8s.io;v={self.version};as={self.convert}"
        return self.type


PLAIN: Final = Media()


def negotiate(accept: str, *, listing: bool, builtin: bool = True) -> Media:
    """The best offer for an Accept header of a resource request. Raises ApiError 406."""
    if accept in ("", JSON, "*/*"):
        return PLAIN
    found = _negotiate(accept, True, builtin)
    if found is None:
        raise not_acceptable(accept, listing=listing, builtin=builtin)
    return found


def negotiate_without_table(accept: str, *, listing: bool, builtin: bool = True) -> Media:
    """The best offer where there is no Table. Raises ApiError 406."""
    others = [clause for clause in accept.split(",") if "as=Table" not in clause]
    if not others:
        raise not_acceptable(accept, listing=listing, builtin=builtin)
    return negotiate(",".join(others), listing=listing, builtin=builtin)


def negotiate_discovery(accept: str) -> Media:
    """The same for discovery documents, which may be asked for aggregated. Raises ApiError 406."""
    found = _negotiate(accept, False, True)
    if found is None and PROTOBUF in accept:
        return Media(PROTOBUF)
    if found is None:
        raise not_acceptable(accept, listing=False, builtin=True)
    return found


def not_acceptable(accept: str, *, listing: bool, builtin: bool) -> ApiError:
    """What a client hears: that none of its media types is offered, or that those are, but not in the form it wants."""
    if not builtin or any(name in (JSON, YAML, PROTOBUF, "*/*") for name, _, _ in _clauses(accept)):
        return ApiError(406, "NotAcceptable", f"only the following media types are accepted: {_OFFERED}")
    offers = _LISTED if listing else _OFFERED
    return ApiError(406, "NotAcceptable", f"406: Not Acceptable\n\nAvailable representations: {offers}")


@lru_cache(maxsize=512)
def negotiate_status(accept: str) -> Media:
    """How a client that sent an Accept header wants to hear of a failure: in protobuf, or plainly."""
    clauses = sorted(_clauses(accept), key=lambda clause: -clause[1])
    offered = next((name for name, _, _ in clauses if name in (JSON, YAML, PROTOBUF, "*/*")), JSON)
    return Media(PROTOBUF) if offered == PROTOBUF else PLAIN


@lru_cache(maxsize=512)
def _negotiate(accept: str, of_resource: bool, builtin: bool) -> Media | None:
    if not accept.strip():
        return PLAIN
    clauses = sorted(_clauses(accept), key=lambda clause: -clause[1])
    convertible = _META_VERSIONS if of_resource else _DISCOVERY_VERSIONS
    group = "meta.k8s.io" if of_resource else "apidiscovery.k8s.io"
    for asked, _, parameters in clauses:
        name = JSON if asked == "*/*" or (asked == "application/*" and not builtin) else asked
        if name not in (JSON, YAML, PROTOBUF):
            continue
        media = _converted(name, parameters, convertible, group)
        if media is not None and (media.type != PROTOBUF or (of_resource and _in_protobuf(media, builtin))):
            return media
    return None


def _in_protobuf(media: Media, builtin: bool) -> bool:
    """Whether there are messages for it: of metadata always, of Tables never, of whole objects for built-in kinds."""
    return media.convert.startswith("Partial") or (builtin and not media.convert)


def _converted(
    name: str, parameters: Mapping[str, str], convertible: Mapping[str, tuple[str, ...]], group: str
) -> Media | None:
    convert = parameters.get("as", "")
    if not convert:
        return Media(name)
    version = parameters.get("v", "")
    if parameters.get("g") != group or version not in convertible.get(convert, ()):
        return None
    return Media(name, convert, version)


def _clauses(accept: str) -> Iterator[tuple[str, float, Mapping[str, str]]]:
    """Media type, quality and parameters of each clause, in the header's order."""
    for clause in accept.split(","):
        name, *rest = (part.strip() for part in clause.split(";"))
        parameters = dict(part.split("=", 1) for part in rest if "=" in part)
        try:
            quality = float(parameters.get("q", "1"))
        except ValueError:
            quality = 1.0
        if name:
            yield name.lower(), quality, parameters
