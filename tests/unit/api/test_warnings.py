"""What is allowed and yet hardly meant, in the words of the original."""

from base64 import b64encode
from typing import Any

import pytest

from mizzen.api.apps.deployment import DEPLOYMENT
from mizzen.api.apps.statefulset import STATEFUL_SET
from mizzen.api.batch.cronjob import CRON_JOB
from mizzen.api.batch.job import JOB
from mizzen.api.core.persistentvolume import PERSISTENT_VOLUME
from mizzen.api.core.persistentvolumeclaim import PERSISTENT_VOLUME_CLAIM
from mizzen.api.core.pod import POD
from mizzen.api.core.podtemplate import POD_TEMPLATE
from mizzen.api.core.secret import SECRET
from mizzen.api.core.service import SERVICE
from mizzen.api.core.serviceaccount import SERVICE_ACCOUNT
from mizzen.api.kind import Kind
from mizzen.api.networking.ingress import INGRESS
from mizzen.api.networking.networkpolicy import NETWORK_POLICY
from mizzen.api.node.runtimeclass import RUNTIME_CLASS
from mizzen.api.storage.storageclass import STORAGE_CLASS

Content = dict[str, Any]


def told(kind: Kind, content: Content, old: Content | None = None) -> list[str]:
    assert kind.warn is not None
    content.setdefault("metadata", {}).setdefault("name", "x")
    return list(kind.warn(content, old))


def pod(container: Content | None = None, annotations: Content | None = None, **spec: Any) -> Content:
    own = {"name": "c", "image": "i"} | (container or {})
    return {"metadata": {"name": "x", "annotations": annotations or {}}, "spec": {"containers": [own], **spec}}


def ports(*given: Content) -> Content:
    return pod({"ports": [{"containerPort": 80, "protocol": "TCP"} | port for port in given]})


def env(*given: Content) -> Content:
    return pod({"env": list(given)})


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (pod(nodeSelector={"beta.kubernetes.io/os": "linux"}), "spec.nodeSelector[beta.kubernetes.io/os]: deprecated"),
        (
            pod(
                affinity={
                    "nodeAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": {
                            "nodeSelectorTerms": [{"matchExpressions": [{"key": "beta.kubernetes.io/arch"}]}]
                        }
                    }
                }
            ),
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]"
            ".matchExpressions[0].key: beta.kubernetes.io/arch is deprecated since v1.14",
        ),
        (
            pod(affinity={"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{}]}}),
            "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector: a null",
        ),
        (
            pod(topologySpreadConstraints=[{"topologyKey": "zone"}]),
            "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod",
        ),
        (
            pod(annotations={"security.alpha.kubernetes.io/sysctls": "a=b"}),
            "metadata.annotations[security.alpha.kubernetes.io/sysctls]: non-functional in v1.11+",
        ),
        (
            pod(annotations={"container.seccomp.security.alpha.kubernetes.io/c": "unconfined"}),
            "metadata.annotations[container.seccomp.security.alpha.kubernetes.io/c]: non-functional in v1.27+",
        ),
        (pod(volumes=[{"name": "v", "cephfs": {}}]), "spec.volumes[0].cephfs: deprecated in v1.28"),
        (pod(hostAliases=[{"ip": "1.1.1.1"}, {"ip": "1.1.1.1"}]), 'spec.hostAliases[1].ip: duplicate ip "1.1.1.1"'),
        (
            pod(imagePullSecrets=[{"name": "a"}, {"name": "a"}]),
            'spec.imagePullSecrets[1].name: duplicate name "a"',
        ),
        (pod(imagePullSecrets=[{}]), 'spec.imagePullSecrets[0].name: invalid empty name ""'),
        (
            pod({"resources": {"requests": {"memory": "100m"}}}),
            'spec.containers[0].resources.requests[memory]: fractional byte value "100m" is invalid',
        ),
        (pod(overhead={"memory": "0.5"}), "spec.overhead[memory]: fractional byte value"),
        (
            env({"name": "A", "value": "1"}, {"name": "A", "value": "2"}),
            'spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply',
        ),
        (ports({}, {}), "spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]"),
        (ports({"hostPort": 80}, {}), "spec.containers[0].ports[1]: overlapping port definition with"),
        (
            ports({"hostPort": 80}, {"hostPort": 80, "hostIP": "10.0.0.1"}),
            "spec.containers[0].ports[1]: dangerously ambiguous port definition with",
        ),
        (pod(terminationGracePeriodSeconds=-1), "spec.terminationGracePeriodSeconds: must be >= 0"),
    ],
)
def test_the_creator_of_a_pod_hears_what_is_hardly_meant(content: Content, text: str) -> None:
    (warning,) = told(POD, content)
    assert warning.startswith(text)


