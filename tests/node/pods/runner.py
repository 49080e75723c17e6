"""An agent in a process of its own, to be killed: `python -m tests.node.pods.runner PORT ROOT IMAGES NETWORK SOCKET`.

PORT is the API server's, SOCKET a CRI runtime's; empty: the agent runs containers itself.
"""

import sys
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import uvloop

from mizzen.agent import agent
from mizzen.agent.config import AgentConfig
from mizzen.agent.machinery import machinery
from mizzen.agent.network.routed import RoutedNetwork
from mizzen.agent.runtime import namespaces
from mizzen.base.clock import SystemClock
from mizzen.client.client import Client
from mizzen.net.client import Endpoint, SocketTransport

NODE_IP = "10.209.0.1"


async def main(port: int, root: Path, images_root: Path, state: Path, cri_socket: str) -> None:
    runtime_name = "cri" if cri_socket else "crun"
    config = AgentConfig("node-2", root, images_root, (NODE_IP,), runtime=runtime_name, cri_socket=cri_socket)
    runtime, images = await machinery(config)
    network = RoutedNetwork(state, IPv4Network("10.212.0.0/24"), IPv4Address(NODE_IP))
    client = Client(SocketTransport(Endpoint("127.0.0.1", port)), field_manager="kubelet")
    await agent.run(
        config, client, network=network, runtime=runtime, images=images, clock=SystemClock(),
        ready=lambda _: print("ready", flush=True),
    )  # fmt: skip


if __name__ == "__main__":
    here = Path(sys.argv[2])
    address = sys.argv[5]
    # The other runtime must see what is mounted for its containers.
    print("adopted" if not address and namespaces.enter_mounts(here) else "fresh", flush=True)
    uvloop.run(main(int(sys.argv[1]), here, Path(sys.argv[3]), Path(sys.argv[4]), address))
