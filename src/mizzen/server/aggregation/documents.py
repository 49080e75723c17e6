"""Discovery documents of versions that other servers answer, from the resources that they listed."""

from collections.abc import Iterable, Iterator, Mapping

from mizzen.machinery.errors import Object
from mizzen.server.aggregation.remote import Remote

Versions = Mapping[tuple[str, str], Remote]


def groups(versions: Versions) -> tuple[str, ...]:
    """Groups by falling priority, then by name."""
    highest: dict[str, int] = {}
    for (group, _), remote in versions.items():
        highest[group] = max(highest.get(group, 0), remote.spec.get("groupPriorityMinimum") or 0)
    return tuple(sorted(highest, key=lambda group: (-highest[group], group)))


def versions_of(versions: Versions, group: str) -> tuple[str, ...]:
    """Versions of a group by falling priority."""
    found = [remote for (known, _), remote in versions.items() if known == group]
    return tuple(
        one.version for one in sorted(found, key=lambda one: (-(one.spec.get("versionPriority") or 0), one.version))
    )


def aggregated(remote: Remote) -> Object:
    """One version as aggregated discovery shows it; stale while it cannot be asked."""
    freshness = "Current" if remote.health.available else "Stale"
    resources = list(_resources(remote.group, remote.version, remote.resources))
    return {"version": remote.version, "resources": resources, "freshness": freshness}


def _resources(group: str, version: str, listed: Iterable[Object]) -> Iterator[Object]:
    subresources: dict[str, list[Object]] = {}
    for one in listed:
        plural, _, sub = str(one.get("name", "")).partition("/")
        if sub:
            shown = {"subresource": sub, "responseKind": _kind(group, version, one), "verbs": one.get("verbs") or []}
            subresources.setdefault(plural, []).append(shown)
    for one in listed:
        if "/" in str(one.get("name", "")):
            continue
        resource: Object = {
            "resource": one["name"],
            "responseKind": _kind(group, version, one),
            "scope": "Namespaced" if one.get("namespaced") else "Cluster",
            "singularResource": one.get("singularName") or str(one.get("kind", "")).lower(),
            "verbs": one.get("verbs") or [],
        }
        for name in ("shortNames", "categories"):
            if one.get(name):
                resource[name] = one[name]
        if one["name"] in subresources:
            resource["subresources"] = subresources[one["name"]]
        yield resource


def _kind(group: str, version: str, one: Object) -> Object:
    return {"group": one.get("group") or group, "version": one.get("version") or version, "kind": one.get("kind", "")}