def test_what_is_meant_is_no_reason_to_warn() -> None:
    grown = env({"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"})
    apart = ports({"hostPort": 80}, {"hostPort": 81}, {"protocol": "UDP"})
    assert [told(POD, content) for content in (pod(), grown, apart)] == [[], [], []]


def test_nobody_hears_of_a_pod_that_was_there_before() -> None:
    assert told(POD, env({"name": "A"}, {"name": "A"}), pod()) == []


def test_a_name_that_is_no_label_makes_odd_host_names() -> None:
    content = pod()
    content["metadata"]["name"] = "a.b"
    (warning,) = told(POD, content)
    assert warning.startswith("metadata.name: this is used in the Pod's hostname, which can result in surprising")
    deployment = {"metadata": {"name": "a.b"}, "spec": {"template": pod()}}
    assert told(DEPLOYMENT, deployment)[0].startswith("metadata.name: this is used in Pod names and hostnames")


def test_templates_are_warned_of_when_the_spec_changes() -> None:
    template = env({"name": "A"}, {"name": "A"})
    new = {"metadata": {"generation": 2}, "spec": {"template": template}}
    where = "spec.template.spec.containers[0].env[1]: hides previous definition"
    assert [text.startswith(where) for text in told(DEPLOYMENT, new, {"metadata": {"generation": 1}})] == [True]
    assert told(DEPLOYMENT, new, {"metadata": {"generation": 2}}) == []
    assert told(POD_TEMPLATE, {"template": template}) == [told(DEPLOYMENT, new)[0].removeprefix("spec.")]


def test_profiles_by_annotation_are_told_of_in_templates() -> None:
    key = "container.apparmor.security.beta.kubernetes.io/c"
    confined = pod(annotations={key: "unconfined"})
    assert told(POD, confined) == []
    (warning,) = told(DEPLOYMENT, {"spec": {"template": confined}})
    assert warning.startswith(f"spec.template.metadata.annotations[{key}]: deprecated since v1.30")


def test_jobs_tell_of_their_size_and_zones() -> None:
    big = {"completionMode": "Indexed", "completions": 200_000, "parallelism": 20_000, "template": pod()}
    (warning,) = told(JOB, {"spec": big})
    assert warning.startswith("spec: In Indexed Jobs with a number of completions higher than 10^5")
    inner, zone = told(CRON_JOB, {"spec": {"schedule": "TZ=UTC 0 * * * *", "jobTemplate": {"spec": big}}})
    assert inner.startswith("spec.jobTemplate.spec: In Indexed Jobs")
    assert zone.startswith("CRON_TZ or TZ used in spec.spec.schedule is not officially supported")


def test_claims_of_fractions_of_bytes() -> None:
    claim = {"resources": {"requests": {"storage": "1500m"}}}
    text = 'resources.requests[storage]: fractional byte value "1500m" is invalid, must be an integer'
    assert told(PERSISTENT_VOLUME_CLAIM, {"spec": claim}) == [f"spec.{text}"]
    spec = {"template": pod(), "volumeClaimTemplates": [{"spec": claim}], "revisionHistoryLimit": -1}
    first, second = told(STATEFUL_SET, {"spec": spec})
    assert first == f"spec.volumeClaimTemplates[0].spec.{text}"
    assert second.startswith("spec.revisionHistoryLimit: a negative value retains all")


def service(**spec: Any) -> Content:
    return {"spec": {"type": "ClusterIP", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], **spec}}


