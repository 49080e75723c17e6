"""An agent in a process of its own, to be killed: `python -m tests.node.pods.runner API_PORT ROOT IMAGES NETWORK`."""

import sys
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import uvloop

from mizzen.agent import agent, embedded
from mizzen.agent.config import AgentConfig
from mizzen.agent.network.routed import RoutedNetwork
from mizzen.agent.runtime import namespaces
from mizzen.base.clock import SystemClock
from mizzen.client.client import Client
from mizzen.net.client import Endpoint, SocketTransport

NODE_IP = "10.209.0.1"


async def main(port: int, root: Path, images_root: Path, state: Path) -> None:
    config = AgentConfig("node-2", root, images_root, (NODE_IP,))
    images = embedded.images_of(config)
    network = RoutedNetwork(state, IPv4Network("10.212.0.0/24"), IPv4Address(NODE_IP))
    client = Client(SocketTransport(Endpoint("127.0.0.1", port)), field_manager="kubelet")
    runtime = embedded.runtime_of(config, images)
    await agent.run(
        config, client, network=network, runtime=runtime, images=images, clock=SystemClock(),
        ready=lambda _: print("ready", flush=True),
    )  # fmt: skip


if __name__ == "__main__":
    here = Path(sys.argv[2])
    print("adopted" if namespaces.enter_mounts(here) else "fresh", flush=True)
    uvloop.run(main(int(sys.argv[1]), here, Path(sys.argv[3]), Path(sys.argv[4])))
