"""What both kinds of admission webhook configurations have in common."""

from collections.abc import Iterator

from mizzen.api.admissionregistration import matching
from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import Column, Table
from mizzen.api.rules import fields, webhooks
from mizzen.machinery import names
from mizzen.machinery.errors import FieldError, Object, duplicate, invalid, not_supported, required

SIDE_EFFECTS = ("None", "NoneOnDryRun")
DEFAULT_SECONDS = 10
LONGEST_SECONDS = 30


def default(configuration: Object) -> None:
    for webhook in configuration.get("webhooks") or ():
        if webhook.get("failurePolicy") is None:
            webhook["failurePolicy"] = "Fail"
        if webhook.get("timeoutSeconds") is None:
            webhook["timeoutSeconds"] = DEFAULT_SECONDS
        matching.default_selectors(webhook)
        matching.default_rules(webhook.get("rules"))
        webhooks.default_client(webhook.get("clientConfig"))


def default_mutating(configuration: Object) -> None:
    default(configuration)
    for webhook in configuration.get("webhooks") or ():
        if webhook.get("reinvocationPolicy") is None:
            webhook["reinvocationPolicy"] = "Never"


def validate(configuration: Object, old: Object | None) -> Iterator[FieldError]:
    seen: set[str] = set()
    for i, webhook in enumerate(configuration.get("webhooks") or ()):
        path, webhook_name = f"webhooks[{i}]", webhook.get("name") or ""
        yield from _webhook_errors(path, webhook)
        if webhook_name and webhook_name in seen:
            yield duplicate(f"{path}.name", webhook_name)
        seen.add(webhook_name)


def validate_mutating(configuration: Object, old: Object | None) -> Iterator[FieldError]:
    yield from validate(configuration, old)
    for i, webhook in enumerate(configuration.get("webhooks") or ()):
        policy = webhook.get("reinvocationPolicy")
        if policy is not None and policy not in {"IfNeeded", "Never"}:
            yield not_supported(f"webhooks[{i}].reinvocationPolicy", policy, ("IfNeeded", "Never"))


def _webhook_errors(path: str, webhook: Object) -> Iterator[FieldError]:
    yield from _name_errors(f"{path}.name", webhook.get("name") or "")
    for i, rule in enumerate(webhook.get("rules") or ()):
        yield from matching.rule_errors(f"{path}.rules[{i}]", rule)
    policy = webhook.get("failurePolicy")
    if policy is not None and policy not in matching.FAILURE_POLICIES:
        yield not_supported(f"{path}.failurePolicy", policy, matching.FAILURE_POLICIES)
    yield from matching.selector_errors(path, webhook)
    effects = webhook.get("sideEffects")
    if effects is None:
        yield required(f"{path}.sideEffects", f"must specify one of {', '.join(SIDE_EFFECTS)}")
    elif effects not in SIDE_EFFECTS:
        yield not_supported(f"{path}.sideEffects", effects, SIDE_EFFECTS)
    seconds = webhook.get("timeoutSeconds")
    if seconds is not None and not 1 <= seconds <= LONGEST_SECONDS:
        detail = f"the timeout value must be between 1 and {LONGEST_SECONDS} seconds"
        yield invalid(f"{path}.timeoutSeconds", seconds, detail)
    yield from webhooks.client_errors(f"{path}.clientConfig", webhook.get("clientConfig") or {})
    yield from webhooks.review_version_errors(
        f"{path}.admissionReviewVersions", webhook.get("admissionReviewVersions") or []
    )
    yield from matching.condition_errors(f"{path}.matchConditions", webhook.get("matchConditions") or [])


def _name_errors(path: str, webhook_name: str) -> Iterator[FieldError]:
    """A domain of three parts or more, so that names of different owners do not meet."""
    if not webhook_name:
        yield required(path)
        return
    complaints = list(fields.joined(path, webhook_name, names.dns1123_subdomain))
    yield from complaints
    if not complaints and webhook_name.count(".") < 2:
        yield invalid(path, webhook_name, "should be a domain with at least three segments separated by dots")


TABLE = Table(
    columns=(NAME, Column("Webhooks", type="integer"), AGE),
    row=lambda configuration, now: [
        name(configuration),
        len(configuration.get("webhooks") or ()),
        age(configuration, now),
    ],
)
