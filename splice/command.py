"""The command line of the door: flags and configuration in, a running door out; or one of the tools beside it."""

import argparse
import gc
import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import structlog
import trio

from splice import __version__
from splice.command_line import CommandLine
from splice.config import ConfigError, ListenAddress, OriginAddress, Settings, load_settings, settings_as_toml
from splice.config.targets import masked
from splice.listeners import ListenError
from splice.logs import LEVELS, configure_logs
from splice.server import DEMO_ORIGIN, serve
from splice.spelling import meant
from splice.supervisor import let_signals_in, tell_ready
from splice.tools import TOOLS

__all__ = ["run"]

_START_ERROR: Final = 1
_DEFAULT_FILE: Final = Path("splice.toml")
_REACHED_AT: Final = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 -- nothing is bound here

_log = structlog.get_logger()


def run(arguments: list[str]) -> int:
    """Run the door by the flags in `arguments`, or the tool that stands first in them; the exit status.

    Call it under `splice.supervisor.hold_signals`. A usage error is a SystemExit.
    """
    parser = _parser()
    match arguments:
        case [name, *of_the_tool] if name in TOOLS:
            let_signals_in()  # a tool has nothing to put in order first
            tool: Callable[[list[str]], int] = importlib.import_module(TOOLS[name]).main
            return tool(of_the_tool)
        case [name, *_] if not name.startswith("-"):
            near = meant(name, sorted(TOOLS))
            instead = f"there are {', '.join(sorted(TOOLS))}" if near is None else f"did you mean splice {near}?"
            parser.refuse(f"there is no command {masked(name)!r}; {instead}")
    return _open_door(parser, parser.read(arguments))


def _open_door(parser: CommandLine, flags: argparse.Namespace) -> int:
    file = _configuration_file(flags)
    try:
        settings = _load(flags, file)
    except ConfigError as error:
        parser.refuse(str(error))
    if not ("listen" in settings.model_fields_set or file):
        parser.refuse("--listen: say where to listen, such as --listen 18090, or name a file with --config")
    if flags.check:
        parser.say(settings_as_toml(settings))
        return 0
    form = flags.log_format or ("text" if sys.stderr.isatty() else "json")
    configure_logs(form=form, level=flags.log_level)
    demo = flags.demo or not (settings.origins or settings.rtmp_listen or file)
    if demo and not flags.demo:
        _log.info("demo.implied", because="nothing else is configured", instead="--origin NAME=URL or --config FILE")

    def reload() -> Settings:
        return _load(flags, file, again=True)

    def on_ready(address: str, admin: str) -> None:
        # A full collection walks every object there is, and nothing is served meanwhile: 60 ms for those of the imports
        # alone. They stay for good, so the collector need not look at them again.
        gc.collect()
        gc.freeze()
        tell_ready()
        if demo and form == "text":
            sys.stderr.write(_invitation(address, admin, settings.live_path[0]))

    try:
        return trio.run(lambda: serve(settings, demo=demo, reload=reload, on_ready=on_ready))
    except ListenError as error:
        parser.refuse(str(error), _START_ERROR)


def _parser() -> CommandLine:
    parser = CommandLine(
        "splice",
        "One door in front of many live-stream origins.",
        "With --listen alone, and no configuration file, the door runs its demo. "
        f"Beside the door: splice {' | '.join(sorted(TOOLS))}, each with a --help of its own.",
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
    add(
        "--admin",
        metavar="[HOST:]PORT",
        type=_listen_address,
        help="dashboard, API and metrics; without HOST for this machine alone",
    )
    add(
        "--tls",
        metavar="[HOST:]PORT",
        action="append",
        type=_listen_address,
        help="the same streams by HTTPS, HTTP/2 and WSS; repeatable",
    )
    add(
        "--rtmps",
        metavar="[HOST:]PORT",
        action="append",
        type=_listen_address,
        help="as --rtmp, over TLS; repeatable",
    )
    add("--tls-cert", metavar="FILE", help="of --tls and --rtmps: the certificate and its issuers' in PEM")
    add("--tls-key", metavar="FILE", help="its key in PEM")
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
        raise argparse.ArgumentTypeError("an origin is NAME=URL, such as a=http://10.0.0.8:8080")
    try:
        OriginAddress.parse(url)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return name, url


def _configuration_file(flags: argparse.Namespace) -> Path | None:
    if flags.config is not None:
        return Path(flags.config)
    try:
        return _DEFAULT_FILE if _DEFAULT_FILE.exists() else None
    except OSError:
        return _DEFAULT_FILE  # reading it will say why not


def _load(flags: argparse.Namespace, file: Path | None, *, again: bool = False) -> Settings:
    given: dict[tuple[str, ...], tuple[str, Any]] = {}
    if flags.listen:
        given[("listen",)] = ("--listen", flags.listen)
    if flags.rtmp:
        given[("rtmp_listen",)] = ("--rtmp", flags.rtmp)
    if flags.admin:
        given[("admin_listen",)] = ("--admin", flags.admin)
    tls = (
        ("listen", "--tls", flags.tls),
        ("rtmps_listen", "--rtmps", flags.rtmps),
        ("cert", "--tls-cert", flags.tls_cert),
        ("key", "--tls-key", flags.tls_key),
    )
    given.update({("tls", name): (flag, value) for name, flag, value in tls if value is not None})
    for name, url in flags.origin or ():
        key = ("origins", name, "url")
        if key in given:
            raise ConfigError(
                f"--origin: {name} is given twice; several addresses of one origin are urls = [...] in a file"
            )
        given[key] = ("--origin", url)
    settings = load_settings(flags=given, environ=os.environ, file=file, file_may_be_empty=not again)
    if flags.demo and DEMO_ORIGIN in settings.origins:
        raise ConfigError(f"--demo: it adds an origin of the name {DEMO_ORIGIN}; give your own of that name another")
    return settings


def _invitation(address: str, admin: str, live_path: str) -> str:
    """What to open and play, for whoever sits at the terminal; two addresses, of the media door and the admin side."""
    door = _url(address)
    return (
        "\nThe demo plays. Open this page in a browser, or call a player:\n"
        f"    {door}/\n"
        f'    ffplay "{door}{live_path}?src={DEMO_ORIGIN}&app=demo&stream=clock"\n'
        f"The dashboard shows who is watching:\n    {_url(admin)}/\n\n"
    )


def _url(address: str) -> str:
    host, _, port = address.rpartition(":")
    return f"http://{_REACHED_AT.get(host, host)}:{port}"
