"""The command line of the benches."""

import argparse
import signal
import sys

from bench import congestion, table_admin, table_hub, table_kit, table_splice, table_tls
from bench.processes import BenchError


def main() -> int:
    """Run one table's bench. Status 0: measured (targets may be missed); 1: it could not be; 2: a usage error."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Each table is a command.")
    subparsers = parser.add_subparsers(required=True, metavar="TABLE")
    table_splice.add_parser(subparsers)
    table_hub.add_parser(subparsers)
    table_tls.add_parser(subparsers)
    table_admin.add_parser(subparsers)
    table_kit.add_parser(subparsers)
    parser.set_defaults(congestion="")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that every `with` is left in order
    try:
        if options.congestion:
            congestion.use(options.congestion)
        options.run(options)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


sys.exit(main())
