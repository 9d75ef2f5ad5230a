"""The standard streams that a command replaces are written as early as Python's own would be."""

import os
import pty
import subprocess
import sys

import pytest

_CODE = (
    "import os, sys\n"
    "from rmqctl.streams import prepare_standard_streams\n"
    "prepare_standard_streams()\n"
    "print('a result')\n"
    # Ends without flushing: what is not written by now never is.
    "os._exit(0)"
)


def _environment(unbuffered: str) -> dict[str, str]:
    # Empty is as good as not set.
    return {**os.environ, "PYTHONUNBUFFERED": unbuffered}


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_line_comes_to_a_terminal_at_once(unbuffered: str) -> None:
    terminal, end = pty.openpty()
    try:
        command = [sys.executable, "-P", "-c", _CODE]
        subprocess.run(command, stdout=end, env=_environment(unbuffered), timeout=60, check=True)
        os.set_blocking(terminal, False)
        assert os.read(terminal, 100) == b"a result\r\n"
    finally:
        os.close(end)
        os.close(terminal)


@pytest.mark.parametrize(("unbuffered", "seen"), [("", ""), ("1", "a result\n")])
def test_a_line_comes_to_a_pipe_at_once_where_python_is_told_not_to_buffer(unbuffered: str, seen: str) -> None:
    command = [sys.executable, "-P", "-c", _CODE]
    done = subprocess.run(command, capture_output=True, text=True, env=_environment(unbuffered), timeout=60, check=True)
    assert done.stdout == seen
