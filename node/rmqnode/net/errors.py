"""What can go wrong on the way to a peer; every error knows the peer's address."""


class RemotingError(Exception):
    """A request did not get its answer."""

    def __init__(self, address: str, problem: str) -> None:
        self.address = address
        super().__init__(f"{address}: {problem}")


class ConnectError(RemotingError):
    """No connection could be made; the request was not sent."""


class RequestTimeout(RemotingError):
    """No answer came in time; the peer may have done what it was asked for."""


class ConnectionLost(RemotingError):
    """The connection ended before the answer; the peer may have done what it was asked for."""
