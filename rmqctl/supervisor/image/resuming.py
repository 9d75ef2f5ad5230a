"""Another image of the supervisor goes on where this one cannot: its zygote is gone, and only a fresh process may fork.

The process stays the same, with its pid. It also keeps the home's lock and the control socket, so that commands wait a
moment for their answer instead of finding nobody; what else the new image has to know waits in a file without a name.
"""

import os
import socket
import sys
import tempfile
from collections.abc import MutableMapping
from typing import IO, NamedTuple, NoReturn

import msgspec

from rmqctl.supervisor.messages import Launch

_VARIABLE = "RMQCTL_RESUME_FROM"
"""Numbers of the descriptors: the file with the launch, the lock, the control socket."""


class Resumption(NamedTuple):
    """What one image of the supervisor leaves to the next."""

    launch: Launch
    lock: int
    """Descriptor that the home's lock is held with."""
    listener: socket.socket
    """The control socket."""

    @property
    def descriptors(self) -> tuple[int, int]:
        """Those that must not reach the nodes."""
        return self.lock, self.listener.fileno()


def resume(resumption: Resumption) -> NoReturn:
    """Become a fresh supervisor that goes on with this."""
    with _file_without_name() as file:
        file.write(msgspec.json.encode(resumption.launch))
        file.flush()
        descriptors = (file.fileno(), *resumption.descriptors)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, True)
        os.environ[_VARIABLE] = " ".join(map(str, descriptors))
        os.execv(sys.executable, [sys.executable, "-P", "-m", "rmqctl.supervisor"])


def _file_without_name() -> IO[bytes]:
    """In memory where the system can do that: the disk may be full."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("rmqctl-launch"), "w+b")
    return tempfile.TemporaryFile()


def take_resumption(environment: MutableMapping[str, str]) -> Resumption | None:
    """What the image before this one left; None when there was none."""
    value = environment.pop(_VARIABLE, None)
    if value is None:
        return None
    launch, lock, listener = map(int, value.split())
    for descriptor in (lock, listener):
        os.set_inheritable(descriptor, False)
    with os.fdopen(launch, "rb") as file:
        file.seek(0)
        return Resumption(msgspec.json.decode(file.read(), type=Launch), lock, socket.socket(fileno=listener))
