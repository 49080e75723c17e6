"""What the node answers: logs, statistics, commands, attachments."""

from dataclasses import replace

import orjson
from tests.node.pods.conftest import Node, container, eventually, phase, waiting

from mizzen.client.resources import PODS
from mizzen.machinery.errors import Object
from mizzen.wire.message import Request, Response


async def ask(node: Node, path: str, **query: str) -> tuple[int, bytes]:
    """One request to the node's own server."""
    assert node.running is not None
    answer: Response = await node.running.handle(Request("GET", path, tuple(query.items())))
    if answer.stream is not None:
        return answer.status, b"".join([piece async for piece in answer.stream])
    assert isinstance(answer.body, bytes)
    return answer.status, answer.body


async def test_logs_can_be_cut_followed_and_stamped(node: Node) -> None:
    script = "for i in 1 2 3 4 5; do echo line $i; done; sleep 0.3; echo last"
    await node.create("talker", {"script": script}, restartPolicy="Never")
    await node.until("talker", phase("Running"))
    _, followed = await ask(node, "/containerLogs/default/talker/c", follow="true")
    assert followed.splitlines() == [b"line 1", b"line 2", b"line 3", b"line 4", b"line 5", b"last"]
    assert (await ask(node, "/containerLogs/default/talker/c", tailLines="2"))[1] == b"line 5\nlast\n"
    assert (await ask(node, "/containerLogs/default/talker/c", limitBytes="9"))[1] == b"line 1\nli"
    stamped = (await ask(node, "/containerLogs/default/talker/c", tailLines="1", timestamps="true"))[1]
    assert stamped.endswith(b"Z last\n") and stamped.startswith(b"20")
    assert (await ask(node, "/containerLogs/default/talker/c", sinceTime="2100-01-01T00:00:00Z"))[1] == b""
    assert (await ask(node, "/containerLogs/default/nobody/c"))[0] == 404
    status, text = await ask(node, "/containerLogs/default/talker/c", previous="true")
    assert (status, text) == (400, b'previous terminated container "c" in pod "talker" not found')


async def test_a_log_that_is_not_there_yet_tells_what_its_container_waits_for(node: Node) -> None:
    await node.create("absent", {"name": "c", "image": "no.such.test/x:1", "imagePullPolicy": "Never"})
    await node.until("absent", waiting("ErrImageNeverPull"))
    text = b'container "c" in pod "absent" is waiting to start: ErrImageNeverPull'
    assert await ask(node, "/containerLogs/default/absent/c") == (400, text)


async def test_the_log_before_a_restart_is_kept(node: Node) -> None:
    await node.create("again", {"script": "echo attempt; exit 1"}, restartPolicy="OnFailure")
    await node.until("again", lambda pod: (pod["status"].get("containerStatuses") or [{}])[0].get("restartCount") == 1)
    assert (await ask(node, "/containerLogs/default/again/c", previous="true"))[1] == b"attempt\n"


async def test_the_log_of_a_finished_pod_is_served_by_an_agent_that_never_saw_it_run(node: Node) -> None:
    await node.create("done", {"script": "echo said before"}, restartPolicy="Never")
    before = await node.until("done", phase("Succeeded"))
    await node.stop()
    await node.start()
    assert await ask(node, "/containerLogs/default/done/c") == (200, b"said before\n")
    after = await node.client.get(PODS, "done", "default", view=dict)
    assert after["status"]["containerStatuses"] == before["status"]["containerStatuses"]


async def test_statistics_show_what_pods_use(node: Node) -> None:
    await node.create("busy", {"script": "echo on; while true; do :; done"})
    await node.logged(await node.running_pod("busy"), "on")
    summary = orjson.loads((await ask(node, "/stats/summary"))[1])
    pod = next(one for one in summary["pods"] if one["podRef"]["name"] == "busy")
    assert pod["containers"][0]["memory"]["workingSetBytes"] > 0
    assert pod["containers"][0]["logs"]["usedBytes"] > 0 and pod["ephemeral-storage"]["usedBytes"] > 0
    assert summary["node"]["memory"]["availableBytes"] > 0
    systems = {one["name"]: one["memory"]["workingSetBytes"] for one in summary["node"]["systemContainers"]}
    assert systems["kubelet"] > 1 << 20 and systems["pods"] > 0
    text = (await ask(node, "/metrics/resource"))[1].decode()
    assert 'container_memory_working_set_bytes{container="c",namespace="default",pod="busy"}' in text
    shown = (await ask(node, "/metrics/cadvisor"))[1].decode()
    assert 'container_memory_working_set_bytes{container="c",id="/kubepods/pod' in shown
    own = (await ask(node, "/metrics"))[1].decode()
    assert "kubelet_running_pods 1" in own and "kubelet_pod_start_duration_seconds_count{} 1" in own
    assert 'kubelet_runtime_operations_total{operation_type="run_podsandbox"} 1' in own
    assert 'rest_client_requests_total{code="200",method="PATCH"} ' in own
    assert (await ask(node, "/healthz")) == (200, b"ok")
    assert (await ask(node, "/statusz"))[1].startswith(b"kubelet statusz\n")
    listed = orjson.loads((await ask(node, "/pods"))[1])
    assert [one["metadata"]["name"] for one in listed["items"]] == ["busy"]


