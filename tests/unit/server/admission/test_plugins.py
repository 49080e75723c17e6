"""The built-in plugins, one after the other."""

import base64

import pytest
from tests.fakes.reader import FakeReader, made

from mizzen.api.certificates.certificatesigningrequest import CERTIFICATE_SIGNING_REQUEST
from mizzen.api.core.configmap import CONFIG_MAP
from mizzen.api.core.limitrange import LIMIT_RANGE
from mizzen.api.core.namespace import NAMESPACE
from mizzen.api.core.node import NODE
from mizzen.api.core.persistentvolume import PERSISTENT_VOLUME
from mizzen.api.core.persistentvolumeclaim import PERSISTENT_VOLUME_CLAIM
from mizzen.api.core.pod import POD
from mizzen.api.core.serviceaccount import SERVICE_ACCOUNT
from mizzen.api.kind import Kind
from mizzen.api.networking.ingress import INGRESS
from mizzen.api.networking.ingressclass import INGRESS_CLASS
from mizzen.api.node.runtimeclass import RUNTIME_CLASS
from mizzen.api.resource.resourceclaim import RESOURCE_CLAIM
from mizzen.api.resource.resourceclaimtemplate import RESOURCE_CLAIM_TEMPLATE
from mizzen.api.scheduling.priorityclass import PRIORITY_CLASS
from mizzen.api.storage.csidriver import CSI_DRIVER
from mizzen.api.storage.storageclass import STORAGE_CLASS
from mizzen.machinery.errors import ApiError, Object
from mizzen.machinery.identity import Identity
from mizzen.server.admission.certificates import CertificateApproval, CertificateSubjectRestriction
from mizzen.server.admission.defaultingressclass import DefaultIngressClass
from mizzen.server.admission.defaultstorageclass import DefaultStorageClass
from mizzen.server.admission.defaulttolerationseconds import DefaultTolerationSeconds
from mizzen.server.admission.deviceadminaccess import DeviceAdminAccess
from mizzen.server.admission.limitranger import LimitRanger
from mizzen.server.admission.namespacelifecycle import NamespaceLifecycle
from mizzen.server.admission.noderestriction import NodeRestriction
from mizzen.server.admission.persistentvolumeclaimresize import PersistentVolumeClaimResize
from mizzen.server.admission.priority import Priority
from mizzen.server.admission.runtimeclass import RuntimeClass
from mizzen.server.admission.serviceaccount import ServiceAccount
from mizzen.server.admission.storageobjectinuseprotection import StorageObjectInUseProtection
from mizzen.server.admission.taintnodesbycondition import TaintNodesByCondition
from mizzen.server.authz.chain import Superusers
from mizzen.server.seams import Admission, Attributes, Decision

ANN = Identity("ann")
N1 = Identity("system:node:n1", groups=("system:nodes",))


def pod(name: str = "web", **spec: object) -> Object:
    return made(name, "shop", spec={"containers": [{"name": "app", "image": "x"}], **spec})


def creates(kind: Kind, obj: Object, user: Identity = ANN) -> Admission:
    metadata = obj["metadata"]
    return Admission("CREATE", kind, "", metadata.get("namespace", ""), metadata["name"], user, obj, None)


def updates(kind: Kind, obj: Object, old: Object, subresource: str = "", user: Identity = ANN) -> Admission:
    metadata = obj["metadata"]
    return Admission("UPDATE", kind, subresource, metadata.get("namespace", ""), metadata["name"], user, obj, old)


def deletes(kind: Kind, old: Object, user: Identity = ANN) -> Admission:
    metadata = old["metadata"]
    return Admission("DELETE", kind, "", metadata.get("namespace", ""), metadata["name"], user, None, old)


def refused(call: object, admission: Admission) -> str:
    with pytest.raises(ApiError) as caught:
        call(admission)  # type: ignore[operator]
    return caught.value.message


