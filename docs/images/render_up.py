"""Draws `up.svg`: what a terminal shows of `rmqctl up` and `rmqctl status`. Run by hand when their output has changed.

The cluster is real: brought up on the usual ports, with its home in a temporary folder, and taken down again.
"""

import io
import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 96
COMMANDS = ("up --profile 2m-2s --broker-ip 127.0.0.1", "status")
PICTURE = Path(__file__).with_name("up.svg")

_CONTROL = re.compile(r"\x1b\[(?P<number>\d*)(?P<letter>[AK])|\x1b\[\?\d+[hl]|(?P<newline>\r*\n)|(?P<return>\r)")

_FONT_FROM_THE_NETWORK = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
"""A README's picture may not load any; the reader's own monospaced font does."""


def main() -> None:
    """Run the commands on a terminal of our own and write the picture."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    with tempfile.TemporaryDirectory() as home:
        environ = os.environ | {"RMQCTL_HOME": home, "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
        try:
            for command in COMMANDS:
                console.print(Text(f"$ rmqctl {command}", "bold"))
                console.print(Text.from_ansi(final_screen(output_on_terminal(command, environ))))
        finally:
            rmqctl = [sys.executable, "-P", "-m", "rmqctl"]
            subprocess.run([*rmqctl, "down", "--purge", "--yes"], env=environ, check=True, capture_output=True)
    picture = console.export_svg(title="rmqctl, for Apache RocketMQ", unique_id="up")
    PICTURE.write_text(_FONT_FROM_THE_NETWORK.sub("", picture), encoding="utf-8")


def output_on_terminal(command: str, environ: dict[str, str]) -> str:
    """Everything that a command writes when stdout and stderr are a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "rmqctl", *command.split()], env=environ, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    output = b""
    try:
        while piece := os.read(ours, 65536):
            output += piece
    except OSError:
        pass  # Linux reports the closed other end of a terminal as an error
    os.close(ours)
    if process.wait() != 0:
        raise SystemExit(f"rmqctl {command} failed:\n{output.decode()}")
    return output.decode()


def final_screen(output: str) -> str:
    """What stays on the screen, colours included: follows the few cursor movements that a live table makes."""
    lines, row, position = [""], 0, 0
    for control in _CONTROL.finditer(output):
        lines[row] += output[position : control.start()]
        position = control.end()
        if control["newline"]:
            row += 1
            if row == len(lines):
                lines.append("")
        elif control["letter"] == "A":
            row -= int(control["number"] or 1)
        elif control["letter"] == "K":
            lines[row] = ""
    lines[row] += output[position:]
    return "\n".join(lines).rstrip()


if __name__ == "__main__":
    main()
