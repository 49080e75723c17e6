"""The agent's smaller decisions: quality of service, admission, probes' tallies, status patches, names of images."""

import base64
from pathlib import Path

import orjson
import pytest

from mizzen.agent import admission, resources, sandboxes, status
from mizzen.agent.config import AgentConfig
from mizzen.agent.containers import Ground, container_spec
from mizzen.agent.images.keyring import Credential, from_secret, matching
from mizzen.agent.images.reference import parse
from mizzen.agent.logs import remove_older
from mizzen.agent.podsource import from_api
from mizzen.agent.podstatus import Shown, status_of
from mizzen.agent.probes import Tally, tallied
from mizzen.agent.revival import begin
from mizzen.agent.runtime import oci_config, signals
from mizzen.agent.runtime.base import Abilities, ContainerSeen, ContainerSpec, Limits, Observed, SandboxSpec, Security
from mizzen.agent.runtime.cgroups import weight
from mizzen.agent.runtime.signals import number
from mizzen.agent.staticpods import manifest, mirror
from mizzen.agent.volumes.files import File, publish
from mizzen.api.views.podspec import (
    AppArmorProfile,
    Container,
    ContainerPort,
    DnsConfig,
    DnsOption,
    Pod,
    PodMeta,
    PodSecurityContext,
    PodSpec,
    Probe,
    Resources,
    SecurityContext,
    VolumeMount,
)

GUARANTEED = Resources(requests={"cpu": "1", "memory": "1Gi"}, limits={"cpu": "1", "memory": "1Gi"})


def a_pod(*asked: Resources | None, **spec: object) -> Pod:
    containers = tuple(Container(name=f"c{n}", resources=one) for n, one in enumerate(asked))
    return Pod(metadata=PodMeta(name="p", namespace="ns", uid="u"), spec=PodSpec(containers=containers, **spec))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ((None,), "BestEffort"),
        ((GUARANTEED,), "Guaranteed"),
        ((GUARANTEED, None), "Burstable"),
        ((Resources(limits={"cpu": "1", "memory": "1Gi"}),), "Guaranteed"),
        ((Resources(requests={"cpu": "1"}),), "Burstable"),
    ],
)
def test_the_quality_of_service_follows_requests_and_limits(asked: tuple[Resources | None, ...], wanted: str) -> None:
    assert resources.qos_class(a_pod(*asked)) == wanted


def test_cgroup_settings_follow_requests_and_limits() -> None:
    pod = a_pod(Resources(requests={"cpu": "250m", "memory": "64Mi"}, limits={"cpu": "500m", "memory": "128Mi"}))
    limits = resources.container_limits(pod, pod.spec.containers[0], resources.Size(1 << 30))
    assert (limits.cpu_shares, limits.cpu_quota, limits.memory, limits.oom_score_adj) == (256, 50_000, 128 << 20, 938)
    assert (weight(2), weight(1024), weight(262_144)) == (1, 39, 10_000)


def test_initialization_counts_where_it_needs_more_than_the_containers() -> None:
    side = Container(name="s", restartPolicy="Always", resources=Resources(requests={"cpu": "1"}))
    init = Container(name="i", resources=Resources(requests={"cpu": "3"}))
    pod = a_pod(Resources(requests={"cpu": "1"}), initContainers=(side, init))
    assert resources.requested(pod)["cpu"] == 4 * 10**9


def test_a_node_refuses_what_does_not_fit() -> None:
    room = {"cpu": 2 * 10**9, "pods": 110 * 10**9}
    two = a_pod(Resources(requests={"cpu": "1500m"}))
    assert admission.rejection(two, [], room, {}, ()) is None
    refused = admission.rejection(two, [two], room, {}, ())
    assert refused is not None and refused[0] == "OutOfcpu"
    assert refused[1].endswith("resource: cpu, requested: 1500, used: 1500, capacity: 2000")
    picky = admission.rejection(a_pod(None, nodeSelector={"disk": "ssd"}), [], room, {"disk": "hdd"}, ())
    assert picky is not None and picky[0] == "NodeAffinity"


