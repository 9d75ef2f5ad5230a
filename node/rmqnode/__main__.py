"""The command `rmqnode`: runs one nameserver or broker from a configuration file of Apache's form."""

import argparse
import sys
from pathlib import Path
from typing import Final

_KINDS: Final = ("broker", "nameserver")


def main() -> int:
    """Parse the arguments, run the node, return its exit code."""
    parser = argparse.ArgumentParser(
        prog="rmqnode", description="Run one node of a RocketMQ cluster in the foreground."
    )
    parser.add_argument("kind", choices=_KINDS, help="what to run")
    parser.add_argument(
        "-c", dest="config", type=Path, required=True, metavar="FILE", help="configuration (Java properties)"
    )
    parser.add_argument(
        "--accept-loss",
        action="store_true",
        help="start a broker also without the messages that its commit log lacks, this once",
    )
    arguments = parser.parse_args()
    if arguments.accept_loss and arguments.kind != "broker":
        parser.error("--accept-loss is for brokers")
    # Imported here: --help and wrong arguments need none of it.
    from rmqnode.late_modules import load_late

    load_late()
    from rmqnode.run import run_node

    return run_node(arguments.kind, arguments.config, arguments.accept_loss)


if __name__ == "__main__":
    sys.exit(main())