def test_nothing_is_created_in_a_namespace_that_is_missing_or_ending() -> None:
    ending = made("old", status={"phase": "Terminating"})
    plugin = NamespaceLifecycle(FakeReader((NAMESPACE, made("shop")), (NAMESPACE, ending)))
    plugin.mutate(creates(CONFIG_MAP, made("s", "shop")))
    assert refused(plugin.mutate, creates(CONFIG_MAP, made("s", "ghost"))) == 'namespaces "ghost" not found'
    with pytest.raises(ApiError) as caught:
        plugin.mutate(creates(CONFIG_MAP, made("s", "old")))
    assert caught.value.message == (
        'configmaps "s" is forbidden: unable to create new content in namespace old because it is being terminated'
    )
    assert caught.value.details["causes"][0]["reason"] == "NamespaceTerminating"


def test_three_namespaces_may_not_be_deleted() -> None:
    plugin = NamespaceLifecycle(FakeReader())
    for name in ("default", "kube-system", "kube-public"):
        assert refused(plugin.mutate, deletes(NAMESPACE, made(name))) == (
            f'namespaces "{name}" is forbidden: this namespace may not be deleted'
        )
    plugin.mutate(deletes(NAMESPACE, made("shop")))


def _limits(**limit: object) -> FakeReader:
    return FakeReader((LIMIT_RANGE, made("bounds", "shop", spec={"limits": [{"type": "Container", **limit}]})))


def test_a_limit_range_fills_in_what_a_container_leaves_open_and_notes_it() -> None:
    reader = _limits(default={"cpu": "1", "memory": "1Gi"}, defaultRequest={"cpu": "500m"})
    obj = pod(containers=[{"name": "app", "resources": {"limits": {"cpu": "2"}, "requests": {"cpu": "2"}}}])
    obj["spec"]["initContainers"] = [{"name": "prepare"}]
    LimitRanger(reader).mutate(creates(POD, obj))
    assert obj["spec"]["containers"][0]["resources"] == {
        "limits": {"cpu": "2", "memory": "1Gi"},
        "requests": {"cpu": "2"},
    }
    assert obj["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: memory limit for container app; cpu request for init container prepare; "
        "cpu, memory limit for init container prepare"
    )


@pytest.mark.parametrize(
    ("limit", "resources", "why"),
    [
        ({"maxLimitRequestRatio": {"cpu": "2"}}, {"requests": {"cpu": "1"}, "limits": {"cpu": "3"}},
         "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000"),
        ({"max": {"cpu": "1"}}, {"limits": {"cpu": "2"}}, "maximum cpu usage per Container is 1, but limit is 2"),
        ({"max": {"cpu": "1"}}, {}, "maximum cpu usage per Container is 1.  No limit is specified"),
        ({"min": {"memory": "1Gi"}}, {"requests": {"memory": "5Mi"}},
         "minimum memory usage per Container is 1Gi, but request is 5Mi"),
        ({"min": {"memory": "1Gi"}}, {}, "minimum memory usage per Container is 1Gi.  No request is specified"),
        ({"type": "Pod", "max": {"cpu": "1"}}, {"limits": {"cpu": "2"}, "requests": {"cpu": "1"}},
         "maximum cpu usage per Pod is 1, but limit is 2"),
    ],
)  # fmt: skip
def test_a_limit_range_refuses_what_is_out_of_bounds(limit: Object, resources: Object, why: str) -> None:
    obj = pod(containers=[{"name": "app", "resources": resources}])
    message = refused(LimitRanger(_limits(**limit)).validate, creates(POD, obj))
    assert message == f'pods "web" is forbidden: {why}'


def test_a_limit_range_bounds_claims_too() -> None:
    plugin = LimitRanger(_limits(type="PersistentVolumeClaim", max={"storage": "1Gi"}))
    claim = made("data", "shop", spec={"resources": {"requests": {"storage": "2Gi"}}})
    message = refused(plugin.validate, creates(PERSISTENT_VOLUME_CLAIM, claim))
    assert message.endswith("maximum storage usage per PersistentVolumeClaim is 1Gi, but request is 2Gi")


def _accounts(**account: object) -> ServiceAccount:
    return ServiceAccount(FakeReader((SERVICE_ACCOUNT, made("default", "shop", **account))))