def test_a_port_of_the_node_is_given_once() -> None:
    def taking(address: str, protocol: str = "TCP") -> Pod:
        port = ContainerPort(containerPort=80, hostPort=80, hostIP=address, protocol=protocol)
        return Pod(spec=PodSpec(containers=(Container(name="c", ports=(port,)),)))

    room = {"pods": 110 * 10**9}
    refused = admission.rejection(taking(""), [taking("10.0.0.1")], room, {}, ())
    assert refused is not None and refused[0] == "NodePorts"
    assert admission.rejection(taking("10.0.0.2"), [taking("10.0.0.1")], room, {}, ()) is None
    assert admission.rejection(taking("", "UDP"), [taking("")], room, {}, ()) is None


def test_probe_thresholds_count_consecutive_results() -> None:
    probe, tally = Probe(failureThreshold=2, successThreshold=1), Tally()
    verdicts = []
    for ok in (True, False, True, False, False, True):
        tally = tallied(tally, ok, probe)
        verdicts.append(tally.verdict)
    assert verdicts == [True, True, True, True, False, True]


def test_a_status_patch_names_only_what_differs_and_clears_what_is_gone() -> None:
    known = {
        "phase": "Pending",
        "podIPs": [{"ip": "1.1.1.1"}],
        "conditions": [{"type": "Ready", "status": "False", "reason": "Why", "lastTransitionTime": "t"}],
    }
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "u"}
    wanted = {"phase": "Pending", "podIPs": [{"ip": "2.2.2.2"}], "conditions": [ready]}
    assert status.difference(known, wanted) == {
        "podIPs": [{"ip": "2.2.2.2"}, {"$patch": "delete", "ip": "1.1.1.1"}],
        "conditions": [{**ready, "reason": None}],
    }
    assert status.difference(wanted, wanted) == {}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("team/app:2", "docker.io/team/app:2"),
        ("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b:latest"),
        ("ghcr.io/a/b@sha256:" + "0" * 64, "ghcr.io/a/b@sha256:" + "0" * 64),
        ("localhost/x:1", "localhost/x:1"),
    ],
)
def test_image_names_are_completed(text: str, wanted: str) -> None:
    assert str(parse(text)) == wanted


@pytest.mark.parametrize("text", ["", "UPPER/case", "a:b:c", "a@sha256:12", "a b", "-x", "a/"])
def test_bad_image_names_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid reference format"):
        parse(text)


def test_the_most_specific_credential_comes_first() -> None:
    auth = base64.b64encode(b"me:secret").decode()
    body = orjson.dumps(
        {"auths": {"https://r.example/v2/": {"auth": auth}, "r.example/team": {"username": "t", "password": "p"}}}
    )
    found = from_secret({"data": {".dockerconfigjson": base64.b64encode(body).decode()}})
    fitting = matching((*found, Credential("*.example.org", "x", "y")), parse("r.example/team/app:1"))
    assert fitting == (Credential("r.example/team", "t", "p"), Credential("r.example", "me", "secret"))
    assert matching(found, parse("r.example/teams/app:1")) == (Credential("r.example", "me", "secret"),)


def test_a_pods_resolver_puts_its_own_names_behind_the_clusters() -> None:
    config = AgentConfig("n", Path("/r"), Path("/i"), (), cluster_dns=("10.96.0.10",), host_resolv_conf=Path("/none"))
    own = DnsConfig(nameservers=("9.9.9.9",), searches=("my.org",), options=(DnsOption(name="ndots", value="2"),))
    text = sandboxes.resolver_of(a_pod(None, dnsConfig=own), config).text()
    assert text == (
        "search ns.svc.cluster.local svc.cluster.local cluster.local my.org\n"
        "nameserver 10.96.0.10\nnameserver 9.9.9.9\noptions ndots:2\n"
    )


