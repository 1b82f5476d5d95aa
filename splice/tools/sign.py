"""`python -m splice sign URL`: prints the URL with a signature that the door takes.

The key comes from the door's own configuration, or by --kid and --key from wherever the operator has it. What of the
URL is signed is read as the door reads it: HTTP-FLV and WS-FLV by path and query, RTMP by app, stream and src.

    python -m splice sign "http://live.example.org/live?src=a&app=myapp&stream=test" --expires 12h
"""

import argparse
import ipaddress
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from protocol import LocalProtocolError
from protocol.rtmp import parse_url, split_query
from splice.access import RTMP_PATH, AccessRefusedError, SignedParts, SignKey, read_parameters, signed_query
from splice.access.parameters import without_parameters
from splice.access.signatures import SIGNATURE_PARAMETERS
from splice.command_line import CommandLine
from splice.config import ConfigError, load_settings
from splice.routing import Router, RoutingError, is_name

__all__ = ["main", "sign"]

_DEFAULT_FILE: Final = Path("splice.toml")
_HTTP: Final = ("http", "https", "ws", "wss")
_RTMP: Final = ("rtmp", "rtmps")
_DURATION: Final = re.compile(r"([0-9]{1,9})([smhd]?)")
_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST_S: Final = 36500 * 86400  # the door reads no moment of more than 12 digits
_KEY_ID: Final = re.compile(r"[A-Za-z0-9._~@-]{1,128}")


def sign(url: str, key: SignKey, kid: str, *, exp: int, address: str = "") -> str:
    """`url` with a signature; one that it has already is replaced.

    Args:
        url: as a player will be given it.
        exp: the last second, since 1970, in which it holds.
        address: the viewer's, where the key is for one.

    Raises:
        ValueError: the URL names no stream; the message says what would.
    """
    parts = _signed_parts(url)
    url = without_parameters(url.encode(), [name.encode() for name in SIGNATURE_PARAMETERS]).decode()
    query = signed_query(key, kid, parts, exp=exp, address=address)
    # Of rtmp://host/app?x=1/stream the query is the app's, and the stream has none yet.
    last = url if _scheme(url) in _HTTP else url.rpartition("/")[2]
    separator = "" if last.endswith(("?", "&")) else "&" if "?" in last else "?"
    return url + separator + query


def main(arguments: list[str], *, clock: Callable[[], float] = time.time) -> int:
    """Run the tool; the exit status.

    Raises:
        SystemExit: behind --help (0), and behind what is wrong (2).
    """
    command = CommandLine("splice sign", "Print a stream's URL with a signature that the door takes.")
    add = command.add_argument
    add("url", metavar="URL", help="http[s]://, ws[s]:// or rtmp[s]://, as players will be given it")
    add("--config", metavar="FILE", type=Path, help="the door's TOML file (default: ./splice.toml where there is one)")
    add("--kid", metavar="ID", help="the key's id; default: the only one of the configuration")
    add("--key", metavar="SECRET", help="the key itself, in place of the configuration's")
    add(
        "--expires",
        metavar="TIME",
        type=_duration,
        default="1h",
        help="from now, such as 90s, 30m, 12h, 7d; default: 1h",
    )
    add("--address", metavar="IP", help="the viewer's address, for a key whose signatures hold for one")
    chosen = command.read(arguments)
    try:
        kid, key = _key(chosen)
        exp = int(clock()) + chosen.expires
        signed = sign(chosen.url, key, kid, exp=exp, address=chosen.address or "")
    except (ConfigError, ValueError) as error:
        command.refuse(str(error))
    command.say(f"{signed}\n")
    return 0


def _scheme(url: str) -> str:
    return url.partition("://")[0].lower()