def test_a_pod_gets_the_default_account_its_token_and_pull_secrets() -> None:
    obj = pod()
    _accounts(imagePullSecrets=[{"name": "reg"}]).mutate(creates(POD, obj))
    spec = obj["spec"]
    (volume,) = spec["volumes"]
    assert volume["name"].startswith("kube-api-access-")
    assert len(volume["name"]) == len("kube-api-access-") + 5
    assert volume["projected"]["sources"][0] == {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}
    assert spec["containers"][0]["volumeMounts"] == [
        {"name": volume["name"], "readOnly": True, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    ]
    assert (spec["serviceAccountName"], spec["serviceAccount"]) == ("default", "default")
    assert spec["imagePullSecrets"] == [{"name": "reg"}]


def test_the_pods_word_on_mounting_counts_before_the_accounts() -> None:
    for of_account, of_pod, mounted in ((None, False, False), (False, None, False), (False, True, True)):
        obj = pod() if of_pod is None else pod(automountServiceAccountToken=of_pod)
        account = {} if of_account is None else {"automountServiceAccountToken": of_account}
        _accounts(**account).mutate(creates(POD, obj))
        assert ("volumes" in obj["spec"]) is mounted


def test_a_container_that_mounts_something_there_gets_no_token() -> None:
    own = [{"name": "mine", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]
    obj = pod(containers=[{"name": "app", "volumeMounts": list(own)}])
    _accounts().mutate(creates(POD, obj))
    assert obj["spec"]["containers"][0]["volumeMounts"] == own
    assert "volumes" not in obj["spec"]


def test_a_missing_account_is_told() -> None:
    message = refused(_accounts().mutate, creates(POD, pod("probe", serviceAccountName="ghost")))
    assert message == (
        'pods "probe" is forbidden: error looking up service account shop/ghost: serviceaccount "ghost" not found'
    )


def test_a_mirror_pod_may_hold_nothing_of_the_clusters() -> None:
    obj = pod(volumes=[{"name": "s", "secret": {"secretName": "x"}}])
    obj["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "1"}
    assert "a mirror pod may not reference secrets" in refused(_accounts().mutate, creates(POD, obj))


def test_pods_tolerate_trouble_for_five_minutes_unless_they_say_otherwise() -> None:
    obj = pod(tolerations=[{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}])
    DefaultTolerationSeconds().mutate(creates(POD, obj))
    assert [known["key"] for known in obj["spec"]["tolerations"]] == [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ]
    tolerant = pod(tolerations=[{"operator": "Exists"}])
    DefaultTolerationSeconds().mutate(creates(POD, tolerant))
    assert tolerant["spec"]["tolerations"] == [{"operator": "Exists"}]


def test_priority_comes_from_the_class() -> None:
    reader = FakeReader(
        (PRIORITY_CLASS, made("high", value=777, preemptionPolicy="Never")),
        (PRIORITY_CLASS, made("usual", value=5, globalDefault=True)),
    )
    named, unnamed = pod(priorityClassName="high"), pod()
    Priority(reader).mutate(creates(POD, named))
    Priority(reader).mutate(creates(POD, unnamed))
    assert (named["spec"]["priority"], named["spec"]["preemptionPolicy"]) == (777, "Never")
    assert (unnamed["spec"]["priority"], unnamed["spec"]["priorityClassName"]) == (5, "usual")


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"priorityClassName": "absent"}, "no PriorityClass with name absent was found"),
        (
            {"priority": 7},
            "the integer value of priority (7) must not be provided in pod spec; priority admission controller "
            "computed 0 from the given PriorityClass name",
        ),
        (
            {"preemptionPolicy": "Never"},
            "the string value of PreemptionPolicy (Never) must not be provided in pod spec; priority admission "
            "controller computed PreemptLowerPriority from the given PriorityClass name",
        ),
    ],
)
def test_priority_is_not_for_clients_to_write(spec: Object, why: str) -> None:
    message = refused(Priority(FakeReader()).mutate, creates(POD, pod(**spec)))
    assert message == f'pods "web" is forbidden: {why}'


def test_there_is_one_default_priority_class() -> None:
    reader = FakeReader((PRIORITY_CLASS, made("usual", value=5, globalDefault=True)))
    other = creates(PRIORITY_CLASS, made("other", value=6, globalDefault=True))
    assert "usual is already marked as default" in refused(Priority(reader).validate, other)


def test_a_new_node_is_tainted_until_it_is_ready() -> None:
    obj = made("n1")
    TaintNodesByCondition().mutate(creates(NODE, obj))
    TaintNodesByCondition().mutate(creates(NODE, obj))
    assert obj["spec"]["taints"] == [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]


