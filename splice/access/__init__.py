"""Who may publish and who may watch: addresses, stream keys, signed URLs and the operator's own callbacks.

A door describes who stands before it (`PlayRequest`, `PublishRequest`), and `Access` lets it pass or raises
`AccessRefusedError` with the sentence to say; nothing here knows whether a stream exists. Imports run down one chain:
``gate -> hooks, redirects, signatures, secure_link, keys -> rounds, hook_client, parameters, addresses -> requests``.
"""

from splice.access.addresses import AddressRules
from splice.access.gate import Access
from splice.access.hooks import HookCalls, Hooks
from splice.access.keys import StreamKeys
from splice.access.parameters import read_parameters
from splice.access.redirects import Forwarded, Pulled, Redirects, Renamed, Server
from splice.access.requests import RTMP_PATH, AccessRefusedError, Caller, PlayRequest, PublishRequest
from splice.access.secure_link import SecureLink
from splice.access.signatures import Signatures, SignedParts, SignKey, signed_query

__all__ = [
    "RTMP_PATH",
    "Access",
    "AccessRefusedError",
    "AddressRules",
    "Caller",
    "Forwarded",
    "HookCalls",
    "Hooks",
    "PlayRequest",
    "PublishRequest",
    "Pulled",
    "Redirects",
    "Renamed",
    "SecureLink",
    "Server",
    "SignKey",
    "Signatures",
    "SignedParts",
    "StreamKeys",
    "read_parameters",
    "signed_query",
]
