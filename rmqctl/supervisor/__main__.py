"""Entry of the supervisor process, `python -m rmqctl.supervisor`: imports everything that nodes need, then begins.

Started by `rmqctl.supervisor.launch.launcher` alone; the plan comes on stdin.
"""

import sys


def main() -> int:
    """Preload and run."""
    from rmqnode.late_modules import load_late

    load_late()
    from rmqctl.supervisor.process import run_supervisor
    from rmqnode.run import run_node

    return run_supervisor(run_node)


if __name__ == "__main__":
    sys.exit(main())
