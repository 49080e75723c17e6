"""What a machine's owner says of registries: mirrors, plain HTTP, authorities, logins; read anew for every pull.

```yaml
docker.io: {mirrors: ["https://mirror.example.com"]}
registry.lab:5000: {http: true}
registry.corp: {ca: /etc/ssl/corp.crt, username: robot, password: swordfish}
```
"""

import ssl
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import msgspec
import yaml

from mizzen.net.tls import verifying_context

FILE = "registries.yaml"


class RegistriesInvalid(Exception):
    """The file cannot be used."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One registry. Mirrors are asked first, in order; `http` stands for no TLS, `ca` for whom to trust."""

    mirrors: tuple[str, ...] = ()
    http: bool = False
    ca: str = ""
    username: str = ""
    password: str = ""


def read(directory: Path) -> Mapping[str, Settings]:
    """The settings by host (and port) that stand beside the images; none when there is no file.

    Raises: RegistriesInvalid.
    """
    path = directory / FILE
    try:
        return msgspec.convert(yaml.safe_load(path.read_text()) or {}, dict[str, Settings])
    except FileNotFoundError:
        return {}
    except (OSError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise RegistriesInvalid(f"{path}: {error}") from error


@cache
def trusting(authority: str) -> ssl.SSLContext:
    """TLS that trusts an authority beside those of the machine. Raises OSError, SSLError."""
    context = verifying_context()
    context.load_verify_locations(authority)
    return context
