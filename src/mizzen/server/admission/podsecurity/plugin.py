"""PodSecurity: pods keep to the level that their namespace's labels ask for.

Ref: https://kubernetes.io/docs/concepts/security/pod-security-admission/
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mizzen.api.core.namespace import NAMESPACE
from mizzen.api.core.pod import POD
from mizzen.machinery.errors import Object
from mizzen.server.admission.plugin import WRITES, Plugin, refusal
from mizzen.server.admission.podsecurity import baseline, restricted
from mizzen.server.admission.podsecurity.check import Check, Violation
from mizzen.server.seams import Admission, Reader

_PREFIX: Final = "pod-security.kubernetes.io/"
_LEVELS: Final[Mapping[str, Sequence[Check]]] = {
    "privileged": (),
    "baseline": baseline.CHECKS,
    "restricted": restricted.CHECKS,
}
_TEMPLATES: Final = {
    "podtemplates": ("template",),
    "replicationcontrollers": ("spec", "template"),
    "replicasets": ("spec", "template"),
    "deployments": ("spec", "template"),
    "statefulsets": ("spec", "template"),
    "daemonsets": ("spec", "template"),
    "jobs": ("spec", "template"),
    "cronjobs": ("spec", "jobTemplate", "spec", "template"),
}


@dataclass(frozen=True, slots=True)
class Policy:
    """One mode of a namespace's labels: a level and the version it is pinned to."""

    level: str
    version: str

    def __str__(self) -> str:
        return f"{self.level}:{self.version}"

    def violations(self, metadata: Object, spec: Object) -> list[Violation]:
        found = (check(metadata, spec) for check in _LEVELS[self.level])
        return [violation for violation in found if violation is not None]


class PodSecurity(Plugin):
    """Enforces on pods; warns about pods and about what will make pods."""

    name = "PodSecurity"
    operations = WRITES
    resources = frozenset(
        {
            ("", "pods"),
            ("", "namespaces"),
            ("", "podtemplates"),
            ("", "replicationcontrollers"),
            *(("apps", plural) for plural in ("replicasets", "deployments", "statefulsets", "daemonsets")),
            ("batch", "jobs"),
            ("batch", "cronjobs"),
        }
    )
    subresources = frozenset({"", "ephemeralcontainers"})

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def validate(self, admission: Admission) -> None:
        obj = admission.object
        if obj is None:
            return
        if admission.kind is NAMESPACE:
            self._check_namespace(admission, obj)
        elif admission.kind is POD:
            if admission.operation == "CREATE" or admission.subresource:
                self._check_pod(admission, obj)
        else:
            self._check_template(admission, obj)

    def _check_pod(self, admission: Admission, pod: Object) -> None:
        labels = self._labels(admission.namespace)
        if not any(key.startswith(_PREFIX) for key in labels):
            return
        metadata, spec = pod["metadata"], pod["spec"]
        enforced = _policy(labels, "enforce")
        admission.annotations[f"{_PREFIX}enforce-policy"] = str(enforced)
        violations = enforced.violations(metadata, spec)
        if violations:
            raise refusal(admission, f'violates PodSecurity "{enforced}": {_told(violations)}')
        audited = _policy(labels, "audit")
        if violations := audited.violations(metadata, spec):
            text = f'would violate PodSecurity "{audited}": {_told(violations)}'
            admission.annotations[f"{_PREFIX}audit-violations"] = text
        _warn(admission, _policy(labels, "warn"), metadata, spec)

    def _check_template(self, admission: Admission, obj: Object) -> None:
        labels = self._labels(admission.namespace)
        if not any(key.startswith(_PREFIX) for key in labels):
            return
        template, before = _template(obj, admission.kind.plural), _template(admission.old, admission.kind.plural)
        if template is None or template == before:
            return
        _warn(admission, _policy(labels, "warn"), template.get("metadata") or {}, template.get("spec") or {})

    def _check_namespace(self, admission: Admission, namespace: Object) -> None:
        """Tell which pods the new level would not have let in; they stay."""
        if admission.operation != "UPDATE" or admission.old is None:
            return
        policy = _policy(namespace["metadata"].get("labels") or {}, "enforce")
        if policy == _policy(admission.old["metadata"].get("labels") or {}, "enforce") or policy.level == "privileged":
            return
        pods: dict[str, list[str]] = {}
        for pod in self._reader.list(POD, admission.name):
            if violations := policy.violations(pod["metadata"], pod["spec"]):
                reasons = ", ".join(violation.reason for violation in violations)
                pods.setdefault(reasons, []).append(pod["metadata"]["name"])
        if not pods:
            return
        place = f'existing pods in namespace "{admission.name}"'
        admission.warnings.append(f'{place} violate the new PodSecurity enforce level "{policy}"')
        for reasons, names in sorted(pods.items(), key=lambda entry: entry[1][0]):
            others = len(names) - 1
            more = f" (and {others} other pod{'s' if others > 1 else ''})" if others else ""
            admission.warnings.append(f"{names[0]}{more}: {reasons}")

    def _labels(self, namespace: str) -> Mapping[str, str]:
        found = self._reader.get(NAMESPACE, "", namespace)
        labels: Mapping[str, str] = ((found or {}).get("metadata") or {}).get("labels") or {}
        return labels


def _warn(admission: Admission, policy: Policy, metadata: Object, spec: Object) -> None:
    if violations := policy.violations(metadata, spec):
        admission.warnings.append(f'would violate PodSecurity "{policy}": {_told(violations)}')


def _policy(labels: Mapping[str, str], mode: str) -> Policy:
    """What the labels ask for; a level that does not exist is the strictest to enforce, the laxest to warn of."""
    level = labels.get(_PREFIX + mode) or "privileged"
    if level not in _LEVELS:
        level = "restricted" if mode == "enforce" else "privileged"
    return Policy(level, labels.get(f"{_PREFIX}{mode}-version") or "latest")


def _told(violations: Sequence[Violation]) -> str:
    return ", ".join(str(violation) for violation in violations)


def _template(obj: Object | None, plural: str) -> Object | None:
    found = obj
    for step in _TEMPLATES[plural]:
        found = (found or {}).get(step)
    return found
