"""What all commands share: flags in, and where something is wrong with them, one sentence out.

    arguments --CommandLine.read--> what they choose
              --refuse--> `splice probe: there is no --secnds; did you mean --seconds?` on stderr, status 2

A command's own output goes through `say`, so that nobody who reads only its beginning makes it a traceback.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from itertools import pairwise, takewhile
from typing import Final, NoReturn

from splice.config.targets import masked
from splice.spelling import meant

__all__ = ["INTERRUPTED", "USAGE_ERROR", "CommandLine", "complain", "on_one_line"]

USAGE_ERROR: Final = 2
INTERRUPTED: Final = 130
_OUTPUT_LOST: Final = 1


class CommandLine(argparse.ArgumentParser):
    """The flags of one command, and its voice.

    Args:
        prog: how the command is called, such as "splice probe".
    """

    def __init__(self, prog: str, description: str, epilog: str | None = None) -> None:
        super().__init__(prog=prog, description=description, epilog=epilog, allow_abbrev=False, exit_on_error=False)

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        """What `arguments` choose.

        Raises:
            SystemExit: behind --help (0), and behind a wrong argument (2); the sentence has been said.
        """
        # First of all: argparse would say what is missing, and a misspelt flag is why it is.
        self._refuse_unknown_flags(arguments)
        try:
            chosen, left = self.parse_known_args(list(arguments))
        except argparse.ArgumentError as error:
            self.error(self._problem(error))
        for word in left:
            if word != "--":
                self.error(f"{masked(word)!r} is an argument too many")
        return chosen

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments, and where it stands how they are given; end with status 2."""
        self.refuse(f"{message}; see {self.prog} --help")

    def refuse(self, sentence: str, status: int = USAGE_ERROR) -> NoReturn:
        """Say a sentence that needs no help behind it, and end."""
        complain(self.prog, sentence)
        sys.exit(status)

    def say(self, text: str) -> None:
        """Print the command's output, at once. Who reads only the beginning of it (`| head -1`) does nothing wrong.

        Raises:
            SystemExit: it cannot be written (1); the sentence has been said.
        """
        try:
            print(text, end="", flush=True)
        except OSError as error:
            # The interpreter flushes once more on its way out; on the null device that cannot fail a second time.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if not isinstance(error, BrokenPipeError):
                self.refuse(f"the output cannot be written: {(error.strerror or str(error)).lower()}", _OUTPUT_LOST)

    def _print_message(self, message: str, file: object = None) -> None:
        self.say(message)  # argparse's way to print --help and --version

    def _refuse_unknown_flags(self, arguments: Sequence[str]) -> None:
        known = self._option_string_actions
        for before, word in pairwise(["", *takewhile("--".__ne__, arguments)]):
            flag = word.partition("=")[0]  # what stands behind it may be a secret
            is_value = before in known and known[before].nargs is None  # argparse says that one is missing
            if flag.startswith("-") and flag != "-" and flag not in known and not is_value:
                near = meant(flag.lstrip("-"), [name[2:] for name in known if name.startswith("--")])
                if near is None:
                    self.error(f"there is no {flag}")
                self.refuse(f"there is no {flag}; did you mean --{near}?")

    def _problem(self, error: argparse.ArgumentError) -> str:
        name, problem = error.argument_name, error.message
        flag = self._option_string_actions.get(name or "")
        if flag is not None and problem == "expected one argument":
            return f"{name} takes a value: {name} {flag.metavar or '|'.join(flag.choices or ())}"
        if flag is not None and problem.startswith("ignored explicit argument"):
            return f"{name} takes no value"
        return f"{name}: {problem}" if name else problem


def complain(prog: str, sentence: str) -> None:
    """Say on stderr what is wrong, as the command `prog`: one line, whatever the sentence quotes."""
    sys.stderr.write(f"{prog}: {on_one_line(sentence)}\n")


def on_one_line(text: str) -> str:
    """`text` with what would end the line or steer a terminal escaped, as Python writes it."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
