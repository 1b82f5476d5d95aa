"""The command line: `python -m splice`, or `splice` (DESIGN section 2)."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any, Final, NoReturn

import trio

from splice import __version__
from splice.config import ConfigError, ListenAddress, OriginAddress, Settings, load_settings, settings_as_toml
from splice.listeners import ListenError
from splice.logs import LEVELS, configure_logs
from splice.server import serve

__all__ = ["main"]

_USAGE_ERROR: Final = 2
_START_ERROR: Final = 1
_DEFAULT_FILE: Final = Path("splice.toml")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        _fail(_USAGE_ERROR, f"{message} (splice --help lists the flags)")


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the door by the flags in `arguments` (default: the process's own), and exit with its status."""
    flags = _parser().parse_args(arguments)
    file = _configuration_file(flags)
    try:
        settings = _load(flags, file)
    except ConfigError as error:
        _fail(_USAGE_ERROR, str(error))
    demo = flags.demo or not (settings.origins or settings.rtmp_listen or file)
    if not (flags.listen or file or flags.check):
        _fail(_USAGE_ERROR, "--listen: say where to listen, such as --listen 18090, or name a file with --config")
    if flags.check:
        sys.stdout.write(settings_as_toml(settings))
        sys.exit(0)
    configure_logs(form=flags.log_format or ("text" if sys.stderr.isatty() else "json"), level=flags.log_level)
    try:
        sys.exit(trio.run(lambda: serve(settings, demo=demo, reload=lambda: _load(flags, file))))
    except ListenError as error:
        _fail(_START_ERROR, str(error))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="splice",
        description="One door in front of many live-stream origins.",
        epilog="Without origins and without a configuration file, the door runs its demo.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--listen", metavar="[HOST:]PORT", action="append", type=_listen_address, help="where viewers come; repeatable")
    add(
        "--origin",
        metavar="NAME=URL",
        action="append",
        type=_origin,
        help="an origin, such as a=http://10.0.0.8:8080; repeatable",
    )
    add(
        "--rtmp",
        metavar="[HOST:]PORT",
        action="append",
        type=_listen_address,
        help="accept RTMP publishers and players; repeatable",
    )
    add("--demo", action="store_true", help="add the embedded origin `demo`, a clip that plays for ever")
    add(
        "--config",
        metavar="FILE",
        type=Path,
        help="a TOML file (default: ./splice.toml where there is one); flags win over it",
    )
    add("--check", action="store_true", help="print the effective configuration as TOML and exit")
    add("--log-format", choices=("text", "json"), help="default: text on a terminal, else json")
    add("--log-level", choices=LEVELS, default="info", help="default: info")
    add("--version", action="version", version=f"splice {__version__}")
    return parser


def _listen_address(text: str) -> str:
    try:
        return str(ListenAddress.parse(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _origin(text: str) -> tuple[str, str]:
    name, equals, url = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=URL, such as a=http://10.0.0.8:8080")
    try:
        OriginAddress.parse(url)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return name, url


def _configuration_file(flags: argparse.Namespace) -> Path | None:
    if flags.config is not None:
        return Path(flags.config)
    return _DEFAULT_FILE if _DEFAULT_FILE.exists() else None


def _load(flags: argparse.Namespace, file: Path | None) -> Settings:
    given: dict[tuple[str, ...], tuple[str, Any]] = {}
    if flags.listen:
        given[("listen",)] = ("--listen", flags.listen)
    if flags.rtmp:
        given[("rtmp_listen",)] = ("--rtmp", flags.rtmp)
    for name, url in flags.origin or ():
        given[("origins", name, "url")] = ("--origin", url)
    return load_settings(flags=given, environ=os.environ, file=file)


def _fail(status: int, sentence: str) -> NoReturn:
    sys.stderr.write(f"splice: {sentence}\n")
    sys.exit(status)


if __name__ == "__main__":
    main()
