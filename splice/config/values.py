"""The kinds of values that keys take: each checks one, and says in one sentence what would be right.

What stands here is used as the type of a key in `settings`. A list may be given as its only element, so that an
environment variable can set it without brackets.
"""

import re
import ssl
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, SecretStr

from splice.config.addresses import ListenAddress, OriginAddress
from splice.config.forward_url import check_forward_url, keyless, parse_forward_url
from splice.config.targets import check_target
from splice.trust import trusting

__all__ = [
    "SECURE_LINK_VARIABLE",
    "ByteCount",
    "Count",
    "ForwardUrl",
    "HookUrl",
    "HostNames",
    "ListenAddressOrNone",
    "ListenAddresses",
    "LivePaths",
    "MediaListeners",
    "Network",
    "Networks",
    "OriginName",
    "OriginUrl",
    "OriginUrls",
    "Ports",
    "RequiredSecret",
    "Seconds",
    "SecondsOrNone",
    "Secret",
    "SecretFile",
    "SecureLinkExpression",
    "StreamName",
    "StreamNames",
    "StreamsName",
    "Target",
    "WebOrigins",
    "WrongBesideOthersError",
    "check_certificate",
    "read_secret",
    "trusting_authority",
]

Network = IPv4Network | IPv6Network


class WrongBesideOthersError(ValueError):
    """A value that is right by itself, and wrong beside what other keys say; `key` is the one to look at, as a path."""

    def __init__(self, key: str | tuple[str, ...], problem: str) -> None:
        super().__init__(problem)
        self.key: Final = (key,) if isinstance(key, str) else key


_NAME: Final = re.compile(r"[A-Za-z0-9._~@-]{1,128}")
_PATH: Final = re.compile(r"/[A-Za-z0-9._~@!$&'()*+,;=:/-]+")
_WEB_ORIGIN: Final = re.compile(r"https?://(?:\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::[0-9]{1,5})?")
_STREAM_NAME: Final = re.compile(rf"{_NAME.pattern}/{_NAME.pattern}")
_HOST_NAME: Final = re.compile(r"[a-z0-9_.-]{1,253}|\[[0-9a-f:.]+\]")
_HOOK_URL: Final = re.compile(
    r"https?://(?:[^/?#@]*@)?(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]{1,253})(?::[0-9]{1,5})?(?:[/?][\x21-\x7e]*)?"
)
_SECRET: Final = re.compile(r"[\x21-\x7e]+")

SECURE_LINK_VARIABLE: Final = re.compile(r"\$(?:\{([A-Za-z0-9_]*)\}|([A-Za-z0-9_]*))")
"""A variable in an expression, as nginx writes it: `$name` or `${name}`."""
_KNOWN_VARIABLE: Final = re.compile(r"secure_link_expires|uri|remote_addr|arg_[A-Za-z0-9_]+")
_EXPIRY_VARIABLES: Final = frozenset({"secure_link_expires", "arg_expires"})
_MEDIA_LISTENERS: Final = ("http", "https", "rtmp", "rtmps")


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str | int) and not isinstance(value, bool) else value


def _no_truth(value: object) -> object:
    if isinstance(value, bool):  # which Python takes for 0 and 1
        raise ValueError(f"takes a number, not {str(value).lower()}")  # noqa: TRY004 -- pydantic reports ValueError alone
    return value


def _all_or_some(value: object) -> object:
    if value is True or value == "true":
        return _MEDIA_LISTENERS
    return () if value is False or value == "false" else value


def _listen_address(value: object) -> object:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str):
        ListenAddress.parse(text)
    return text


def _live_path(value: str) -> str:
    if not _PATH.fullmatch(value) or value.startswith("/-/"):
        raise ValueError(f"{value!r} is not a path such as /live (paths under /-/ are the door's own)")
    return value


def _web_origin(value: str) -> str:
    if value != "*" and not _WEB_ORIGIN.fullmatch(value):
        raise ValueError(f'{value!r} is neither "*" nor an origin as browsers send it, such as https://example.org')
    return value


