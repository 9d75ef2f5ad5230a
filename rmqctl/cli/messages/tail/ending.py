"""How a command that follows something ends: Ctrl-C, SIGTERM, or a reader of stdout that went away. Exit code 0."""

import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import trio


@contextmanager
def ended_from_outside() -> Iterator[trio.CancelScope]:
    """Give a scope that is cancelled when the user, a supervisor or the reader of stdout wants the command to end.

    A second Ctrl-C interrupts at once: the reader of our output may have stopped reading.
    """
    token = trio.lowlevel.current_trio_token()
    with trio.CancelScope() as scope:

        def stop(signal_number: int, _frame: object) -> None:
            signal.signal(signal_number, previous[signal.Signals(signal_number)])
            token.run_sync_soon(scope.cancel)

        previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        _end_with_the_reader(scope, token)
        try:
            yield scope
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def _end_with_the_reader(scope: trio.CancelScope, token: trio.lowlevel.TrioToken) -> None:
    """End the work when nobody reads stdout any more (`| head`), even if no message comes that would show it."""

    def wait_and_end() -> None:
        poll = select.poll()
        # No event is asked for: only a reader that went away (POLLERR, POLLHUP) ends the wait.
        poll.register(sys.stdout.fileno(), 0)
        poll.poll()
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(scope.cancel)

    # A daemon, because nothing can interrupt the wait of a command that ends for another reason.
    threading.Thread(target=wait_and_end, name="stdout reader watch", daemon=True).start()
