"""Everything that streams between kubectl and a container, with the WebSocket and the SPDY generation of kubectl."""

import contextlib
import fcntl
import hashlib
import http.client
import os
import pty
import random
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.kubectl.conftest import BUSYBOX, Cluster, Failed, Kubectl, eventually

VERSIONS = ("v37", "v32", "v28")
"""WebSocket since v31; v28 speaks SPDY alone."""
MEGABYTES = random.Random(7).randbytes(3 << 20)


@pytest.fixture(params=VERSIONS)
def client(kubectl: Kubectl, request: pytest.FixtureRequest) -> Kubectl:
    """One of the kubectl generations, in the test's namespace."""
    return Kubectl(kubectl.kubeconfig, kubectl.namespace, request.param)


def pod(name: str, *containers: str, **spec: str) -> str:
    lines = "".join(f"\n  {key}: {value}" for key, value in spec.items())
    listed = "".join(f"\n  - {container}" for container in containers)
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:{lines}
  terminationGracePeriodSeconds: 0
  containers:{listed}
"""


def container(name: str, script: str, **fields: str) -> str:
    more = "".join(f", {key}: {value}" for key, value in fields.items())
    return f"{{name: {name}, image: {BUSYBOX}, command: [sh, -c, {script!r}]{more}}}"


def sleeper(kubectl: Kubectl, name: str = "box") -> str:
    kubectl.apply(pod(name, container("c", "sleep 3600")))
    kubectl.ready(name)
    return name


def piped(kubectl: Kubectl, *arguments: str, sent: bytes, timeout: float = 60) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(kubectl.command(*arguments), input=sent, capture_output=True, timeout=timeout, check=False)


class Terminal:
    """kubectl on a terminal, as a person sits at it."""

    def __init__(self, kubectl: Kubectl, *arguments: str, size: tuple[int, int] = (24, 80)) -> None:
        self.shown = ""
        self._master, theirs = pty.openpty()
        self.resize(*size)
        self.process = subprocess.Popen(
            kubectl.command(*arguments), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def tell(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def until(self, pattern: str, seconds: float = 20) -> str:
        """Wait until a pattern is shown. Raises Failed with everything that was shown."""
        deadline = time.monotonic() + seconds
        while not re.search(pattern, self.shown):
            if time.monotonic() > deadline:
                raise Failed(f"{pattern!r} is not in {self.shown!r}")
            if select.select([self._master], [], [], 0.1)[0]:
                try:
                    self.shown += os.read(self._master, 65536).decode("utf-8", "replace")
                except OSError:
                    if not re.search(pattern, self.shown):
                        raise Failed(f"ended before {pattern!r}: {self.shown!r}") from None
        return self.shown

    def ends(self, seconds: float = 20) -> int:
        deadline = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < deadline:
            if select.select([self._master], [], [], 0.1)[0]:
                with contextlib.suppress(OSError):
                    self.shown += os.read(self._master, 65536).decode("utf-8", "replace")
        return self.process.wait(0.1)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)


@contextlib.contextmanager
def terminal(kubectl: Kubectl, *arguments: str) -> Iterator[Terminal]:
    made = Terminal(kubectl, *arguments)
    try:
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def background(kubectl: Kubectl, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A kubectl that goes on; its output comes through pipes."""
    process = subprocess.Popen(
        kubectl.command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


# -- exec


def test_exec_answers_output_errors_and_the_exit_code(client: Kubectl) -> None:
    sleeper(client)
    done = client.run("exec", "box", "--", "sh", "-c", "echo out; echo err >&2; exit 42")
    assert (done.returncode, done.stdout) == (42, "out\n")
    assert "err\n" in done.stderr
    assert client.run("exec", "box", "--", "true").returncode == 0
    assert client.run("exec", "box", "--", "no-such-program").returncode != 0
    assert "container nope is not valid for pod box" in client.run("exec", "box", "-c", "nope", "--", "ls").stderr
    assert "not found" in client.run("exec", "nobody", "--", "ls").stderr


def test_megabytes_pass_through_exec_unharmed(client: Kubectl) -> None:
    sleeper(client)
    assert piped(client, "exec", "-i", "box", "--", "cat", sent=MEGABYTES).stdout == MEGABYTES
    out = piped(client, "exec", "box", "--", "dd", "if=/dev/zero", "bs=65536", "count=160", sent=b"").stdout
    assert out == bytes(160 * 65536)


def test_a_command_that_does_not_read_its_input_ends_all_the_same(client: Kubectl) -> None:
    sleeper(client)
    done = piped(client, "exec", "-i", "box", "--", "sh", "-c", "echo done; exit 3", sent=MEGABYTES, timeout=20)
    assert (done.returncode, done.stdout) == (3, b"done\n")


def test_a_shell_on_a_terminal_sees_its_size_and_its_keys(client: Kubectl) -> None:
    sleeper(client)
    with terminal(client, "exec", "-it", "box", "--", "sh") as screen:
        screen.until(r"[#$] ")
        screen.type("stty size; tty\n")
        screen.until(r"24 80\s+/dev/pts/\d+")
        screen.resize(40, 100)
        screen.tell(signal.SIGWINCH)
        screen.type("sleep 0.5; stty size\n")
        screen.until("40 100")
        screen.type("sleep 100\n")
        eventually(lambda: running(client, "sleep 100"))
        screen.type("\x03echo interrupted-$?\n")
        screen.until("interrupted-130")
        screen.type("exit 9\n")
        assert screen.ends() == 9


def running(kubectl: Kubectl, command: str) -> bool:
    return command in kubectl.in_pod("box", "ps")


@pytest.mark.parametrize("flags", [(), ("-i",)], ids=["no input", "input"])
def test_a_client_that_disappears_ends_its_command(client: Kubectl, flags: tuple[str, ...]) -> None:
    sleeper(client)
    with background(client, "exec", *flags, "box", "--", "sh", "-c", "sleep 4321; true") as process:
        eventually(lambda: running(client, "sleep 4321"))
        process.kill()
        eventually(lambda: not running(client, "sleep 4321"))


# -- attach and run


def test_attach_feeds_a_container_that_reads_once(client: Kubectl) -> None:
    client.apply(pod("once", container("c", "md5sum", stdin="true", stdinOnce="true"), restartPolicy="Never"))
    client.ready("once")
    done = piped(client, "attach", "-i", "-q", "once", sent=MEGABYTES)
    eventually(lambda: client.json("pod", "once")["status"]["phase"] == "Succeeded")
    assert client("logs", "once").split()[0] == hashlib.md5(MEGABYTES).hexdigest()
    assert done.returncode == 0


def test_attach_shows_what_a_container_prints_from_now_on(client: Kubectl) -> None:
    client.apply(pod("box", container("c", "while sleep 0.2; do echo tick; echo tock >&2; done")))
    client.ready("box")
    with background(client, "attach", "box") as process:
        assert process.stdout is not None
        seen = "".join(process.stdout.readline() for _ in range(8))
        assert "tick\n" in seen
        assert "tock\n" in seen


def test_attach_joins_a_terminal(client: Kubectl) -> None:
    client.apply(pod("box", container("c", "exec sh", stdin="true", tty="true")))
    client.ready("box")
    with terminal(client, "attach", "-it", "box") as screen:
        screen.type("echo here-$((40+2))\n")
        screen.until("here-42")


def test_run_leaves_nothing_but_the_exit_code(client: Kubectl) -> None:
    sent = b"echo sum-$((20+3)); exit 5\n"
    done = piped(client, "run", "tmp", "-i", "--rm", "--restart=Never", f"--image={BUSYBOX}", "--", "sh", sent=sent)
    assert done.returncode == 5
    assert b"sum-23" in done.stdout
    eventually(lambda: client.run("get", "pod", "tmp").returncode)


def test_run_on_a_terminal(client: Kubectl) -> None:
    with terminal(client, "run", "tty", "-it", "--rm", "--restart=Never", f"--image={BUSYBOX}", "--", "sh") as screen:
        screen.until(r"[#$] ")
        screen.type("echo at-$((1+1)); exit\n")
        screen.until("at-2")
        assert screen.ends() == 0


# -- copy


def test_files_are_copied_both_ways(client: Kubectl, tmp_path: Path) -> None:
    sleeper(client)
    source = tmp_path / "tree"
    (source / "deep").mkdir(parents=True)
    (source / "big").write_bytes(MEGABYTES)
    (source / "deep" / "small").write_text("text")
    client("cp", str(source), "box:/tmp/tree")
    assert client.in_pod("box", "md5sum", "/tmp/tree/big").split()[0] == hashlib.md5(MEGABYTES).hexdigest()
    client("cp", "box:/tmp/tree", str(tmp_path / "back"))
    assert (tmp_path / "back" / "big").read_bytes() == MEGABYTES
    assert (tmp_path / "back" / "deep" / "small").read_text() == "text"


# -- port forwarding

WEB = container(
    "web",
    "mkdir -p /www; dd if=/dev/zero of=/www/big bs=65536 count=160 2>/dev/null; echo hello > /www/index.html; "
    "exec httpd -f -p 8080 -h /www",
    readinessProbe="{tcpSocket: {port: 8080}, periodSeconds: 1}",
)


def web(kubectl: Kubectl) -> None:
    kubectl.apply(pod("web", WEB))
    kubectl.ready("web")


def fetched(port: int, path: str = "/") -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


@contextlib.contextmanager
def forwarded(kubectl: Kubectl, target: str, *ports: str) -> Iterator[list[int]]:
    """kubectl port-forward; answers the local ports."""
    with background(kubectl, "port-forward", "--address=127.0.0.1", target, *ports) as process:
        assert process.stdout is not None
        found = []
        for _ in ports:
            line = process.stdout.readline()
            match = re.search(r"127\.0\.0\.1:(\d+)", line)
            assert match, line + (process.stdout.read() if process.poll() is not None else "")
            found.append(int(match[1]))
        draining = threading.Thread(target=process.stdout.read, daemon=True)
        draining.start()
        yield found


def test_many_connections_share_a_forwarded_port(client: Kubectl) -> None:
    web(client)
    with forwarded(client, "pod/web", ":8080") as (port,):
        answers: list[bytes] = []
        asking = [threading.Thread(target=lambda: answers.append(fetched(port, "/big"))) for _ in range(6)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
        assert [len(answer) for answer in answers] == [160 * 65536] * 6
        assert fetched(port) == b"hello\n"


def test_a_service_is_forwarded_to_a_pod_of_it(client: Kubectl) -> None:
    web(client)
    client("expose", "pod", "web", "--port=80", "--target-port=8080")
    with forwarded(client, "service/web", ":80") as (port,):
        assert fetched(port) == b"hello\n"


def test_a_port_that_refuses_ends_the_connection_at_once(client: Kubectl) -> None:
    web(client)
    with forwarded(client, "pod/web", ":81") as (port,), pytest.raises((OSError, http.client.HTTPException)):
        fetched(port)


def test_a_pod_that_does_not_run_is_not_forwarded_to(client: Kubectl) -> None:
    client.apply(pod("done", container("c", "true"), restartPolicy="Never"))
    eventually(lambda: client.json("pod", "done")["status"]["phase"] == "Succeeded")
    assert "pod is not running" in client.run("port-forward", "pod/done", ":80").stderr


# -- logs


def test_logs_are_cut_as_asked(kubectl: Kubectl) -> None:
    kubectl.apply(pod("box", container("c", "for i in 1 2 3 4 5; do echo line-$i; done; sleep 3600")))
    kubectl.ready("box")
    assert eventually(lambda: kubectl("logs", "box") == "".join(f"line-{i}\n" for i in range(1, 6)))
    assert kubectl("logs", "box", "--tail=2") == "line-4\nline-5\n"
    assert kubectl("logs", "box", "--tail=0") == ""
    assert kubectl("logs", "box", "--limit-bytes=10") == "line-1\nlin"
    assert kubectl("logs", "box", "--since=1h").count("\n") == 5
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z line-5\n", kubectl("logs", "box", "--tail=1", "--timestamps"))
    later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
    assert kubectl("logs", "box", f"--since-time={later}") == ""


def test_logs_of_many_containers_and_pods_are_told_apart(kubectl: Kubectl) -> None:
    two = (container("one", "echo from-one; sleep 3600"), container("two", "echo from-two; sleep 3600"))
    init = f"[{container('setup', 'echo prepared')}]"
    kubectl.apply(pod("a", *two, initContainers=init) + "---" + pod("b", *two))
    kubectl("label", "pod", "a", "b", "group=both")
    kubectl.ready("a", "b")
    assert eventually(lambda: kubectl("logs", "a", "-c", "two")) == "from-two\n"
    assert kubectl("logs", "a", "-c", "setup") == "prepared\n"
    refused = kubectl.run("logs", "a", "-c", "three").stderr
    assert "container three is not valid for pod a" in refused
    everything = kubectl("logs", "-l", "group=both", "--all-containers", "--prefix")
    expected = {"[pod/a/setup] prepared", "[pod/a/one] from-one", "[pod/a/two] from-two"}
    assert set(everything.splitlines()) == expected | {"[pod/b/one] from-one", "[pod/b/two] from-two"}


def test_a_followed_log_ends_with_its_container_and_the_previous_one_stays(kubectl: Kubectl) -> None:
    script = "echo first; sleep 2; echo last; exit 1"
    kubectl.apply(pod("box", container("c", script)))
    kubectl.ready("box")
    assert kubectl("logs", "-f", "box", timeout=30) == "first\nlast\n"
    eventually(lambda: kubectl.json("pod", "box")["status"]["containerStatuses"][0]["restartCount"] >= 1)
    assert eventually(lambda: kubectl("logs", "box", "--previous") == "first\nlast\n")


def test_a_log_that_is_not_there_tells_why(kubectl: Kubectl) -> None:
    kubectl.apply(pod("box", container("c", "sleep 3600")) + "---" + pod("waits", "{name: c, image: no.such.test/x:1}"))
    kubectl.ready("box")
    assert "previous terminated container" in kubectl.run("logs", "box", "--previous").stderr
    missing = 'container "c" in pod "waits" is waiting to start: trying and failing to pull image'
    eventually(lambda: missing in kubectl.run("logs", "waits").stderr)


# -- debug


def test_an_ephemeral_container_sees_its_target(kubectl: Kubectl) -> None:
    sleeper(kubectl)
    with terminal(kubectl, "debug", "box", "-it", f"--image={BUSYBOX}", "--target=c", "--", "sh") as screen:
        screen.until(r"[#$] ")
        screen.type("ps\n")
        screen.until("sleep 3600")
        screen.type("exit\n")
        assert screen.ends() == 0
    assert kubectl.json("pod", "box")["spec"]["ephemeralContainers"][0]["targetContainerName"] == "c"


def test_a_copy_of_a_pod_is_debugged(kubectl: Kubectl) -> None:
    sleeper(kubectl)
    copied = ("debug", "box", "-it", "--copy-to=copy", f"--image={BUSYBOX}", "--share-processes", "--", "sh")
    with terminal(kubectl, *copied) as screen:
        screen.until(r"[#$] ")
        screen.type("ps\n")
        screen.until("sleep 3600")
    assert len(kubectl.json("pod", "copy")["spec"]["containers"]) == 2


def test_a_node_is_debugged_from_its_own_root(cluster: Cluster, kubectl: Kubectl) -> None:
    node = kubectl.json("nodes")["items"][0]["metadata"]["name"]
    with terminal(kubectl, "debug", f"node/{node}", "-it", f"--image={BUSYBOX}", "--", "sh") as screen:
        screen.until(r"[#$] ")
        screen.type(f"ls -d /host{cluster.data_dir}\n")
        screen.until(f"\n/host{cluster.data_dir}")
        screen.type("exit\n")
        assert screen.ends() == 0


# -- proxies


def test_pods_services_and_nodes_answer_through_the_api_server(kubectl: Kubectl) -> None:
    web(kubectl)
    kubectl("expose", "pod", "web", "--port=80", "--target-port=8080")
    base = f"/api/v1/namespaces/{kubectl.namespace}"
    node = kubectl.json("nodes")["items"][0]["metadata"]["name"]
    assert kubectl("get", "--raw", f"{base}/pods/web:8080/proxy/index.html") == "hello\n"
    assert len(kubectl("get", "--raw", f"{base}/pods/web:8080/proxy/big")) == 160 * 65536
    assert eventually(lambda: kubectl("get", "--raw", f"{base}/services/web/proxy/")) == "hello\n"
    assert eventually(lambda: kubectl("get", "--raw", f"{base}/services/http:web:80/proxy/")) == "hello\n"
    kubectl.in_pod("web", "sh", "-c", "echo '<a href=\"/other\">' >/www/page.html")
    shown = kubectl("get", "--raw", f"{base}/pods/web:8080/proxy/page.html")
    assert shown == f'<a href="{base}/pods/web:8080/proxy/other">\n'
    assert '"nodeName"' in kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/stats/summary")
    assert kubectl("get", "--raw", f"/api/v1/nodes/{node}:10250/proxy/healthz") == "ok"
    refused = kubectl.run("get", "--raw", f"{base}/pods/web:9/proxy/")
    assert "error trying to reach service" in refused.stderr


def test_any_method_passes_a_proxy_and_bare_paths_are_redirected(kubectl: Kubectl) -> None:
    web(kubectl)
    with background(kubectl, "proxy", "--port=0") as process:
        assert process.stdout is not None
        match = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
        assert match
        base = f"/api/v1/namespaces/{kubectl.namespace}/pods/web:8080/proxy"
        asked = {}
        for method, path in (
            ("GET", base + "?a=b"),
            ("HEAD", base + "/big"),
            ("OPTIONS", base + "/x"),
            ("GET", base + "/none"),
        ):
            connection = http.client.HTTPConnection("127.0.0.1", int(match[1]), timeout=20)
            connection.request(method, path)
            response = connection.getresponse()
            response.read()
            asked[method, path.removeprefix(base)] = response
            connection.close()
        assert asked["GET", "?a=b"].status == 301
        assert asked["GET", "?a=b"].headers["location"] == base + "/?a=b"
        assert asked["HEAD", "/big"].headers["content-length"] == str(160 * 65536)
        assert asked["OPTIONS", "/x"].status == 501
        assert asked["GET", "/none"].status == 404


def messages(port: int, path: str) -> list[tuple[int, bytes]]:
    """What comes over a WebSocket that asks for binary messages, until its end: opcodes and payloads."""
    ask = (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Protocol: binary.k8s.io\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection, connection.makefile("rwb") as file:
        file.write(ask.encode())
        file.flush()
        assert b" 101 " in file.readline()
        while file.readline().strip():
            pass
        found = []
        while head := file.read(2):
            size = head[1] if head[1] < 126 else int.from_bytes(file.read(2 if head[1] == 126 else 8), "big")
            found.append((head[0] & 15, file.read(size)))
        return found


def test_logs_and_watches_come_over_a_websocket(kubectl: Kubectl) -> None:
    kubectl.apply(pod("talker", container("c", "echo container is alive"), restartPolicy="Never"))
    eventually(lambda: kubectl.json("pod", "talker")["status"]["phase"] == "Succeeded")
    with background(kubectl, "proxy", "--port=0") as process:
        assert process.stdout is not None
        match = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
        assert match
        pods = f"/api/v1/namespaces/{kubectl.namespace}/pods"
        log = messages(int(match[1]), f"{pods}/talker/log?container=c")
        assert (log[0], log[-1]) == ((2, b""), (8, b"\x03\xe8"))
        assert b"".join(data for opcode, data in log if opcode == 2) == b"container is alive\n"
        first, *_ = messages(int(match[1]), f"{pods}?watch=1&timeoutSeconds=1")
        assert first[0] == 1
        assert b'"type":"ADDED"' in first[1]
