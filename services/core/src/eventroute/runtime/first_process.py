"""`python -m eventroute.runtime.first_process MODULE`: run a program as a container's first process.

The kernel drops signals that a first process has no handler for, and a program has none while it imports what it
needs: for seconds on a busy node. A pod that is deleted meanwhile would stay, and work, until its grace period has
passed. So there is a handler before anything is imported; the program replaces it with its own.
"""

import runpy
import signal
import sys
from types import FrameType


def main() -> None:
    """Run the module that the command line names as `python -m` would."""
    signal.signal(signal.SIGTERM, _leave)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _leave(signum: int, _frame: FrameType | None) -> None:
    sys.exit(128 + signum)


if __name__ == "__main__":
    main()
