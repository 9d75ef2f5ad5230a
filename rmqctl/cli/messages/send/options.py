"""The arguments and options of `rmqctl send`."""

from typing import Annotated

import typer

from rmqctl.cli.messages.send.body import BodyFormat
from rmqctl.cli.messages.send.run import Decision
from rmqctl.client.producer.send_request import DEFAULT_QUEUE_COUNT

DestinationArgument = Annotated[
    str, typer.Argument(metavar="TOPIC[:TAG]", help="Where to: one topic, at most one tag.", show_default=False)
]

BodyArgument = Annotated[
    str | None,
    typer.Argument(metavar="[BODY | @FILE | -]", help="The text, a file, or standard input.", show_default=False),
]

TagOption = Annotated[str | None, typer.Option("--tag", metavar="TAG", help="The tag, if not given as TOPIC:TAG.")]

KeyOption = Annotated[
    list[str] | None, typer.Option("--key", metavar="KEY", help="A key to find it by; may be repeated.")
]

PropOption = Annotated[
    list[str] | None, typer.Option("--prop", metavar="K=V", help="A property of your own; may be repeated.")
]

BodyFormatOption = Annotated[
    BodyFormat,
    typer.Option("--format", help="How bodies are written; jsonl: whole messages, as tail --format jsonl prints."),
]

LinesOption = Annotated[bool, typer.Option("--lines", "-l", help="Each line of the input is a message.")]

CountOption = Annotated[int, typer.Option("--count", metavar="N", min=1, help="Send it N times.")]

RateOption = Annotated[
    float | None, typer.Option("--rate", metavar="R", min=0.001, help="At most R messages in a second.")
]

QueueOption = Annotated[
    str | None, typer.Option("--queue", metavar="[BROKER:]ID", help="Send to this queue instead of all in turn.")
]

OrderKeyOption = Annotated[
    str | None, typer.Option("--order-key", metavar="KEY", help="Messages with one key go to one queue.")
]

DelayLevelOption = Annotated[
    int, typer.Option("--delay-level", metavar="N", min=0, help="Deliver later: 1 is 1 s, 2 is 5 s … 18 is 2 h.")
]

AsynchronousOption = Annotated[bool, typer.Option("--async", help="Have many messages under way at a time.")]

OnewayOption = Annotated[bool, typer.Option("--oneway", help="Ask for no answer: fast, and nobody knows.")]

TransactionOption = Annotated[
    Decision | None,
    typer.Option("--transaction", help="Send half messages, and decide about them so; unknown leaves it open."),
]

ProducerGroupOption = Annotated[
    str, typer.Option("--producer-group", metavar="NAME", help="Whom the broker asks about what was left open.")
]

CreateOption = Annotated[
    bool,
    typer.Option("--create", help=f"Create an unknown topic first, with {DEFAULT_QUEUE_COUNT} queues on each master."),
]

VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Of many messages too, print each result.")]

QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print no results, only the summary of many.")]