async def test_a_runtime_that_makes_no_checkpoints_says_so(node: Node) -> None:
    await node.create("kept", {"script": "exec sleep 1000"})
    await node.running_pod("kept")
    assert node.running is not None
    answer = await node.running.handle(Request("POST", "/checkpoint/default/kept/c"))
    assert answer.status == 500 and b"checkpointing of default/kept/c failed" in bytes(answer.body)  # type: ignore[arg-type]
    assert (await ask(node, "/checkpoint/default/kept/c"))[0] == 405


async def test_log_files_are_listed_and_read_and_nothing_beside_them(crun_node: Node) -> None:
    node = crun_node
    pod = await node.create("talker", {"script": "echo hello; exec sleep 1000"})
    await node.logged(await node.running_pod("talker"), "hello")
    directory = f"/logs/pods/default_talker_{pod['metadata']['uid']}"
    assert (await ask(node, "/logs"))[0] == 301
    assert b'<a href="pods/">pods/</a>' in (await ask(node, "/logs/"))[1]
    assert b'<a href="0.log">0.log</a>' in (await ask(node, f"{directory}/c/"))[1]
    assert (await ask(node, f"{directory}/c/0.log"))[1].endswith(b" stdout F hello\n")
    (node.config.root / "logs" / "out").symlink_to("/etc")
    for path in ("/logs/../containers", "/logs/%2e%2e/containers", "/logs/out/passwd", "/logs/absent"):
        assert (await ask(node, path))[0] == 404


async def test_a_command_has_streams_a_terminal_and_an_exit_code(node: Node) -> None:
    await node.create("host", {"script": "exec sleep 1000"})
    await node.running_pod("host")
    assert node.running is not None
    life = node.running.pods.find("default", "host")
    assert life is not None
    runtime, id = node.running.tools.runtime, life.containers["c"].id
    piped = await runtime.exec(id, ("sh", "-c", "tr a-z A-Z; echo oops >&2; exit 4"), tty=False, stdin=True)
    await piped.write(b"shout")
    piped.close_stdin()
    assert (await piped.read("stdout"), await piped.read("stderr"), await piped.wait()) == (b"SHOUT", b"oops\n", 4)
    await piped.close()
    terminal = await runtime.exec(
        id, ("sh", "-c", "read x; until stty size | grep 40; do :; done"), tty=True, stdin=True
    )
    terminal.resize(100, 40)
    await terminal.write(b"go\n")
    seen = b""
    while chunk := await terminal.read("stdout"):
        seen += chunk
    assert b"40 100" in seen and await terminal.wait() == 0
    await terminal.close()


async def test_an_attachment_carries_input_and_output(node: Node) -> None:
    await node.create("echo", {"script": "while read line; do echo got $line; done", "stdin": True})
    await node.running_pod("echo")
    assert node.running is not None
    life = node.running.pods.find("default", "echo")
    assert life is not None
    attached = await node.running.tools.runtime.attach(life.containers["c"].id)
    await attached.write(b"one\n")
    assert await attached.read("stdout") == b"got one\n"
    await attached.close()


async def test_links_to_logs_go_with_the_containers_that_a_restart_leaves_behind(node: Node) -> None:
    await node.stop()
    node.config = replace(node.config, longest_crash_delay=0.05)
    await node.start()
    await node.create("again", {"script": "exit 1"})

    def is_back(pod: Object) -> bool:
        return any(one["restartCount"] >= 4 for one in pod["status"].get("containerStatuses", ()))

    await node.until("again", is_back)
    links = [*(node.config.logs / "containers").glob("again_default_c-*.log")]
    assert 1 <= len(links) <= 3


async def test_a_collector_finds_the_logs_of_all_containers_where_it_looks_for_them(node: Node) -> None:
    pod = await node.create("speaker", {"script": "echo to whom it may concern; sleep 1000"})
    await node.logged(await node.running_pod("speaker"), "concern")
    volumes = [{"name": "logs", "hostPath": {"path": "/var/log", "type": "Directory"}}]
    mounts = [{"name": "logs", "mountPath": "/var/log", "readOnly": True}]
    script = "ls /var/log/containers; cat /var/log/containers/speaker_default_c-*.log"
    await node.create("collector", {"script": script, "volumeMounts": mounts}, volumes=volumes, restartPolicy="Never")
    seen = node.log(await node.until("collector", phase("Succeeded")))
    id = container(await node.running_pod("speaker"))["containerID"].partition("://")[2]
    assert f"speaker_default_c-{id}.log\n" in seen and "stdout F to whom it may concern\n" in seen
    links = node.config.logs / "containers"
    place = f"/var/log/pods/default_speaker_{pod['metadata']['uid']}/c/0.log"
    assert str((links / f"speaker_default_c-{id}.log").readlink()) == place
    await node.delete("speaker")

    async def is_down() -> bool:
        return not list(links.glob("speaker_*"))

    assert await eventually(is_down)
