import pytest
from tests.fakes.reader import FakeReader, made

from mizzen.api.apps.deployment import DEPLOYMENT
from mizzen.api.core.namespace import NAMESPACE
from mizzen.api.core.pod import POD
from mizzen.machinery.errors import ApiError, Object
from mizzen.machinery.identity import Identity
from mizzen.server.admission.podsecurity.plugin import PodSecurity, Policy
from mizzen.server.seams import Admission

SAFE = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def _violations(level: str, spec: Object, annotations: dict[str, str] | None = None) -> list[str]:
    policy = Policy(level, "latest")
    return [str(found) for found in policy.violations({"annotations": annotations or {}}, spec)]


def _with(context: Object | None = None, **spec: object) -> Object:
    return {"containers": [{"name": "app", "securityContext": {**SAFE, **(context or {})}}], **spec}


@pytest.mark.parametrize(
    ("spec", "violation"),
    [
        (_with(hostNetwork=True, hostPID=True), "host namespaces (hostNetwork=true, hostPID=true)"),
        (_with({"privileged": True}), 'privileged (container "app" must not set securityContext.privileged=true)'),
        (
            _with({"capabilities": {"add": ["NET_ADMIN", "CHOWN"]}}),
            'non-default capabilities (container "app" must not include "NET_ADMIN" in '
            "securityContext.capabilities.add)",
        ),
        (_with(volumes=[{"name": "h", "hostPath": {"path": "/"}}]), 'hostPath volumes (volume "h")'),
        (
            {"containers": [{"name": "app", "ports": [{"hostPort": 80}]}]},
            'hostPort (container "app" uses hostPort 80)',
        ),
        (
            _with({"seLinuxOptions": {"type": "spc_t", "user": "root"}}),
            'seLinuxOptions (container "app" set forbidden securityContext.seLinuxOptions: type "spc_t"; '
            "user may not be set)",
        ),
        (
            _with({"procMount": "Unmasked"}),
            'procMount (container "app" must not set securityContext.procMount to "Unmasked")',
        ),
        (
            _with(securityContext={"seccompProfile": {"type": "Unconfined"}}),
            'seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")',
        ),
        (
            _with(securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}),
            "forbidden sysctls (kernel.msgmax)",
        ),
        (
            _with({"appArmorProfile": {"type": "Unconfined"}}),
            'forbidden AppArmor profile (container "app" must not set AppArmor profile type to "Unconfined")',
        ),
        (
            _with({"windowsOptions": {"hostProcess": True}}),
            'hostProcess (container "app" must not set securityContext.windowsOptions.hostProcess=true)',
        ),
        (
            {"containers": [{"name": "app", "livenessProbe": {"httpGet": {"host": "10.0.0.1"}}}]},
            'probe or lifecycle host (container "app" uses probe or lifecycle host "10.0.0.1")',
        ),
    ],
)
def test_the_baseline_closes_known_ways_out(spec: Object, violation: str) -> None:
    assert _violations("baseline", spec) == [violation]
    assert _violations("privileged", spec) == []


@pytest.mark.parametrize(
    ("spec", "violation"),
    [
        (
            _with({"allowPrivilegeEscalation": None}),
            'allowPrivilegeEscalation != false (container "app" must set '
            "securityContext.allowPrivilegeEscalation=false)",
        ),
        (
            _with({"capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}}),
            'unrestricted capabilities (container "app" must not include "CHOWN" in securityContext.capabilities.add)',
        ),
        (
            _with({"runAsNonRoot": None}),
            'runAsNonRoot != true (pod or container "app" must set securityContext.runAsNonRoot=true)',
        ),
        (_with({"runAsUser": 0}), 'runAsUser=0 (container "app" must not set runAsUser=0)'),
        (
            _with({"seccompProfile": None}),
            'seccompProfile (pod or container "app" must set securityContext.seccompProfile.type to '
            '"RuntimeDefault" or "Localhost")',
        ),
        (
            _with(volumes=[{"name": "n", "nfs": {}}]),
            'restricted volume types (volume "n" uses restricted volume type "nfs")',
        ),
    ],
)
def test_the_restricted_level_asks_for_hardening(spec: Object, violation: str) -> None:
    assert _violations("restricted", spec) == [violation]
    assert _violations("baseline", spec) == []


def test_a_hardened_pod_is_restricted() -> None:
    assert _violations("restricted", _with(volumes=[{"name": "t", "emptyDir": {}}])) == []
    of_pod = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    inherits = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}
    spec = {"securityContext": of_pod, "containers": [{"name": "app", "securityContext": inherits}]}
    assert _violations("restricted", spec) == []


def test_apparmor_is_also_told_by_annotation() -> None:
    annotations = {"container.apparmor.security.beta.kubernetes.io/app": "unconfined"}
    assert len(_violations("baseline", _with(), annotations)) == 1


def _namespace(**modes: str) -> FakeReader:
    labels = {f"pod-security.kubernetes.io/{mode}": level for mode, level in modes.items()}
    return FakeReader((NAMESPACE, made("shop", labels=labels)))


def _creates(reader: FakeReader, kind, obj: Object) -> Admission:  # type: ignore[no-untyped-def]
    admission = Admission("CREATE", kind, "", "shop", obj["metadata"]["name"], Identity("ann"), obj, None)
    PodSecurity(reader).validate(admission)
    return admission


def test_a_namespace_enforces_audits_and_warns_each_at_its_level() -> None:
    risky = made("web", "shop", spec=_with(hostNetwork=True))
    with pytest.raises(ApiError, match='violates PodSecurity "baseline:latest": host namespaces'):
        _creates(_namespace(enforce="baseline"), POD, risky)
    admission = _creates(_namespace(audit="baseline", warn="restricted"), POD, risky)
    assert admission.warnings == ['would violate PodSecurity "restricted:latest": host namespaces (hostNetwork=true)']
    assert "pod-security.kubernetes.io/audit-violations" in admission.annotations


def test_a_deployment_is_warned_of_but_not_refused() -> None:
    deployment = made("web", "shop", spec={"template": {"spec": _with(hostNetwork=True)}})
    admission = _creates(_namespace(enforce="baseline", warn="baseline"), DEPLOYMENT, deployment)
    assert len(admission.warnings) == 1


def test_raising_a_namespaces_level_tells_which_pods_do_not_meet_it() -> None:
    reader = _namespace()
    for name in ("a", "b"):
        reader.put(POD, made(name, "shop", spec=_with(hostNetwork=True)))
    new = made("shop", labels={"pod-security.kubernetes.io/enforce": "baseline"})
    admission = Admission("UPDATE", NAMESPACE, "", "", "shop", Identity("ann"), new, made("shop"))
    PodSecurity(reader).validate(admission)
    assert admission.warnings == [
        'existing pods in namespace "shop" violate the new PodSecurity enforce level "baseline:latest"',
        "a (and 1 other pod): host namespaces",
    ]
