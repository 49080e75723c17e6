"""A network for CRI runtimes that insist on one: a CNI plugin that does nothing but name a placeholder address.

The agent then attaches the sandbox's namespace to the pod network itself, as it does with its own runtime.
"""

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


def install(conf_dir: Path, bin_dir: Path) -> None:
    """Give a runtime without a network this one; a configuration that is there already is left alone."""
    conf_dir.mkdir(parents=True, exist_ok=True)
    bin_dir.mkdir(parents=True, exist_ok=True)
    if any(path.suffix in {".conf", ".conflist", ".json"} for path in conf_dir.iterdir()):
        return
    for name, script in ((_PLUGIN, _SCRIPT), ("loopback", _LOOPBACK)):
        path = bin_dir / name
        if not path.exists():
            path.write_text(script)
            path.chmod(0o755)
    config = {"cniVersion": "0.4.0", "name": "mizzen", "plugins": [{"type": _PLUGIN}]}
    (conf_dir / "10-mizzen.conflist").write_bytes(orjson.dumps(config))