RUNTIME = made(
    "rt",
    handler="h",
    overhead={"podFixed": {"cpu": "250m"}},
    scheduling={"nodeSelector": {"rt": "h"}, "tolerations": [{"key": "rt", "operator": "Exists"}]},
)


def test_a_runtime_class_brings_overhead_selector_and_tolerations() -> None:
    obj = pod(runtimeClassName="rt", nodeSelector={"own": "x"})
    plugin = RuntimeClass(FakeReader((RUNTIME_CLASS, RUNTIME)))
    plugin.mutate(creates(POD, obj))
    plugin.validate(creates(POD, obj))
    assert obj["spec"]["overhead"] == {"cpu": "250m"}
    assert obj["spec"]["nodeSelector"] == {"own": "x", "rt": "h"}
    assert obj["spec"]["tolerations"] == [{"key": "rt", "operator": "Exists"}]


def test_a_runtime_class_that_does_not_fit_is_refused() -> None:
    plugin = RuntimeClass(FakeReader((RUNTIME_CLASS, RUNTIME)))
    assert 'RuntimeClass "ghost" not found' in refused(plugin.mutate, creates(POD, pod(runtimeClassName="ghost")))
    other = pod(runtimeClassName="rt", nodeSelector={"rt": "other"})
    assert "conflict" in refused(plugin.mutate, creates(POD, other))
    assert "Pod Overhead set without" in refused(plugin.validate, creates(POD, pod(overhead={"cpu": "1"})))


def _storage_class(name: str, created: str, **content: object) -> tuple[Kind, Object]:
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"}
    return STORAGE_CLASS, made(name, annotations=annotations, creationTimestamp=created, **content)


def test_a_claim_without_class_gets_the_newest_default() -> None:
    plugin = DefaultStorageClass(
        FakeReader(_storage_class("old", "2026-01-01T00:00:00Z"), _storage_class("new", "2026-02-01T00:00:00Z"))
    )
    silent, explicit = made("a", "shop", spec={}), made("b", "shop", spec={"storageClassName": ""})
    for claim in (silent, explicit):
        plugin.mutate(creates(PERSISTENT_VOLUME_CLAIM, claim))
    assert (silent["spec"]["storageClassName"], explicit["spec"]["storageClassName"]) == ("new", "")


