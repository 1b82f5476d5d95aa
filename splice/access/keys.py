"""Stream keys: a stream that has one is published by those alone who name it, `rtmp://door/APP/STREAM?key=KEY`.

A key is for one stream, or for all of an application that have none of their own.
"""

import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from splice.access.parameters import read_parameters
from splice.access.requests import AccessRefusedError, PublishRequest

__all__ = ["StreamKeys"]

_PARAMETER: Final = "key"


class StreamKeys:
    """Checks publishers' keys."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        """Args: each stream's key, by `APP/STREAM`, or `APP/*` for the others."""
        self._keys: Final = {name: key.encode() for name, key in keys.items()}

    def check(self, request: PublishRequest) -> None:
        """Make sure that a publisher names the stream's key, where it has one.

        Raises:
            AccessRefusedError: 400 or 403.
        """
        key = self._keys.get(f"{request.app}/{request.stream}", self._keys.get(f"{request.app}/*"))
        if key is None:
            return
        given = read_parameters(request.arguments, (_PARAMETER,)).get(_PARAMETER)
        if given is None:
            raise AccessRefusedError(
                403,
                f"the stream {request.app}/{request.stream} is published with its key, as rtmp://HOST/{request.app}/"
                f"{request.stream}?key=KEY: the operator has it in [publish] keys",
            )
        # Encoders send names as they are written, and some people encode them; a + is a + either way.
        if not hmac.compare_digest(unquote(given).encode("utf-8", "replace"), key):
            raise AccessRefusedError(
                403, f"this is not the key of {request.app}/{request.stream}: the operator has it in [publish] keys"
            )