HEADLESS = {"clusterIP": "None", "clusterIPs": ["None"]}


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        (service(), []),
        (service(externalIPs=["1.2.3.4"]), ["spec.externalIPs is deprecated and may no longer be implemented"]),
        (service(**HEADLESS, externalIPs=["1.2.3.4"]), ["spec.externalIPs is ignored for headless services"]),
        (service(**HEADLESS, sessionAffinity="ClientIP"), ["spec.SessionAffinity is ignored for headless services"]),
        (service(externalName="a.test"), ["spec.externalName is ignored when spec.type is not"]),
        (
            service(type="ExternalName", externalName="a.test", externalIPs=["1.2.3.4"]),
            ["spec.externalIPs is ignored when spec.type is"],
        ),
        (service(trafficDistribution="PreferClose"), ['spec.trafficDistribution: "PreferClose" is deprecated']),
        (
            service(clusterIPs=["fd00:0::1"]),
            ['spec.clusterIPs[0]: IPv6 address "fd00:0::1" should be in RFC 5952 canonical format ("fd00::1")'],
        ),
        (
            service(loadBalancerSourceRanges=["10.0.0.1/8"]),
            [
                'spec.loadBalancerSourceRanges[0]: CIDR value "10.0.0.1/8" is ambiguous in this context '
                '(should be "10.0.0.0/8" or "10.0.0.1/32"?)'
            ],
        ),
    ],
)
def test_services_tell_of_what_is_ignored(content: Content, texts: list[str]) -> None:
    assert [warning.startswith(text) for warning, text in zip(told(SERVICE, content), texts, strict=True)] == [
        True for _ in texts
    ]


def test_volumes_tell_of_what_they_should_say_elsewhere() -> None:
    content = {
        "metadata": {"annotations": {"volume.beta.kubernetes.io/storage-class": "fast"}},
        "spec": {"persistentVolumeReclaimPolicy": "Recycle", "rbd": {}},
    }
    assert [warning.partition(":")[0] for warning in told(PERSISTENT_VOLUME, content)] == [
        "metadata.annotations[volume.beta.kubernetes.io/storage-class]",
        "spec.persistentVolumeReclaimPolicy",
        "spec.rbd",
    ]


def test_others_tell_of_what_is_deprecated() -> None:
    key = "failure-domain.beta.kubernetes.io/zone"
    topology = [{"matchLabelExpressions": [{"key": key, "values": ["a"]}]}]
    (text,) = told(STORAGE_CLASS, {"allowedTopologies": topology})
    assert text.startswith(f"allowedTopologies[0].matchLabelExpressions[0].key: {key} is deprecated")
    assert told(RUNTIME_CLASS, {"scheduling": {"nodeSelector": {key: "a"}}}) == [
        'scheduling.nodeSelector: deprecated since v1.17; use "topology.kubernetes.io/zone" instead'
    ]
    mountable = {"metadata": {"annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}}}
    assert len(told(SERVICE_ACCOUNT, mountable)) == 1
    assert told(SERVICE_ACCOUNT, mountable, mountable) == []
    by_annotation = {"metadata": {"annotations": {"kubernetes.io/ingress.class": "nginx"}}, "spec": {}}
    assert told(INGRESS, by_annotation) == [
        "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"
    ]
    assert told(INGRESS, by_annotation, by_annotation) == []
    block = {"ipBlock": {"cidr": "10.1.0.0/8"}}
    (text,) = told(NETWORK_POLICY, {"spec": {"egress": [{"to": [block]}]}})
    assert text.startswith('spec.egress[0].to[0].ipBlock.cidr: CIDR value "10.1.0.0/8" is ambiguous')


def test_a_certificate_that_is_none_is_told_of() -> None:
    def tls(certificate: bytes, key: bytes) -> Content:
        data = {"tls.crt": b64encode(certificate).decode(), "tls.key": b64encode(key).decode()}
        return {"type": "kubernetes.io/tls", "data": data}

    pem = b"-----BEGIN X-----"
    assert told(SECRET, tls(b"x", b"y")) == ["tls: failed to find any PEM data in certificate input"]
    assert told(SECRET, tls(pem, b"y")) == ["tls: failed to find any PEM data in key input"]
    assert told(SECRET, tls(pem, pem)) == []