def test_claims_are_protected_while_in_use() -> None:
    claim = made("a", "shop", spec={})
    StorageObjectInUseProtection().mutate(creates(PERSISTENT_VOLUME_CLAIM, claim))
    assert claim["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]


def test_a_claim_grows_only_where_its_class_can() -> None:
    def claim(size: str, class_name: str) -> Object:
        spec = {"storageClassName": class_name, "resources": {"requests": {"storage": size}}}
        return made("a", "shop", spec=spec, status={"phase": "Bound"})

    reader = FakeReader((STORAGE_CLASS, made("wide", allowVolumeExpansion=True)), (STORAGE_CLASS, made("fixed")))
    plugin = PersistentVolumeClaimResize(reader)
    plugin.validate(updates(PERSISTENT_VOLUME_CLAIM, claim("2Gi", "wide"), claim("1Gi", "wide")))
    plugin.validate(updates(PERSISTENT_VOLUME_CLAIM, claim("1Gi", "fixed"), claim("1024Mi", "fixed")))
    grown = updates(PERSISTENT_VOLUME_CLAIM, claim("2Gi", "fixed"), claim("1Gi", "fixed"))
    assert "must support resize" in refused(plugin.validate, grown)


def test_an_ingress_without_class_gets_the_default() -> None:
    annotations = {"ingressclass.kubernetes.io/is-default-class": "true"}
    plugin = DefaultIngressClass(FakeReader((INGRESS_CLASS, made("envoy", annotations=annotations))))
    silent = made("a", "shop", spec={})
    annotated = made("b", "shop", spec={}, annotations={"kubernetes.io/ingress.class": "other"})
    for ingress in (silent, annotated):
        plugin.mutate(creates(INGRESS, ingress))
    assert silent["spec"] == {"ingressClassName": "envoy"}
    assert annotated["spec"] == {}


@pytest.mark.parametrize(
    ("admission", "why"),
    [
        (updates(NODE, made("n2"), made("n2"), "status", N1), "is not allowed to modify node"),
        (
            updates(NODE, made("n1", labels={"node-restriction.kubernetes.io/team": "a"}), made("n1"), "", N1),
            "is not allowed to modify labels: node-restriction.kubernetes.io/team",
        ),
        (updates(NODE, made("n1", spec={"taints": []}), made("n1"), "", N1), "is not allowed to modify taints"),
        (creates(POD, pod(nodeName="n1"), N1), "can only create mirror pods"),
        (deletes(POD, pod(nodeName="n2"), N1), "can only delete pods with spec.nodeName set to itself"),
        (updates(POD, pod(nodeName="n2"), pod(nodeName="n2"), "status", N1), "can only update pod status"),
    ],
)
def test_a_node_may_not_write_what_is_not_its_own(admission: Admission, why: str) -> None:
    assert why in refused(NodeRestriction(FakeReader(), Superusers()).mutate, admission)


def test_a_node_may_write_its_own() -> None:
    plugin = NodeRestriction(FakeReader(), Superusers())
    labels = {"kubernetes.io/os": "linux", "example.com/rack": "7", "node.kubernetes.io/kind": "x"}
    plugin.mutate(creates(NODE, made("n1", labels=labels), N1))
    plugin.mutate(updates(POD, pod(nodeName="n1"), pod(nodeName="n1"), "status", N1))
    plugin.mutate(deletes(POD, pod(nodeName="n1"), N1))
    plugin.mutate(updates(NODE, made("n2", labels={"node-restriction.kubernetes.io/a": "b"}), made("n2")))


def _asks_for_token(*audiences: str, **bound: object) -> Admission:
    request: Object = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "metadata": {}}
    request["spec"] = {"boundObjectRef": bound, "audiences": list(audiences)} if bound else {}
    return Admission("CREATE", SERVICE_ACCOUNT, "token", "shop", "robot", N1, request, None)