def _network(value: object) -> object:
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    if not isinstance(value, str):
        raise ValueError("takes texts such as 10.0.0.0/8")  # noqa: TRY004 -- pydantic reports ValueError alone
    try:
        return ip_network(value)
    except ValueError:
        pass
    try:
        meant = f"; did you mean {ip_network(value, strict=False)}?"
    except ValueError:
        meant = ""
    raise ValueError(f"{value!r} is not a network such as 10.0.0.0/8, nor an address{meant}")


def _origin_name(value: str) -> str:
    if not _NAME.fullmatch(value) or value in (".", ".."):
        raise ValueError(f"{value!r} is not a name: 1 to 128 characters out of letters, digits and . _ ~ - @")
    return value


def _origin_url(value: str) -> str:
    OriginAddress.parse(value)
    return value


def _origin_url_or_none(value: str) -> str:
    return value and _origin_url(value)


def _forward_url(value: str) -> str:
    check_forward_url(value)
    return value


def _hook_url(value: str) -> str:
    if value and (not _HOOK_URL.fullmatch(value) or "#" in value):
        raise ValueError("a hook is http://host[:port]/path or https://host[:port]/path")
    return value


def _stream_name(value: str) -> str:
    if not _STREAM_NAME.fullmatch(value) or {".", ".."} & set(value.split("/")):
        raise ValueError(f"{value!r} is not APP/STREAM, such as myapp/test")
    return value


def _streams_name(value: str) -> str:
    app, _, stream = value.partition("/")
    if stream != "*" or not _NAME.fullmatch(app) or app in (".", ".."):
        try:
            return _stream_name(value)
        except ValueError as error:
            raise ValueError(f"{error}, or APP/*") from None
    return value


def _target(value: str) -> str:
    if value:
        check_target(value)
    return value


def _host_name(value: str) -> str:
    name = value.lower().removesuffix(".")
    if not _HOST_NAME.fullmatch(name):
        raise ValueError(f"{value!r} is not the name of a host, such as splice.example.org, without a port")
    return name


def _secret_text(value: object) -> object:
    if isinstance(value, dict) and value.keys() == {"file"} and isinstance(value["file"], str):
        return _read_line(value["file"])
    if not isinstance(value, str | SecretStr):  # said without the value, which pydantic's own sentence would show
        raise ValueError('takes a text in quotes, or { file = "..." }')  # noqa: TRY004 -- pydantic reports ValueError alone
    return value


def _secret(value: SecretStr) -> SecretStr:
    if value.get_secret_value() and not _SECRET.fullmatch(value.get_secret_value()):
        raise ValueError("a secret has no spaces, and only characters of ASCII")
    return value


def _required_secret(value: SecretStr) -> SecretStr:
    if not value.get_secret_value():
        raise ValueError("is empty, and nothing would be secret")
    return _secret(value)


def _secure_link(value: SecretStr) -> SecretStr:
    expression = value.get_secret_value()
    variables = {match[1] or match[2] or "" for match in SECURE_LINK_VARIABLE.finditer(expression)}
    unknown = sorted(name for name in variables if not _KNOWN_VARIABLE.fullmatch(name))
    if unknown:
        # A secret with a $ in it would be shown here, so what follows the $ is not.
        raise ValueError("knows $secure_link_expires, $uri, $remote_addr and $arg_NAME, and no other variable")
    if expression and not variables & _EXPIRY_VARIABLES:
        raise ValueError("names no $secure_link_expires, and so anyone could put off the end of a link")
    return value


def _secret_file(value: str) -> str:
    if value:
        read_secret(value)
    return value


def _read_line(file: str) -> str:
    try:
        return Path(file).read_text(encoding="ascii").strip()
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError:
        return ""


def read_secret(file: str) -> str:
    """The secret that stands in `file`, without the space around it.

    Raises:
        ValueError: it cannot be read, or is none.
    """
    secret = _read_line(file)
    if not _SECRET.fullmatch(secret):
        raise ValueError(f"{file} holds no secret, which is one word of ASCII")
    return secret


