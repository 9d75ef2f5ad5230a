"""Damaged bodies among printed messages: told where the form can't tell it, and in the exit code in any case."""

import typer

from rmqctl.cli.messages.rendering.format import OutputFormat, Rendering
from rmqctl.cli.output import narrate, print_error
from rmqctl.errors import RmqctlError
from rmqnode.plain_text import escape_controls
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.message import StoredMessage

_SILENT_FORMS = frozenset({OutputFormat.RAW, OutputFormat.TEMPLATE})
"""They print what is asked for and nothing else."""


class DamageWatch:
    """Looks at each message that is printed.

    Args:
        render: Makes its bytes.
        form: Of which form they are.
    """

    def __init__(self, render: Rendering, form: OutputFormat) -> None:
        self._render = render
        self._is_silent = form in _SILENT_FORMS
        self._count = 0

    def render(self, queue: MessageQueue, message: StoredMessage) -> bytes:
        """Return the bytes of a message, and note whether its body is damaged."""
        if message.has_damaged_body:
            self._count += 1
            if self._is_silent:
                place = f"{message.topic} {queue.broker_name}:{queue.queue_id}@{message.queue_offset}"
                narrate(f"rmqctl: body damaged: {escape_controls(place)} (id {escape_controls(message.message_id)})")
        return self._render(queue, message)

    def finish(self) -> None:
        """End the command; with exit code 1 and an error on stderr if the body of any message was damaged."""
        if self._count:
            what = "1 message has" if self._count == 1 else f"{self._count} messages have"
            error = RmqctlError(
                f"{what} a damaged body",
                "the bytes differ from the CRC that was stored with them: they changed on the broker's disk",
                "take the broker down and mend its store from a replica: rmqctl store verify DIR --repair --from NODE",
            )
            # Not raised: with --json that would put one more document on stdout, behind those of the messages.
            print_error(error)
            raise typer.Exit(error.exit_code)
