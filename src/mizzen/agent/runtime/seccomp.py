"""The seccomp profile behind `RuntimeDefault`: the calls that a container has no business making fail with EPERM.

It names what is denied, not what is allowed: new harmless calls work, and the filter loads in well under a
millisecond. Calls that a granted capability is for are allowed again.

Ref: https://kubernetes.io/docs/tutorials/security/seccomp/
"""

from collections.abc import Collection
from typing import Any

_ALWAYS = (
    "add_key", "get_kernel_syms", "get_mempolicy", "io_uring_enter", "io_uring_register", "io_uring_setup", "keyctl",
    "kexec_file_load", "kexec_load", "mbind", "migrate_pages", "move_pages", "nfsservctl", "create_module",
    "query_module", "request_key", "set_mempolicy", "sysfs", "_sysctl", "uselib", "userfaultfd", "ustat", "vm86",
    "vm86old", "swapon", "swapoff", "lookup_dcookie",
)  # fmt: skip
_BY_CAPABILITY = {
    "CAP_SYS_ADMIN": (
        "bpf", "clone3", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr",
        "move_mount", "open_tree", "perf_event_open", "quotactl", "quotactl_fd", "setdomainname", "sethostname",
        "setns", "umount", "umount2", "unshare",
    ),
    "CAP_SYS_BOOT": ("reboot",),
    "CAP_SYS_MODULE": ("delete_module", "init_module", "finit_module"),
    "CAP_SYS_PACCT": ("acct",),
    "CAP_SYS_PTRACE": ("process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd"),
    "CAP_SYS_RAWIO": ("iopl", "ioperm"),
    "CAP_SYS_TIME": ("settimeofday", "stime", "clock_settime", "clock_settime64", "clock_adjtime", "adjtimex"),
    "CAP_SYS_TTY_CONFIG": ("vhangup",),
    "CAP_SYSLOG": ("syslog",),
    "CAP_DAC_READ_SEARCH": ("open_by_handle_at", "name_to_handle_at"),
}  # fmt: skip
_NEW_NAMESPACES = 0x7E020000
_EPERM, _ENOSYS = 1, 38


def runtime_default(capabilities: Collection[str]) -> dict[str, Any]:
    """The profile, in the form of the OCI runtime specification, for a container with these capabilities."""
    denied = list(_ALWAYS)
    for capability, names in _BY_CAPABILITY.items():
        if capability not in capabilities:
            denied += [name for name in names if name != "clone3"]
    rules: list[dict[str, Any]] = [{"names": denied, "action": "SCMP_ACT_ERRNO", "errnoRet": _EPERM}]
    if "CAP_SYS_ADMIN" not in capabilities:
        # clone3 hides its flags in memory, where a filter cannot look: ENOSYS makes the C library fall back to clone.
        rules.append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS})
        rules += [
            {
                "names": ["clone"],
                "action": "SCMP_ACT_ERRNO",
                "errnoRet": _EPERM,
                "args": [{"index": 0, "value": 1 << bit, "valueTwo": 1 << bit, "op": "SCMP_CMP_MASKED_EQ"}],
            }
            for bit in range(32)
            if _NEW_NAMESPACES & (1 << bit)
        ]
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
        "syscalls": rules,
    }