def _signed_parts(url: str) -> SignedParts:
    """What of a URL is signed.

    Raises:
        ValueError: it names no stream; the message says what would.
    """
    if not url.isascii() or not url.isprintable() or " " in url or "#" in url:
        raise ValueError("a stream's URL has neither spaces nor a #, and only characters of ASCII")
    if _scheme(url) not in (*_HTTP, *_RTMP):
        raise ValueError("a stream's URL begins with http://, https://, ws://, wss://, rtmp:// or rtmps://")
    try:
        return _http_parts(url) if _scheme(url) in _HTTP else _rtmp_parts(url)
    except (AccessRefusedError, RoutingError) as error:
        raise ValueError(error.detail) from None
    except LocalProtocolError as error:
        raise ValueError(str(error.args[0])) from None


def _http_parts(url: str) -> SignedParts:
    try:
        split = urlsplit(url)
        is_complete = bool(split.hostname) and split.port != 0
    except ValueError:
        is_complete = False
    if not is_complete:
        raise ValueError("a stream's URL is http://HOST[:PORT]/live?app=APP&stream=STREAM, PORT from 1 to 65535")
    path, arguments = split.path or "/", split.query
    # Which paths are the live_path of a door is not known here; one that ends so is taken for a stream's own.
    live_paths = () if path.endswith(".flv") else (path,)
    query = Router(live_paths=live_paths, origins={}).query(path.encode(), arguments.encode())
    if query is None:
        raise ValueError(f"the path {path} names no stream; it is /APP/STREAM.flv, or the door's live_path")
    port = read_parameters(arguments, ("port",)).get("port", "")
    return SignedParts(path, query.src or "", port, query.app, query.stream)


def _rtmp_parts(url: str) -> SignedParts:
    parsed = parse_url(url)
    app, app_query = split_query(parsed.app)
    stream, query = split_query(parsed.stream)
    if not is_name(app) or not is_name(stream):
        raise ValueError("an RTMP stream's URL is rtmp://HOST/APP/STREAM, of letters, digits and . _ ~ - @")
    src = read_parameters("&".join(filter(None, (app_query, query))), ("src",)).get("src", "")
    return SignedParts(RTMP_PATH, unquote(src), "", app, stream)


def _key(chosen: argparse.Namespace) -> tuple[str, SignKey]:
    """The key's id and the key.

    Raises:
        ConfigError, ValueError: there is none to sign with.
    """
    if chosen.address is not None:
        try:
            ipaddress.ip_address(chosen.address)
        except ValueError:
            raise ValueError(f"--address: {chosen.address!r} is no IP address") from None
    if chosen.key is not None:
        if chosen.config is not None:
            raise ValueError("--key takes the place of --config: give one of the two")
        if chosen.kid is None or not _KEY_ID.fullmatch(chosen.kid):
            raise ValueError("--key goes with --kid, the id that the door knows it by: letters, digits and . _ ~ - @")
        if not chosen.key:
            raise ValueError("--key is empty; give the secret that the door knows by --kid")
        return chosen.kid, SignKey(chosen.key.encode(), address=chosen.address is not None)
    file = chosen.config or (_DEFAULT_FILE if _DEFAULT_FILE.exists() else None)
    settings = load_settings(flags={}, environ=os.environ, file=file)
    keys = settings.for_app(_signed_parts(chosen.url).app).play.sign_keys
    if not keys:
        where = "" if file is None else f" in {file}"
        raise ValueError(f"there is no key{where}: name the door's file with --config, or give --kid and --key")
    kid = chosen.kid if chosen.kid is not None or len(keys) > 1 else next(iter(keys))
    if kid not in keys:
        raise ValueError(f"--kid: the keys of the configuration are {', '.join(keys)}; say which")
    if keys[kid].address != (chosen.address is not None):
        raise ValueError(
            f"the key {kid} is for one viewer's address: give it with --address"
            if keys[kid].address
            else f"the key {kid} is for no address: leave --address out, or set address = true in the configuration"
        )
    return kid, SignKey(keys[kid].secret.get_secret_value().encode(), keys[kid].address)


def _duration(text: str) -> int:
    match = _DURATION.fullmatch(text)
    duration_s = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 0 < duration_s <= _LONGEST_S:
        raise argparse.ArgumentTypeError(f"takes a time such as 90s, 30m, 12h or 7d, at most 36500d, not {text!r}")
    return duration_s