@pytest.mark.parametrize(
    ("bound", "why"),
    [
        ({}, "not bound to a pod"),
        ({"kind": "Pod", "apiVersion": "v1", "name": "web"}, "without a uid"),
        ({"kind": "Pod", "apiVersion": "v1", "name": "gone", "uid": "u"}, 'pods "gone" not found'),
        ({"kind": "Pod", "apiVersion": "v1", "name": "web", "uid": "u"}, "does not match the UID in record"),
        ({"kind": "Pod", "apiVersion": "v1", "name": "other", "uid": "uid-2"}, "scheduled on a different node"),
    ],
)
def test_a_node_gets_tokens_of_its_own_pods_alone(bound: Object, why: str) -> None:
    token = {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
    reader = FakeReader((POD, pod(nodeName="n1", volumes=[token])), (POD, pod("other", nodeName="n2")))
    assert why in refused(NodeRestriction(reader, Superusers()).mutate, _asks_for_token(**bound))
    NodeRestriction(reader, Superusers()).mutate(_asks_for_token(kind="Pod", apiVersion="v1", name="web", uid="uid-1"))


@pytest.mark.parametrize(
    ("audiences", "may"),
    [
        ((), False),
        (("vault",), True),
        (("vault", "other"), False),
        (("inline",), True),
        (("claimed",), True),
        (("ephemeral",), True),
        (("registry",), True),
        (("other",), False),
    ],
)
def test_a_node_gets_tokens_for_those_whom_a_volume_or_a_role_names(audiences: tuple[str, ...], may: bool) -> None:
    volumes = [
        {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token", "audience": "vault"}}]}},
        {"name": "i", "csi": {"driver": "inline.test"}},
        {"name": "c", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "e", "ephemeral": {}},
    ]
    objects: list[tuple[Kind, Object]] = [(POD, pod(nodeName="n1", volumes=volumes, serviceAccountName="robot"))]
    for name in ("inline", "claimed", "ephemeral"):
        objects.append((CSI_DRIVER, made(f"{name}.test", spec={"tokenRequests": [{"audience": name}]})))
    for claim, name in (("data", "claimed"), ("web-e", "ephemeral")):
        objects.append((PERSISTENT_VOLUME_CLAIM, made(claim, "shop", spec={"volumeName": name})))
        objects.append((PERSISTENT_VOLUME, made(name, spec={"csi": {"driver": f"{name}.test"}})))
    plugin = NodeRestriction(FakeReader(*objects), Registrar())
    asks = _asks_for_token(*audiences, kind="Pod", apiVersion="v1", name="web", uid="uid-1")
    if may:
        plugin.mutate(asks)
    else:
        assert "audience" in refused(plugin.mutate, asks)


class Registrar:
    """Allows tokens of one account for one audience."""

    def authorize(self, attributes: Attributes) -> Decision:
        asked = attributes.verb, attributes.resource, attributes.namespace, attributes.name
        return Decision(allowed=asked == ("request-serviceaccounts-token-audience", "registry", "shop", "robot"))


class _Allows:
    """Allows the names it is given."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def authorize(self, attributes: Attributes) -> Decision:
        return Decision(attributes.name in self._names)


def test_approving_takes_a_right_on_the_signer_or_its_domain() -> None:
    request = made("csr", spec={"signerName": "example.com/web"})
    admission = updates(CERTIFICATE_SIGNING_REQUEST, request, request, "approval")
    for name in ("example.com/web", "example.com/*"):
        CertificateApproval(_Allows(name)).validate(admission)
    why = refused(CertificateApproval(_Allows("other/web")).validate, admission)
    assert 'user not permitted to approve requests with signerName "example.com/web"' in why


def test_nobody_asks_for_a_superusers_certificate() -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    def request(group: str) -> Admission:
        name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)])
        key = ec.generate_private_key(ec.SECP256R1())
        made_request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
        pem = base64.b64encode(made_request.public_bytes(serialization.Encoding.PEM)).decode()
        spec = {"signerName": "kubernetes.io/kube-apiserver-client", "request": pem}
        return creates(CERTIFICATE_SIGNING_REQUEST, made("csr", spec=spec))

    CertificateSubjectRestriction().validate(request("dev"))
    assert "system:masters group is not allowed" in refused(
        CertificateSubjectRestriction().validate, request("system:masters")
    )


@pytest.mark.parametrize("spec", [{}, {"volumes": [{}], "containers": [{}], "tolerations": [{}]}])
def test_what_validation_will_refuse_does_not_break_the_plugins_before_it(spec: Object) -> None:
    reader = _limits(default={"cpu": "1"})
    reader.put(SERVICE_ACCOUNT, made("default", "shop"))
    for plugin in (
        LimitRanger(reader),
        ServiceAccount(reader),
        Priority(reader),
        DefaultTolerationSeconds(),
        RuntimeClass(reader),
    ):
        plugin.mutate(creates(POD, made("web", "shop", spec=dict(spec))))


def test_devices_are_administered_from_marked_namespaces_alone() -> None:
    marked = made("ops")
    marked["metadata"]["labels"] = {"resource.kubernetes.io/admin-access": "true"}
    plugin = DeviceAdminAccess(FakeReader((NAMESPACE, made("shop")), (NAMESPACE, marked)))
    asked = {"devices": {"requests": [{"name": "a", "exactly": {}}, {"name": "b", "exactly": {"adminAccess": True}}]}}
    label = "`resource.kubernetes.io/admin-access: true`"
    why = f"admin access to devices requires the {label} label on the containing namespace"
    for kind, spec in ((RESOURCE_CLAIM, asked), (RESOURCE_CLAIM_TEMPLATE, {"spec": asked})):
        plugin.validate(creates(kind, made("c", "ops", spec=spec)))
        with pytest.raises(ApiError) as caught:
            plugin.validate(creates(kind, made("c", "shop", spec=spec)))
        assert (caught.value.code, caught.value.reason) == (422, "Invalid")
        [cause] = caught.value.details["causes"]
        assert cause["field"] == "spec.devices.requests[1].adminAccess"
        assert cause["message"] == f"Forbidden: {why}"
    granted = {"allocation": {"devices": {"results": [{"device": "x", "adminAccess": True}]}}}
    old, new = made("c", "shop"), made("c", "shop", status=granted)
    assert why in refused(plugin.validate, updates(RESOURCE_CLAIM, new, old, "status"))
    plugin.validate(updates(RESOURCE_CLAIM, new, new, "status"))