def trusting_authority(file: str) -> ssl.SSLContext:
    """What trusts the certificates in a PEM file.

    Raises:
        WrongBesideOthersError: there are none in it.
    """
    try:
        return trusting(file)
    except ssl.SSLError:
        raise WrongBesideOthersError("tls_ca", f"{file} holds no certificate in PEM") from None
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise WrongBesideOthersError("tls_ca", f"{file} cannot be read: {why}") from None


def check_certificate(cert: str, key: str) -> None:
    """Make sure that two files are a certificate chain and its key, in PEM.

    Raises:
        WrongBesideOthersError: they are not; of the one that is wrong.
    """
    for name, file in (("cert", cert), ("key", key)):
        try:
            Path(file).read_bytes()
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise WrongBesideOthersError(name, f"{file} cannot be read: {why}") from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key, password=lambda: "")  # or OpenSSL asks the terminal
    except (OSError, ValueError) as error:
        if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            raise WrongBesideOthersError("key", f"{key} is not the key of the certificate in {cert}") from None
        encrypted = b"ENCRYPTED" in Path(key).read_bytes()
        if encrypted:
            raise WrongBesideOthersError("key", f"{key} is encrypted; give the key without a password") from None
        raise WrongBesideOthersError(
            "cert", f"{cert} and {key} are not a certificate and its key in PEM, the certificate before its issuers'"
        ) from None


_OneOrMany: Final = BeforeValidator(_one_or_many)
_Number: Final = BeforeValidator(_no_truth)

# Bounds that no process of one core could fill: a slip of the keyboard is told, and not found out at night.
Count = Annotated[int, _Number, Field(le=1_000_000)]
ByteCount = Annotated[int, _Number, Field(le=1 << 30)]
Seconds = Annotated[float, _Number, Field(gt=0, le=86400)]
SecondsOrNone = Annotated[float, _Number, Field(ge=0, le=86400)]
ListenAddresses = Annotated[tuple[Annotated[str, BeforeValidator(_listen_address)], ...], _OneOrMany]
MediaListeners = Annotated[
    tuple[Literal["http", "https", "rtmp", "rtmps"], ...], _OneOrMany, BeforeValidator(_all_or_some)
]
LivePaths = Annotated[tuple[Annotated[str, AfterValidator(_live_path)], ...], _OneOrMany]
WebOrigins = Annotated[tuple[Annotated[str, AfterValidator(_web_origin)], ...], _OneOrMany]
Networks = Annotated[tuple[Annotated[Network, BeforeValidator(_network)], ...], _OneOrMany]
Ports = Annotated[tuple[Annotated[int, _Number, Field(ge=1, le=65535)], ...], _OneOrMany]
OriginName = Annotated[str, AfterValidator(_origin_name)]
OriginUrl = Annotated[str, AfterValidator(_origin_url_or_none)]
OriginUrls = Annotated[tuple[Annotated[str, AfterValidator(_origin_url)], ...], _OneOrMany]
ForwardUrl = Annotated[
    str,
    AfterValidator(_forward_url),
    PlainSerializer(lambda url: str(keyless(parse_forward_url(url))), return_type=str),
]
Target = Annotated[str, AfterValidator(_target)]
ListenAddressOrNone = Annotated[str, BeforeValidator(lambda value: value if value == "" else _listen_address(value))]
HostNames = Annotated[tuple[Annotated[str, AfterValidator(_host_name)], ...], _OneOrMany]
SecretFile = Annotated[str, AfterValidator(_secret_file)]
_SecretText: Final = BeforeValidator(_secret_text)
_Hidden: Final = PlainSerializer(lambda secret: "***" if secret.get_secret_value() else "", return_type=str)

Secret = Annotated[SecretStr, _SecretText, AfterValidator(_secret), _Hidden]
RequiredSecret = Annotated[SecretStr, _SecretText, AfterValidator(_required_secret), _Hidden]
SecureLinkExpression = Annotated[SecretStr, _SecretText, AfterValidator(_secure_link), _Hidden]
HookUrl = Annotated[str, AfterValidator(_hook_url)]
StreamName = Annotated[str, AfterValidator(_stream_name)]
StreamNames = Annotated[tuple[StreamName, ...], _OneOrMany]
StreamsName = Annotated[str, AfterValidator(_streams_name)]
