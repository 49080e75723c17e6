"""Who a process runs as: names and memberships from the container's own passwd and group files."""

import os
from dataclasses import dataclass

from mizzen.agent.runtime.base import RuntimeFailure, Security
from mizzen.agent.runtime.oci_config import User
from mizzen.agent.runtime.syscalls import open_in_root

_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class _Account:
    name: str
    uid: int
    gid: int
    home: str


def resolve(root: str, image_user: str, security: Security, container: str) -> User:
    """The numbers to run under; pod and container settings come before the image's `USER`.

    Raises: RuntimeFailure for unknown names, and for root where the specification forbids it.
    """
    image_name, _, image_group = image_user.partition(":")
    accounts = [_account(line) for line in _lines(root, "etc/passwd")]
    if security.run_as_user is not None:
        account = _find(accounts, str(security.run_as_user)) or _Account("", security.run_as_user, 0, "/")
        group = ""
    else:
        found = _find(accounts, image_name or "0")
        if found is None and not (image_name or "0").isdigit():
            raise RuntimeFailure(
                "CreateContainerError", f"unable to find user {image_name}: no matching entries in passwd file"
            )
        account = found or _Account("", int(image_name or "0"), 0, "/")
        group = image_group
    if security.run_as_non_root:
        _refuse_root(security, image_name, account, container)
    groups = [line.split(":") for line in _lines(root, "etc/group")]
    gid = account.gid if not group else _group_id(groups, group)
    if security.run_as_group is not None:
        gid = security.run_as_group
    extra = set(security.groups)
    if security.merge_image_groups and account.name:
        extra |= {
            int(entry[2])
            for entry in groups
            if len(entry) > 3 and entry[2].isdigit() and account.name in entry[3].split(",")
        }
    return User(account.uid, gid, tuple(sorted(extra | {gid})), account.home or "/")


def _refuse_root(security: Security, image_name: str, account: _Account, container: str) -> None:
    if security.run_as_user is None and image_name and not image_name.isdigit():
        text = (
            f"container has runAsNonRoot and image has non-numeric user ({image_name}), cannot verify user is non-root"
        )
        raise RuntimeFailure("CreateContainerConfigError", f"{text} ({container})")
    if account.uid == 0:
        how = (
            "container's runAsUser breaks non-root policy"
            if security.run_as_user == 0
            else ("container has runAsNonRoot and image will run as root")
        )
        raise RuntimeFailure("CreateContainerConfigError", f"{how} ({container})")


def _find(accounts: list[_Account], key: str) -> _Account | None:
    return next((one for one in accounts if one.name == key or str(one.uid) == key), None)


def _group_id(groups: list[list[str]], key: str) -> int:
    if key.isdigit():
        return int(key)
    found = next((entry[2] for entry in groups if entry[0] == key and len(entry) > 2), None)
    if found is None:
        raise RuntimeFailure("CreateContainerError", f"unable to find group {key}: no matching entries in group file")
    return int(found)


def _account(line: str) -> _Account:
    fields = (line.split(":") + [""] * 7)[:7]
    uid, gid = (int(value) if value.isdigit() else 0 for value in fields[2:4])
    return _Account(fields[0], uid, gid, fields[5])


def _lines(root: str, path: str) -> list[str]:
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = open_in_root(top, path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return []
    finally:
        os.close(top)
    try:
        text = os.read(fd, _LIMIT).decode("utf-8", "replace")
    finally:
        os.close(fd)
    return [line for line in text.splitlines() if line.count(":") >= 3 and not line.startswith("#")]
