"""Reads files below `/proc`, thousands of times in the life of a supervisor, without a trace in its memory.

pathlib interns every part of a path. Pids make ever new parts, and CPython's table of interned strings answers to such
coming and going with a larger table of a whole MiB, all of it written to, in a process that was forked to be small.
"""

import io


def read_proc_file(name: str) -> bytes:
    """The content of a file below `/proc`.

    Args:
        name: Below it: `4711/stat`.

    Raises:
        OSError: There is none; `ProcessLookupError` when its process ended meanwhile.
    """
    with io.FileIO(f"/proc/{name}") as file:
        return file.readall()
