"""A network for CRI runtimes that insist on one: a CNI plugin that does nothing but name a placeholder address.

The agent then attaches the sandbox's namespace to the pod network itself, as it does with its own runtime.
"""

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path

import orjson

PLACEHOLDER = "169.254.1.2"
"""The address that such a sandbox claims to have."""
_PLUGIN = "mizzen-none"
_SCRIPT = f"""#!/bin/sh
cat > /dev/null
case "$CNI_COMMAND" in
  VERSION) echo '{{"cniVersion":"0.4.0","supportedVersions":["0.3.1","0.4.0"]}}' ;;
  ADD) echo '{{"cniVersion":"0.4.0","interfaces":[{{"name":"'"$CNI_IFNAME"'","sandbox":"'"$CNI_NETNS"'"}}],\
"ips":[{{"version":"4","interface":0,"address":"{PLACEHOLDER}/32"}}]}}' ;;
esac
"""
_LOOPBACK = """#!/bin/sh
cat > /dev/null
case "$CNI_COMMAND" in
  VERSION) echo '{"cniVersion":"0.4.0","supportedVersions":["0.3.1","0.4.0"]}' ;;
  ADD) echo '{"cniVersion":"0.4.0","interfaces":[{"name":"lo","sandbox":"'"$CNI_NETNS"'"}]}' ;;
esac
"""
_SCRIPTS = {_PLUGIN: _SCRIPT, "loopback": _LOOPBACK}
_CONFIGURATION = "10-mizzen.conflist"
_CONFIG = orjson.dumps({"cniVersion": "0.4.0", "name": "mizzen", "plugins": [{"type": _PLUGIN}]})


@dataclass(frozen=True, slots=True)
class Places:
    """A runtime's directories for pod networks, and one where the nodes that need ours say so."""

    configuration: Path
    programs: Path
    claims: Path


def install(conf_dir: Path, bin_dir: Path) -> None:
    """Give a runtime without a network this one; a configuration that is there already is left alone."""
    conf_dir.mkdir(parents=True, exist_ok=True)
    bin_dir.mkdir(parents=True, exist_ok=True)
    if any(path.suffix in {".conf", ".conflist", ".json"} for path in conf_dir.iterdir()):
        return
    for name, script in _SCRIPTS.items():
        path = bin_dir / name
        if not path.exists():
            path.write_text(script)
            path.chmod(0o755)
    (conf_dir / _CONFIGURATION).write_bytes(_CONFIG)


def claim(places: Places, node: Path) -> None:
    """Install it in places that other nodes share, and note that the node with this directory needs it."""
    places.claims.mkdir(parents=True, exist_ok=True)
    (places.claims / _claim_of(node)).touch()
    install(places.configuration, places.programs)


def release(places: Places, node: Path) -> None:
    """Give the claim back; with the last one goes what was installed, unless somebody has changed it."""
    (places.claims / _claim_of(node)).unlink(missing_ok=True)
    if places.claims.exists() and any(places.claims.iterdir()):
        return
    contents = {places.configuration / _CONFIGURATION: _CONFIG}
    contents |= {places.programs / name: script.encode() for name, script in _SCRIPTS.items()}
    for path, content in contents.items():
        if path.exists() and path.read_bytes() == content:
            path.unlink()
    for directory in (places.claims, places.configuration, places.programs):
        with contextlib.suppress(OSError):  # something else is in it, or it is not there
            directory.rmdir()


def _claim_of(node: Path) -> str:
    return hashlib.sha256(str(node).encode()).hexdigest()[:16]
