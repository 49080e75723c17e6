import socket
import threading
from contextlib import closing
from pathlib import Path

import pytest

from mizzen.cluster.rootless import ids, outside

SUBUID = """\
# a comment
ada:100000:65536
grace:165536:65536
ada:400000:1000
1001:500000:10
broken:x:y
"""


def test_ranges_are_given_by_name_and_by_number() -> None:
    assert ids.ranges(SUBUID, ("ada", "1001")) == ((100000, 65536), (400000, 1000), (500000, 10))
    assert ids.ranges(SUBUID, ("nobody",)) == ()
    assert ids.ranges(SUBUID, ("broken",)) == ()


def test_the_user_is_root_inside_and_the_further_ids_follow_without_a_gap() -> None:
    assert ids.mapping(1001, ((100000, 65536), (400000, 1000))) == [
        *("0", "1001", "1"),
        *("1", "100000", "65536"),
        *("65537", "400000", "1000"),
    ]


def test_a_connection_to_the_outside_is_handed_over(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def greet() -> None:
            accepted, _ = listener.accept()
            with accepted:
                accepted.sendall(b"hello")

        threading.Thread(target=greet, daemon=True).start()
        path = tmp_path / ("deep" * 20) / "outside.sock"  # longer than the name of a socket may be
        path.parent.mkdir()
        outside.serve(path)
        with closing(outside.connect(path, "127.0.0.1", listener.getsockname()[1])) as made:
            made.setblocking(True)
            assert made.recv(10) == b"hello"


def test_a_host_that_refuses_is_an_error_that_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    outside.serve(tmp_path / "outside.sock")
    with pytest.raises(ConnectionError, match="refused"):
        outside.connect(tmp_path / "outside.sock", "127.0.0.1", port)
