"""Entry of the console script `rmqctl` and of `python -m rmqctl`."""

import sys


def main() -> int:
    """Run one command; returns its exit status."""
    from rmqctl.cli.app import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
