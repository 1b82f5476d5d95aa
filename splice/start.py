"""The first step of the command `splice`: what may be asked of the process meanwhile waits while its libraries come."""

from typing import NoReturn

from splice.supervisor import hold_signals

__all__ = ["main"]


def main() -> NoReturn:
    """Do what `splice.__main__.main` does by the process's own arguments.

    Importing it is more than half of a start, seconds where the machine is busy.
    """
    with hold_signals():
        from splice.__main__ import main as command_line  # only here: nothing is held while a module is imported above

        command_line()
