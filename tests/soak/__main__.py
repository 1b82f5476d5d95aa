"""The soak's command line: `python -m tests.soak --help`."""

import argparse
import random
import sys

import trio

from tests.soak.soak import soak


def main() -> int:
    """Status 0: all is back, and memory has a bound; 1: not so; 2: a usage error."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description="Churn at a door, then count what is left."
    )
    parser.add_argument("--seconds", type=float, default=600, help="how long to churn (default: 600)")
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(1_000_000), help="of a soak to repeat"
    )
    options = parser.parse_args()
    print(f"seed {options.seed}; to repeat it: make soak SOAK_SEED={options.seed}", flush=True)
    found = trio.run(soak, options.seconds, options.seed)
    print(found.table)
    for fault in found.faults:
        print(f"FAULT: {fault}")
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
