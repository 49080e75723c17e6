"""CustomResourceDefinition (apiextensions.k8s.io/v1): a new kind; its names, versions and what they may say.

Conditions and accepted names are the server's to write.
"""

from collections.abc import Iterator

from mizzen.api.apiextensions import definition_names, versions
from mizzen.api.kind import Kind
from mizzen.api.rules import fields, urls, webhooks
from mizzen.machinery import dialect, names
from mizzen.machinery.errors import FieldError, Object, forbidden, invalid, required

SCOPES = ("Cluster", "Namespaced")
STRATEGIES = ("None", "Webhook")
APPROVAL = "api-approved.kubernetes.io"
_PROTECTED = ("k8s.io", "kubernetes.io")


def default(definition: Object) -> None:
    spec = definition.setdefault("spec", {})
    definition_names.default(spec.setdefault("names", {}))
    if spec.get("conversion") is None:
        spec["conversion"] = {"strategy": "None"}
    conversion = spec["conversion"]
    webhooks.default_client((conversion.get("webhook") or {}).get("clientConfig"))
    default_status(definition.setdefault("status", {}))


def default_status(status: Object) -> None:
    status.setdefault("conditions", None)
    status.setdefault("acceptedNames", {"plural": "", "kind": ""})
    status.setdefault("storedVersions", None)


def prepare(definition: Object, old: Object | None) -> None:
    """The version that is stored joins those that ever were."""
    status = definition["status"] = {} if old is None else dict(old.get("status") or {})
    default_status(status)
    stored = list(status.get("storedVersions") or ())
    for version in definition["spec"].get("versions") or ():
        if version.get("storage"):
            if version.get("name") not in stored:
                stored.append(version.get("name", ""))
            break
    status["storedVersions"] = stored or None


def validate(definition: Object, old: Object | None) -> Iterator[FieldError]:
    spec = definition.get("spec") or {}
    if old is None:
        yield from _name_errors(definition)
    else:
        yield from _update_errors(spec, old)
    yield from _approval_errors(definition, old)
    yield from _group_errors(spec.get("group") or "")
    yield from fields.one_of("spec.scope", spec.get("scope"), SCOPES)
    if spec.get("preserveUnknownFields"):
        detail = (
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        )
        yield invalid("spec.preserveUnknownFields", True, detail)
    yield from versions.errors(spec, None if old is None else old.get("spec") or {})
    yield from definition_names.errors("spec.names", spec.get("names") or {})
    yield from _conversion_errors("spec.conversion", spec.get("conversion") or {})
    yield from stored_version_errors(definition)


def warn(definition: Object, old: Object | None) -> Iterator[str]:
    """Formats that are not known, and were not used before."""
    before = set(_unknown_formats(old)) if old is not None else set()
    for name in dict.fromkeys(_unknown_formats(definition)):
        if name not in before:
            yield f'unrecognized format "{name}"'


def _unknown_formats(definition: Object) -> Iterator[str]:
    for version in definition["spec"].get("versions") or ():
        yield from dialect.unknown_formats((version.get("schema") or {}).get("openAPIV3Schema") or {})


def _name_errors(definition: Object) -> Iterator[FieldError]:
    spec, name = definition["spec"], definition["metadata"].get("name") or ""
    if name and name != f"{(spec.get('names') or {}).get('plural') or ''}.{spec.get('group') or ''}":
        yield invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group')


def is_protected(group: str) -> bool:
    """Whether a group belongs to the Kubernetes community."""
    return any(group == own or group.endswith(f".{own}") for own in _PROTECTED)


def approval(definition: Object) -> tuple[str, str]:
    """Whether a definition says that it is approved, in the first word of a condition's reason, and a sentence."""
    given = (definition["metadata"].get("annotations") or {}).get(APPROVAL) or ""
    see = "see https://github.com/kubernetes/enhancements/pull/1111"
    if not given:
        return "Missing", f'protected groups must have approval annotation "{APPROVAL}", {see}'
    if given.startswith("unapproved"):
        return "Unapproved", f'not approved: "{given}"'
    link = urls.split(given)
    if link.scheme and link.host and not urls.problem(given):
        return "Approved", f"approved in {given}"
    wanted = 'with either a URL or a reason starting with "unapproved"'
    return "Invalid", f'protected groups must have approval annotation "{APPROVAL}" {wanted}, {see}'


