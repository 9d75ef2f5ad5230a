"""The arguments and options of `rmqctl tail`."""

from typing import Annotated

import typer

from rmqctl.cli.messages.rendering.format import OutputFormat

SourceArgument = Annotated[
    str, typer.Argument(metavar="TOPIC[:TAGS]", help="The topic; tags as a||b or a,b.", show_default=False)
]

StartTextOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="latest|earliest|TIME",
        help="Where to start: an age as -10m, or a time as 2026-11-23T10:00; default latest.",
    ),
]

LastOption = Annotated[
    int | None, typer.Option("--last", metavar="N", min=1, help="Start with the last N messages of each queue.")
]

UntilOption = Annotated[
    str | None,
    typer.Option("--until", metavar="now|TIME", help="Where to end: what is stored by now, or up to a time."),
]

CountOption = Annotated[int | None, typer.Option("-n", metavar="N", min=1, help="End after N messages.")]

QueueOption = Annotated[
    list[str] | None, typer.Option("--queue", metavar="[BROKER:]ID", help="Only this queue; may be repeated.")
]

SqlOption = Annotated[
    str | None, typer.Option("--sql", metavar="EXPRESSION", help="Only messages that an SQL92 expression wants.")
]

KeyOption = Annotated[
    list[str] | None, typer.Option("--key", metavar="KEY", help="Only messages with this key; may be repeated.")
]

GroupOption = Annotated[
    str | None,
    typer.Option("--group", metavar="GROUP", help="Consume as a member of this group, and keep its offsets."),
]

OutputFormatOption = Annotated[OutputFormat, typer.Option("--format", help="How messages are printed.")]

TemplateOption = Annotated[
    str | None, typer.Option("--template", metavar="TEXT", help="Print this, as '{time} {tag} {body}'.")
]