def test_what_is_too_much_for_a_resolver_is_left_out_and_said() -> None:
    config = AgentConfig("n", Path("/r"), Path("/i"), (), cluster_dns=("10.96.0.10",), host_resolv_conf=Path("/none"))
    own = DnsConfig(nameservers=("9.9.9.1", "9.9.9.2", "9.9.9.3"), searches=tuple(f"{n}.org" for n in range(30)))
    pod = a_pod(None, dnsConfig=own)
    made = sandboxes.resolver_of(pod, config)
    assert made.nameservers == ("10.96.0.10", "9.9.9.1", "9.9.9.2") and len(made.searches) == 32
    servers, searches = sandboxes.omitted_from_resolver(pod, config)
    assert servers.endswith("the applied nameserver line is: 10.96.0.10 9.9.9.1 9.9.9.2")
    assert searches.startswith("Search Line limits were exceeded") and searches.endswith(" 27.org 28.org")
    assert sandboxes.omitted_from_resolver(a_pod(None), config) == ()


def spec(**more: object) -> ContainerSpec:
    return ContainerSpec("u", "ns", "p", "c", 0, "i", "id", "/log", **more)  # type: ignore[arg-type]


def test_command_and_args_replace_what_the_image_says() -> None:
    image = {"Entrypoint": ["/run"], "Cmd": ["serve"]}
    assert oci_config.arguments(spec(), image) == ["/run", "serve"]
    assert oci_config.arguments(spec(args=("x",)), image) == ["/run", "x"]
    assert oci_config.arguments(spec(command=("/own",)), image) == ["/own"]


def test_a_privileged_container_has_nothing_masked_and_others_do() -> None:
    place = oci_config.Place("/g", {"pid": ""}, "", -1000, {}, frozenset(oci_config.CAPABILITIES), {})
    sandbox = SandboxSpec("u", "ns", "p")

    def linux(security: Security) -> dict[str, object]:
        body = oci_config.config(spec(security=security), sandbox, {"Cmd": ["x"]}, user=oci_config.User(), place=place)
        found: dict[str, object] = body["linux"]
        return found

    assert "maskedPaths" in linux(Security()) and "seccomp" not in linux(Security())
    assert "maskedPaths" not in linux(Security(privileged=True))
    assert "seccomp" in linux(Security(seccomp="RuntimeDefault"))


def test_an_apparmor_profile_of_the_machine_confines_the_process() -> None:
    place = oci_config.Place("/g", {"pid": ""}, "", -1000, {}, frozenset(oci_config.CAPABILITIES), {})
    sandbox = SandboxSpec("u", "ns", "p")
    for asked, named in (("localhost/deny-write", "deny-write"), ("Unconfined", None), ("", None)):
        one = spec(security=Security(apparmor=asked))
        body = oci_config.config(one, sandbox, {"Cmd": ["x"]}, user=oci_config.User(), place=place)
        assert body["process"].get("apparmorProfile") == named


def test_a_machine_without_apparmor_takes_no_pod_that_asks_for_it() -> None:
    def pod(own: str = "", whole: str = "") -> Pod:
        context = SecurityContext(appArmorProfile=AppArmorProfile(type=own)) if own else None
        shared = PodSecurityContext(appArmorProfile=AppArmorProfile(type=whole)) if whole else None
        containers = (Container(name="c", image="i", securityContext=context),)
        return Pod(metadata=PodMeta(name="p"), spec=PodSpec(containers=containers, securityContext=shared))

    def refusal(asked: Pod, has_armor: bool) -> object:
        return admission.confinement_refusal(asked, Abilities(apparmor=has_armor))

    refused = ("AppArmor", "Pod was rejected: Cannot enforce AppArmor: AppArmor is not enabled on the host")
    for asking in (pod("RuntimeDefault"), pod("Localhost"), pod(whole="RuntimeDefault")):
        assert refusal(asking, False) == refused
        assert refusal(asking, True) is None
    assert refusal(pod("Unconfined"), False) is None
    assert refusal(pod(), False) is None


