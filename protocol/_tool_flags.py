"""The flags of the kit's tools: one that is wrong costs a line that says how they are given, not argparse's several."""

import argparse
import sys
from typing import Final, NoReturn

__all__ = ["USAGE_ERROR", "ToolFlags", "complain"]

USAGE_ERROR: Final = 2


class ToolFlags(argparse.ArgumentParser):
    """An `ArgumentParser` whose errors are one sentence."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end with status 2."""
        complain(self.prog, f"{message.removeprefix('argument ')}; see {self.prog} --help")
        sys.exit(USAGE_ERROR)


def complain(prog: str, sentence: str) -> None:
    """Say on stderr what is wrong, as the tool `prog`: one line, whatever the sentence quotes."""
    line = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in sentence)
    sys.stderr.write(f"{prog}: {line}\n")
