"""A client for the cluster that a kubeconfig's current context names, as kubectl would use it."""

import base64
import ssl
import tempfile
from pathlib import Path
from typing import Any

import yaml

from mizzen.client.client import Client
from mizzen.cluster.config import ConfigError
from mizzen.net.client import Endpoint, SocketTransport
from mizzen.net.tls import unverified_context, verifying_context


def current(path: Path) -> tuple[Client, str]:
    """A client for the current context, and the context's namespace. Raises ConfigError."""
    try:
        document = yaml.safe_load(path.read_text()) or {}
        context = _named(document, "contexts", document.get("current-context") or "")["context"]
        cluster = _named(document, "clusters", context["cluster"])["cluster"]
        user = _named(document, "users", context["user"])["user"] or {}
        tls = _tls(cluster, user, path.parent) if cluster["server"].startswith("https:") else None
        endpoint = Endpoint.parse(cluster["server"], tls, user.get("token") or "")
    except FileNotFoundError as error:
        raise ConfigError(f"there is no kubeconfig at {error.filename}; name one with --kubeconfig") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise ConfigError(f"the kubeconfig {path} cannot be used: {error}") from error
    return Client(SocketTransport(endpoint), user_agent="mizzen"), context.get("namespace") or "default"


def _named(document: dict[str, Any], section: str, name: str) -> dict[str, Any]:
    for one in document.get(section) or ():
        if one.get("name") == name:
            found: dict[str, Any] = one
            return found
    raise ValueError(f"{section} has no {name!r}")


def _tls(cluster: dict[str, Any], user: dict[str, Any], directory: Path) -> ssl.SSLContext:
    if cluster.get("insecure-skip-tls-verify"):
        context = unverified_context()
    else:
        ca = _content(cluster, "certificate-authority", directory)
        context = verifying_context(ca_data=ca.decode() if ca else "")
    certificate, key = (_content(user, f"client-{one}", directory) for one in ("certificate", "key"))
    if certificate and key:
        with tempfile.NamedTemporaryFile() as file:  # readable by its owner alone; ssl takes files only
            file.write(certificate + b"\n" + key)
            file.flush()
            context.load_cert_chain(file.name)
    return context


def _content(section: dict[str, Any], name: str, directory: Path) -> bytes:
    """A PEM text that is kept in the kubeconfig itself, or in a file beside it."""
    if section.get(f"{name}-data"):
        return base64.b64decode(section[f"{name}-data"])
    return (directory / section[name]).read_bytes() if section.get(name) else b""