def _approval_errors(definition: Object, old: Object | None) -> Iterator[FieldError]:
    """Groups of the Kubernetes community carry a link to their approval; those that are stored without may stay so."""
    if not is_protected(definition["spec"].get("group") or ""):
        return
    state, told = approval(definition)
    if old is not None and approval(old)[0] == state:
        return
    path = f"metadata.annotations[{APPROVAL}]"
    if state == "Missing":
        yield required(path, told)
    elif state == "Invalid":
        yield invalid(path, definition["metadata"]["annotations"][APPROVAL], told)


def _group_errors(group: str) -> Iterator[FieldError]:
    if not group:
        yield required("spec.group")
        return
    problems = list(fields.joined("spec.group", group, names.dns1123_subdomain))
    yield from problems
    if not problems and "." not in group:
        yield invalid("spec.group", group, "should be a domain with at least one dot")


def _update_errors(spec: Object, old: Object) -> Iterator[FieldError]:
    stored = old.get("spec") or {}
    given, before = spec.get("names") or {}, stored.get("names") or {}
    conditions = (old.get("status") or {}).get("conditions") or ()
    if any(c.get("type") == "Established" and c.get("status") == "True" for c in conditions):
        yield from fields.unchanged("spec.scope", spec.get("scope"), stored.get("scope"))
        yield from fields.unchanged("spec.names.kind", given.get("kind"), before.get("kind"))
    yield from fields.unchanged("spec.group", spec.get("group"), stored.get("group"))
    yield from fields.unchanged("spec.names.plural", given.get("plural"), before.get("plural"))


def _conversion_errors(path: str, conversion: Object) -> Iterator[FieldError]:
    strategy = conversion.get("strategy")
    yield from fields.one_of(f"{path}.strategy", strategy, STRATEGIES)
    webhook = conversion.get("webhook") or {}
    client, known = webhook.get("clientConfig"), webhook.get("conversionReviewVersions") or []
    if strategy != "Webhook":
        detail = "should not be set when strategy is not set to Webhook"
        if client is not None:
            yield forbidden(f"{path}.webhookClientConfig", detail)
        if known:
            yield forbidden(f"{path}.conversionReviewVersions", detail)
        return
    if client is None:
        yield required(f"{path}.webhookClientConfig", "required when strategy is set to Webhook")
    else:
        yield from webhooks.client_errors(f"{path}.webhookClientConfig", client)
    if known:
        yield from webhooks.review_version_errors(f"{path}.conversionReviewVersions", known)
    else:
        yield required(f"{path}.conversionReviewVersions")


def stored_version_errors(definition: Object) -> Iterator[FieldError]:
    """Every version that was ever stored must still be there, the present one among them."""
    path = "status.storedVersions"
    stored = (definition.get("status") or {}).get("storedVersions") or []
    if not stored:
        yield invalid(path, None, "must have at least one stored version")
        return
    offered = {version.get("name"): version for version in definition["spec"].get("versions") or ()}
    for i, version in enumerate(stored):
        if version not in offered:
            detail = (
                f"missing from spec.versions; {version} was previously a storage version, and must remain in "
                f"spec.versions until a storage migration ensures no data remains persisted in {version} and removes "
                f"{version} from status.storedVersions"
            )
            yield invalid(f"{path}[{i}]", version, detail)
    for name, version in offered.items():
        if version.get("storage") and name not in stored:
            yield invalid(path, stored, f"must have the storage version {name}")


def validate_status(definition: Object, old: Object | None) -> Iterator[FieldError]:
    yield from stored_version_errors(definition)
    accepted = (definition.get("status") or {}).get("acceptedNames") or {}
    yield from definition_names.form_errors("status.acceptedNames", accepted)


CUSTOM_RESOURCE_DEFINITION = Kind(
    group="apiextensions.k8s.io",
    version="v1",
    kind="CustomResourceDefinition",
    plural="customresourcedefinitions",
    namespaced=False,
    singular="customresourcedefinition",
    short_names=("crd", "crds"),
    categories=("api-extensions",),
    default=default,
    prepare=prepare,
    validate=validate,
    warn=warn,
    bare_finalizers=True,
    revalidates_metadata=0,
    has_status=True,
    status_leaves=("labels", "annotations", "ownerReferences"),
    validate_status=validate_status,
    has_generation=True,
    unconditional_update=False,
)