def test_a_runtime_that_is_not_strict_about_groups_takes_no_pod_that_asks_for_that() -> None:
    def pod(policy: str) -> Pod:
        context = PodSecurityContext(supplementalGroupsPolicy=policy)
        return Pod(metadata=PodMeta(name="p"), spec=PodSpec(containers=(), securityContext=context))

    lax = Abilities(strict_groups=False)
    text = "Pod was rejected: SupplementalGroupsPolicy=Strict is not supported in this node"
    refused = ("SupplementalGroupsPolicyNotSupported", text)
    assert admission.confinement_refusal(pod("Strict"), lax) == refused
    assert admission.confinement_refusal(pod("Merge"), lax) is None
    assert admission.confinement_refusal(pod("Strict"), Abilities()) is None


@pytest.mark.parametrize(("mode", "able", "wanted"), [
    ("IfPossible", True, True), ("IfPossible", False, False), ("Enabled", True, True), ("Disabled", True, False),
])  # fmt: skip
def test_a_mount_is_recursively_read_only_where_that_is_asked_for_and_shown_as_it_is(
    mode: str, able: bool, wanted: bool
) -> None:
    mounts = (VolumeMount(name="v", mountPath="/v", readOnly=True, recursiveReadOnly=mode),)
    container = Container(name="c", image="i", volumeMounts=mounts)
    pod = Pod(metadata=PodMeta(name="p", namespace="ns", uid="u"), spec=PodSpec(containers=(container,)))
    here = Path("/h")
    ground = Ground((), (("/s", False),), (), here, "/l", here, Limits(), here, recursive_read_only=able)
    made = container_spec(pod, container, 0, "sha256:1", ground)
    assert [one.recursive_read_only for one in made.mounts if one.target == "/v"] == [wanted]
    shown = status_of(begin(pod, 0.0), Shown((), "x", recursive_read_only=able), None, 0.0)
    (mount,) = shown["containerStatuses"][0]["volumeMounts"]
    assert mount["recursiveReadOnly"] == ("Enabled" if wanted else "Disabled")


def test_signals_are_known_by_their_names() -> None:
    assert [signals.name(one) for one in (15, 10, 34, 37, 64, 60)] == [
        "SIGTERM", "SIGUSR1", "SIGRTMIN", "SIGRTMIN+3", "SIGRTMAX", "SIGRTMAX-4",
    ]  # fmt: skip
    assert (number("SIGQUIT"), number("term"), number("9"), number("SIGRTMIN+3"), number("")) == (3, 15, 9, 37, 15)


def test_files_are_published_at_once_and_only_when_they_differ(tmp_path: Path) -> None:
    assert publish(tmp_path, {"a": File(b"1", 0o644), "d/b": File(b"2", 0o600)}, "v1")
    assert (tmp_path / "a").read_bytes() == b"1" and (tmp_path / "a").readlink() == Path("..data/a")
    assert not publish(tmp_path, {"a": File(b"1", 0o644), "d/b": File(b"2", 0o600)}, "v2")
    assert publish(tmp_path, {"a": File(b"3", 0o644)}, "v3")
    assert (tmp_path / "a").read_bytes() == b"3" and not (tmp_path / "d").exists()
    with pytest.raises(ValueError, match="invalid path"):
        publish(tmp_path, {"../x": File(b"", 0o644)}, "v4")


def test_a_pod_of_the_api_is_no_static_one_whatever_it_says() -> None:
    said = {"kubernetes.io/config.source": "file", "a": "b"}
    pod = Pod(metadata=PodMeta(name="p", annotations=said), spec=PodSpec())
    assert resources.is_critical(pod)
    seen = from_api(pod)
    assert not resources.is_critical(seen)
    assert seen.metadata.annotations == {"kubernetes.io/config.source": "api", "a": "b"}
    plain = Pod(metadata=PodMeta(name="p", annotations={"a": "b"}), spec=PodSpec())
    assert from_api(plain) is plain


def test_a_static_pod_is_named_after_its_node_and_mirrored_without_its_uid() -> None:
    body = manifest("kind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: c, image: i}]}", "Node-1", "web.yaml")
    assert body["metadata"]["name"] == "web-node-1" and body["spec"]["nodeName"] == "Node-1"
    shown = mirror(body, "Node-1", "node-uid")
    owner = {"apiVersion": "v1", "kind": "Node", "name": "Node-1", "uid": "node-uid", "controller": True}
    assert shown["metadata"]["ownerReferences"] == [owner]
    assert "uid" not in shown["metadata"]
    assert shown["metadata"]["annotations"]["kubernetes.io/config.mirror"] == body["metadata"]["uid"]
    with pytest.raises(ValueError, match="not a Pod"):
        manifest("kind: Service", "n", "f")


