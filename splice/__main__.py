"""The first step of `splice`, or `python -m splice`: what is asked of the process waits while its libraries come."""

import sys
from typing import Final, NoReturn

from splice.supervisor import hold_signals

__all__ = ["main"]

_INTERRUPTED: Final = 130  # 128 and SIGINT, as a shell tells it


def main(arguments: list[str] | None = None) -> NoReturn:
    """Do what `arguments` say (default: the process's own), see `splice.command.run`, and exit with its status."""
    status = _INTERRUPTED  # where Ctrl-C comes before the command has taken the signals over, or behind its end
    try:
        with hold_signals():
            # Here, where SIGTERM and SIGHUP wait and Ctrl-C is no traceback: this import is more than half of a start.
            from splice.command import run

            status = run(sys.argv[1:] if arguments is None else arguments)
    except* KeyboardInterrupt:
        pass  # the status says so
    sys.exit(status)


if __name__ == "__main__":
    main()
