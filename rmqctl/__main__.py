"""Entry of the console script `rmqctl` and of `python -m rmqctl`."""

import os
import sys

from rmqctl.streams import prepare_standard_streams


def main() -> int:
    """Run one command; returns its exit status."""
    _open_closed_streams()
    prepare_standard_streams()
    try:
        return _run(sys.argv[1:])
    except KeyboardInterrupt:
        # While modules were still being imported; from then on `rmqctl.cli.app` knows more to say.
        print("rmqctl: interrupted", file=sys.stderr)
        return 130


def _open_closed_streams() -> None:
    """Read from and write to nowhere where the caller closed a standard stream (`2>&-`).

    Otherwise the next file or socket would get its number, and be read or written for it.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # The descriptor outlives this object, which another one takes the place of.
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, closefd=False))


def _run(arguments: list[str]) -> int:
    if "_RMQCTL_COMPLETE" in os.environ:
        from rmqctl.cli.completion.words import run as complete

        return complete(arguments)
    supervisor = None
    if arguments[:1] == ["up"] and "--help" not in arguments:
        # It takes 0.2 s to import what the nodes need: let it do so while the command line is being worked out.
        from rmqctl.supervisor.launch.early import spawn_supervisor

        supervisor = spawn_supervisor()
    from rmqctl.cli.app import run

    return run(arguments, supervisor)


if __name__ == "__main__":
    sys.exit(main())