@pytest.mark.parametrize(
    ("spec", "resource"),
    [
        ("{volumes: [{name: v, configMap: {name: x}}], containers: []}", "configmaps"),
        ("{volumes: [{name: v, projected: {sources: [{secret: {name: x}}]}}], containers: []}", "secrets"),
        ("{volumes: [{name: v, persistentVolumeClaim: {claimName: x}}], containers: []}", "persistentvolumeclaims"),
        ("{containers: [{name: c, env: [{name: A, valueFrom: {secretKeyRef: {name: x, key: k}}}]}]}", "secrets"),
        ("{serviceAccountName: robot, containers: []}", "serviceaccounts"),
    ],
)
def test_a_static_pod_needs_no_object_of_the_api(spec: str, resource: str) -> None:
    with pytest.raises(ValueError, match=f"web.yaml: static pods may not reference {resource}"):
        manifest(f"kind: Pod\nmetadata: {{name: web}}\nspec: {spec}", "n", "web.yaml")
    alone = "{nodeSelector: {secret: yes}, containers: [{name: c, env: [{name: A, value: secret}]}]}"
    manifest(f"kind: Pod\nmetadata: {{name: web}}\nspec: {alone}", "n", "web.yaml")


def test_a_condition_that_passes_is_taken_out_of_the_status() -> None:
    pending = {"type": "PodResizePending", "status": "True", "reason": "Deferred"}
    ready = {"type": "Ready", "status": "True"}
    changes = status.difference({"conditions": [ready, pending]}, {"conditions": [ready]})
    assert changes == {"conditions": [{"$patch": "delete", "type": "PodResizePending"}]}


def test_a_resize_is_refused_for_ever_or_for_now() -> None:
    def asking(cpu: str) -> Pod:
        return Pod(spec=PodSpec(containers=(Container(name="c", resources=Resources(requests={"cpu": cpu})),)))

    room = {"cpu": 2 * 10**9}
    assert admission.resize_refusal(asking("3"), [], room)[0] == "Infeasible"
    assert admission.resize_refusal(asking("1500m"), [asking("1")], room)[0] == "Deferred"
    assert admission.resize_refusal(asking("1"), [asking("1")], room) == ("", "")


def test_a_container_that_ends_before_its_pod_is_named_is_remembered_as_ended() -> None:
    running = ContainerSeen("a", "u", "c", 0, "i", "sha256:1", "running")
    ended = ContainerSeen("a", "u", "c", 0, "i", "sha256:1", "exited", exit_code=5)
    other = ContainerSeen("b", "v", "c", 0, "i", "sha256:1", "running")
    assert Observed((), (running, other)).after(ended) == Observed((), (ended, other))
    assert Observed((), (other,)).after(ended) == Observed((), (other,))


def test_the_logs_of_attempts_that_nobody_can_ask_for_are_removed(tmp_path: Path) -> None:
    for name in ("0.log", "0.log.20240101T000000Z.gz", "1.log", "1.log.20240101T000000Z", "10.log", "other"):
        (tmp_path / name).touch()
    remove_older(tmp_path, 1)
    remove_older(tmp_path / "absent", 1)
    kept = ["1.log", "1.log.20240101T000000Z", "10.log", "other"]
    assert sorted(path.name for path in tmp_path.iterdir()) == kept


def test_a_fully_qualified_name_that_no_kernel_takes_is_refused() -> None:
    long = a_pod(None, hostname="h" * 43, subdomain="s", setHostnameAsFQDN=True)
    config = AgentConfig("n", Path("/r"), Path("/i"), ("10.0.0.1",))
    with pytest.raises(ValueError, match=r"is too long \(64 characters is the max, 66 characters requested\)"):
        sandboxes.sandbox_spec(long, config, Path("/logs"), "n", Limits())
