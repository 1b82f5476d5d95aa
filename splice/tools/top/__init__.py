"""`python -m splice top [URL]`: the dashboard's live view in a terminal, from a door's admin side.

    admin side --DoorClient--> Look, once a second --Rates: differences of two--> view: tables --> terminal

For scripts, and wherever there is no terminal, one look is printed. Exit status: 0; 1 where
there is no first look; 2 for a usage error; 130 for Ctrl-C before it.
"""

from splice.tools.top.command import main

__all__ = ["main"]
