"""Options of the JVM that fit a Java. Apache's shell scripts are not used: they fix heaps of gigabytes."""

from rmqctl.profile.model import JavaSettings

_OPENED_PACKAGES = ("java.nio", "sun.nio.ch", "java.lang", "jdk.internal.ref")
"""Packages of java.base that nodes reach into, to unmap files and for buffers (`MappedFile#clean`, Netty)."""

_SERIAL_HEAP_MIB = 512
"""Up to this heap, collecting with one thread and no regions costs the least memory and no noticeable pause."""


def jvm_options(java_major: int, settings: JavaSettings) -> list[str]:
    """Heap, collector and what this Java must be told so that the nodes may do what they always did.

    Args:
        java_major: 8, 17, 25.
        settings: Of the node; its own options come last and so win.
    """
    options = [
        f"-Xms{settings.heap_mib}m",
        f"-Xmx{settings.heap_mib}m",
        f"-XX:MaxDirectMemorySize={settings.direct_memory_mib}m",
        "-XX:+UseSerialGC" if settings.heap_mib <= _SERIAL_HEAP_MIB else "-XX:+UseG1GC",
        # A node that is out of memory answers nobody any more: the supervisor can start it again, if it ends.
        "-XX:+ExitOnOutOfMemoryError",
    ]
    if java_major >= 9:
        # From 16 on the JDK refuses what it only warned of before.
        options += [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED_PACKAGES]
    if java_major >= 24:
        # Native code (JNA locks memory) and sun.misc.Unsafe (Netty, mapped files) work without it, but fill the log.
        options += ["--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow"]
    return [*options, *settings.jvm_options]
