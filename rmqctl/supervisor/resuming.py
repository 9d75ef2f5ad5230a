"""Another image of the supervisor goes on where this one cannot: its zygote is gone, and only a fresh process may fork.

The process stays the same, with its pid; what the new image has to know waits in a file without a name.
"""

import os
import sys
import tempfile
from collections.abc import MutableMapping
from typing import NoReturn

import msgspec

from rmqctl.supervisor.messages import Launch

_VARIABLE = "RMQCTL_RESUME_FROM"
"""Number of the descriptor with the launch."""


def resume(launch: Launch) -> NoReturn:
    """Become a fresh supervisor that goes on with this launch."""
    with tempfile.TemporaryFile() as file:
        file.write(msgspec.json.encode(launch))
        file.flush()
        os.set_inheritable(file.fileno(), True)
        os.environ[_VARIABLE] = str(file.fileno())
        os.execv(sys.executable, [sys.executable, "-P", "-m", "rmqctl.supervisor"])


def take_resumed_launch(environment: MutableMapping[str, str]) -> Launch | None:
    """What the image before this one left; None when there was none."""
    descriptor = environment.pop(_VARIABLE, None)
    if descriptor is None:
        return None
    with os.fdopen(int(descriptor), "rb") as file:
        file.seek(0)
        return msgspec.json.decode(file.read(), type=Launch)
