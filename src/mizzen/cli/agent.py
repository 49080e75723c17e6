"""`mizzen agent`: one node, in the foreground."""

from pathlib import Path

import click

from mizzen.cluster.config import RuntimeName


@click.command()
@click.option("--server", "url", required=True, help="The API server's address, like https://10.0.0.1:6443.")
@click.option("--node-name", required=True, help="The node's name.")
@click.option("--token", default="", help="A bearer token that may act as this node.")
@click.option(
    "--ca", type=click.Path(path_type=Path, exists=True), help="The API server's CA. [default: asked from it]"
)
@click.option(
    "--certificate", type=click.Path(path_type=Path, exists=True), help="A client certificate, instead of a token."
)
@click.option("--key", type=click.Path(path_type=Path, exists=True), help="The certificate's key.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="[default: /var/lib/mizzen/agents/NODE_NAME]")
@click.option(
    "--images-dir", type=click.Path(path_type=Path), help="Where images are kept. [default: /var/lib/mizzen/images]"
)
@click.option("--runtime", type=click.Choice(["crun", "cri", "simulated"]), default="crun", show_default=True)
@click.option(
    "--cri-socket",
    default="/run/containerd/containerd.sock",
    show_default=True,
    help="For --runtime cri; empty: a containerd of the node's own.",
)
@click.option("--node-ip", default="", help="The node's own address. [default: of the route to the server]")
@click.option("--netns", type=click.Path(path_type=Path), help="A network namespace to live in, as under /run/netns.")
@click.option("--pod-cidr", default="", help="Where its pods' addresses are from. [default: as the cluster assigns]")
@click.option("--cluster-dns", default="10.96.0.10", show_default=True)
@click.option("--port", default=10250, show_default=True, help="The port that logs, exec and metrics are served on.")
@click.option(
    "--config",
    "settings",
    type=click.Path(path_type=Path, exists=True),
    help="A KubeletConfiguration: reservations, eviction, static pods, shutdown and more.",
)
@click.option(
    "--config-dir",
    "more_settings",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A directory of further ones, *.conf, that are merged over it in the order of their names.",
)
@click.option(
    "--image-credential-provider-config",
    "credential_config",
    type=click.Path(path_type=Path, exists=True),
    help="A CredentialProviderConfig, or a directory of such: programs that know credentials of registries.",
)
@click.option(
    "--image-credential-provider-bin-dir",
    "credential_programs",
    type=click.Path(path_type=Path),
    help="Where those programs are. [default: /usr/libexec/kubernetes/image-credential-providers]",
)
@click.option(
    "--purge", is_flag=True, help="Instead of running: end all containers of this node and remove what they use."
)
@click.option(
    "--halt", is_flag=True, help="Instead of running: end all containers of this node, and keep what they have written."
)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
def agent(  # shape: one parameter for each option
    url: str,
    node_name: str,
    token: str,
    ca: Path | None,
    certificate: Path | None,
    key: Path | None,
    data_dir: Path | None,
    images_dir: Path | None,
    runtime: RuntimeName,
    cri_socket: str,
    node_ip: str,
    netns: Path | None,
    pod_cidr: str,
    cluster_dns: str,
    port: int,
    settings: Path | None,
    more_settings: Path | None,
    credential_config: Path | None,
    credential_programs: Path | None,
    purge: bool,
    halt: bool,
    log_level: str,
) -> None:
    """Run one node in the foreground: its containers, network, service addresses and DNS.

    Containers keep running while the agent is away; they are found again at its next start.

    \b
    Example:
      mizzen agent --server https://10.0.0.1:6443 --token SECRET --node-name edge-1
    """
    from mizzen.base import log
    from mizzen.cluster import node  # lazily: other verbs need none of it
    from mizzen.cluster.supervision import Supervised

    log.set_level(log_level)
    options = node.Options(
        url=url,
        name=node_name,
        token=token,
        ca=ca,
        certificate=certificate,
        key=key,
        data_dir=(data_dir or Path("/var/lib/mizzen/agents") / node_name).resolve(),
        images_dir=(images_dir or Path("/var/lib/mizzen/images")).resolve(),
        runtime=runtime,
        cri_socket=cri_socket,
        address=node_ip,
        netns=netns,
        pod_cidr=pod_cidr,
        cluster_dns=cluster_dns,
        port=port,
        settings=settings,
        more_settings=more_settings,
        credential_config=credential_config,
        credential_programs=credential_programs,
    )
    if purge:
        node.purge(options)
    elif halt:
        node.halt(options)
    else:
        Supervised().introduce()
        node.run(options)
