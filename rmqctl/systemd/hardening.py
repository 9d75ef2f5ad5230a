"""What a unit may not do: the sandbox directives, as far as its program and its manager allow them.

Source: systemd.exec(5). `systemd-analyze security` rates the result; a system unit of embedded nodes has at most 2.0.
"""

from collections.abc import Sequence
from ipaddress import ip_address

from rmqctl.systemd.unit_file import Directive

_ANY_MANAGER: list[Directive] = [
    ("NoNewPrivileges", "yes"),
    ("LockPersonality", "yes"),
    ("RestrictRealtime", "yes"),
    ("RestrictSUIDSGID", "yes"),
    ("RestrictNamespaces", "yes"),
    ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX AF_NETLINK"),
    ("SystemCallArchitectures", "native"),
    ("SystemCallErrorNumber", "EPERM"),
]
"""Needs no privilege, so a user's own manager can apply it too."""

_SYSTEM_MANAGER: list[Directive] = [
    ("CapabilityBoundingSet", ""),
    ("AmbientCapabilities", ""),
    ("DevicePolicy", "closed"),
    ("PrivateDevices", "yes"),
    ("PrivateTmp", "yes"),
    ("PrivateUsers", "yes"),
    ("ProtectClock", "yes"),
    ("ProtectControlGroups", "yes"),
    ("ProtectHostname", "yes"),
    ("ProtectKernelLogs", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelTunables", "yes"),
    ("ProtectProc", "invisible"),
    ("ProtectSystem", "strict"),
    ("RemoveIPC", "yes"),
]
"""Namespaces and capabilities: only the system's manager can apply these."""

_PYTHON: list[Directive] = [
    ("MemoryDenyWriteExecute", "yes"),
    ("SystemCallFilter", "@system-service"),
    ("SystemCallFilter", "~@privileged @resources"),
]
_JAVA: list[Directive] = [("SystemCallFilter", "@system-service")]
"""A Java VM compiles code into memory, and sets the priorities of its threads."""


def sandbox(*, is_system: bool, has_java: bool, bind_addresses: Sequence[str], umask: int) -> list[Directive]:
    """The directives for a unit.

    Args:
        is_system: Whether the system's manager runs it, not a user's.
        has_java: Whether a Java VM runs in it.
        bind_addresses: What its nodes listen on; when all of that is loopback, no other address is reachable.
        umask: Of what it makes.
    """
    directives = [*_ANY_MANAGER, ("UMask", f"{umask:04o}"), *(_JAVA if has_java else _PYTHON)]
    if is_system:
        directives += _SYSTEM_MANAGER
        if all(ip_address(address).is_loopback for address in bind_addresses):
            directives += [("IPAddressDeny", "any"), ("IPAddressAllow", "localhost")]
    return directives
