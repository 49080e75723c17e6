"""kubeconfig files: read the current context, merge and remove a cluster's own entries.

Ref: https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
"""

import base64
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_SECTIONS = ("clusters", "contexts", "users")


@dataclass(frozen=True, slots=True)
class Entry:
    """One cluster as a kubeconfig names it; PEM texts, or a token instead of certificate and key."""

    name: str
    server: str
    ca: str
    certificate: str = ""
    key: str = ""
    token: str = ""

    def document(self) -> dict[str, Any]:
        """A whole kubeconfig with this cluster alone, and its context as the current one."""
        user: dict[str, str] = {"token": self.token} if self.token else {}
        if self.certificate:
            user |= {"client-certificate-data": _encoded(self.certificate), "client-key-data": _encoded(self.key)}
        cluster = {"server": self.server, "certificate-authority-data": _encoded(self.ca)}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "preferences": {},
            "current-context": self.name,
            "clusters": [{"name": self.name, "cluster": cluster}],
            "contexts": [{"name": self.name, "context": {"cluster": self.name, "user": self.name}}],
            "users": [{"name": self.name, "user": user}],
        }


def default_path() -> Path:
    """The file that kubectl writes to: the first of $KUBECONFIG, else ~/.kube/config."""
    named = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    return Path(named) if named else Path.home() / ".kube" / "config"


def render(entry: Entry) -> str:
    """A kubeconfig document as YAML."""
    text: str = yaml.safe_dump(entry.document(), sort_keys=False)
    return text


def write(path: Path, entry: Entry) -> None:
    """Write a kubeconfig of its own for the cluster."""
    _write(path, entry.document())


def merge(path: Path, entry: Entry) -> None:
    """Add or replace the cluster's entries in a kubeconfig and make it current; everything else stays.

    Raises: ValueError when the file is not a kubeconfig; OSError when it cannot be written.
    """
    document = _read(path)
    for section in _SECTIONS:
        others = [one for one in document.get(section) or [] if one.get("name") != entry.name]
        document[section] = [*others, *entry.document()[section]]
    document["current-context"] = entry.name
    _write(path, document)


def remove(path: Path, name: str) -> None:
    """Take the cluster's entries out of a kubeconfig, where there is one."""
    if not path.exists():
        return
    document = _read(path)
    for section in _SECTIONS:
        document[section] = [one for one in document.get(section) or [] if one.get("name") != name]
    if document.get("current-context") == name:
        document["current-context"] = ""
    _write(path, document)


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {"apiVersion": "v1", "kind": "Config", "preferences": {}}
    try:
        document = yaml.safe_load(path.read_text()) or {"apiVersion": "v1", "kind": "Config"}
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(document, dict):
        raise ValueError(f"{path} is not a kubeconfig")
    return document


def _write(path: Path, document: dict[str, Any]) -> None:
    """Replace the file in one step, readable by its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".kubeconfig-")
    try:
        with os.fdopen(descriptor, "w") as file:
            yaml.safe_dump(document, file, sort_keys=False)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink()
        raise


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
