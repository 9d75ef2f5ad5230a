"""Tells systemd how this process is: ready, stopping, alive. Without systemd, nothing happens.

Source: sd_notify(3), sd_watchdog_enabled(3). Not responsible for who asks: `rmqnode.run` and the supervisor do.
"""

import socket
from collections.abc import MutableMapping

import trio


class ServiceManager:
    """The service manager that started this process, if one did.

    Args:
        address: Of its notification socket; None when there is no service manager.
        watchdog_seconds: It takes the process for hung when nothing was heard for so long; None when it does not care.
    """

    def __init__(self, address: str | None, watchdog_seconds: float | None) -> None:
        self._address = address
        self._watchdog_seconds = watchdog_seconds

    @classmethod
    def take_from(cls, environment: MutableMapping[str, str]) -> "ServiceManager":
        """Take it out of the environment, so that no child process speaks for this one."""
        address = environment.pop("NOTIFY_SOCKET", None)
        microseconds = environment.pop("WATCHDOG_USEC", "")
        environment.pop("WATCHDOG_PID", None)
        seconds = int(microseconds) / 1e6 if microseconds.isdecimal() and int(microseconds) else None
        return cls(address, seconds if address else None)

    def give_back(self, environment: MutableMapping[str, str]) -> None:
        """Put it into the environment again, for another image of this process."""
        if self._address is not None:
            environment["NOTIFY_SOCKET"] = self._address
        if self._watchdog_seconds is not None:
            environment["WATCHDOG_USEC"] = str(round(self._watchdog_seconds * 1e6))

    def tell(self, **states: object) -> None:
        """Send states, for instance READY=1. A manager that does not listen is no reason to fail."""
        if self._address is None:
            return
        message = "\n".join(f"{name}={value}" for name, value in states.items()).encode()
        # An abstract address starts with a zero byte, which systemd writes as "@".
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            try:
                sock.sendto(message, address)
            except OSError:
                return

    async def keep_watchdog_calm(self) -> None:
        """Service: say again and again that the event loop turns."""
        if self._watchdog_seconds is None:
            return
        while True:
            self.tell(WATCHDOG=1)
            await trio.sleep(self._watchdog_seconds / 3)
