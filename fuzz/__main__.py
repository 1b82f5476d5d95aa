"""The command line of the fuzzers: `python -m fuzz --help`."""

import argparse
import sys
from pathlib import Path

from fuzz import campaign
from fuzz.minimise import keep_found
from fuzz.reach import Reach, reach
from fuzz.targets import CORPUS, NAMES, load


def main() -> int:
    """Status 0: no invariant was broken; 1: one was; 2: a usage error."""
    if sys.argv[1:2] == ["--here"]:
        campaign.fuzz_here(sys.argv[2], sys.argv[3:])
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Fuzz the decoders, one after the other.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"all where none is named: {', '.join(NAMES)}")
    parser.add_argument("--seconds", type=int, default=20, help="for each target (default: 20)")
    parser.add_argument(
        "--replay",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="give the one target this input, or all in this directory, without atheris",
    )
    parser.add_argument(
        "--missing", action="store_true", help="do not fuzz: tell the lines that no input found so far has reached"
    )
    parser.add_argument(
        "--keep-found",
        nargs="*",
        type=Path,
        metavar="DIRECTORY",
        help="do not fuzz: put what is new to the tests of the inputs found so far (build/fuzz) into fuzz/corpus",
    )
    options = parser.parse_args()
    names = options.targets or NAMES
    if unknown := sorted(set(names) - set(NAMES)):
        parser.error(f"there is no target {unknown[0]}; there are {', '.join(NAMES)}")
    if options.replay is not None:
        if len(names) != 1:
            parser.error("--replay wants one target")
        _replay(names[0], options.replay)
        return 0
    if options.missing:
        for name in names:
            for file, lines in _reach(name).missing.items():
                print(f"{file}: {', '.join(map(str, lines)) or 'none'}")
        return 0
    if options.keep_found is not None:
        for name in names:
            found, kept = keep_found(name, options.keep_found)
            print(f"{name}: {kept} of {found} show something new, and are in fuzz/corpus now")
        return 0
    return _fuzz(names, options.seconds)


def _replay(name: str, places: list[Path]) -> None:
    check = load(name).check
    for place in places:
        for file in sorted(place.iterdir()) if place.is_dir() else [place]:
            check(file.read_bytes())
        print(f"{name} stands {place}")


def _reach(name: str) -> Reach:
    return reach(name, [place for place in (CORPUS / name, campaign.found(name)) if place.exists()])


def _fuzz(names: list[str] | tuple[str, ...], seconds: int) -> int:
    failures = 0
    print(f"{'target':20} {'executions':>12} {'per CPU s':>10} {'edges':>7}  lines")
    for name in names:
        done = campaign.run(name, seconds)
        print(f"{name:20} {done.executions:12} {done.rate:10} {done.edges:7}  ", end="", flush=True)
        if not done.failed:
            reached = _reach(name)
            print(f"{reached.lines} of {reached.of}")
            continue
        failures += 1
        print("-")
        print(done.explanation)
        if done.crash is not None:
            print(f"{name} is broken; to see it again:\n    .venv/bin/python -m fuzz {name} --replay {done.crash}")
        else:
            print(f"{name} could not be run to its end; the log above says why")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
