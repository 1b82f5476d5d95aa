"""AMF 0, the format of commands and script data (protocol/amf/amf0.py).

Invariant: any bytes decode to values, or raise `RemoteProtocolError`. What was decoded encodes, and that decodes to the
same values (what came in AMF 3 may go out in AMF 0, where integers are numbers). There are never more containers than
bytes: what a message says of its size is not believed.
"""

from typing import Final

from fuzz.amf_graph import count_containers
from protocol import RemoteProtocolError
from protocol.amf import SINGLE_VALUE, amf0
from tests.protocol.amf.graph import same

CODE: Final = ("protocol/amf/_amf0_decoder.py", "protocol/amf/_amf0_encoder.py")
MAX_BYTES: Final = 256
_REGISTRY: Final = {"E": SINGLE_VALUE}


def check(data: bytes) -> None:
    try:
        values = amf0.decode_all(data, externalizables=_REGISTRY)
    except RemoteProtocolError as error:
        assert error.spec.startswith("AMF "), error.spec
        return
    assert count_containers(values) <= len(data), "more containers than bytes"
    encoded = amf0.encode_all(values, externalizables=_REGISTRY)
    again = amf0.decode_all(encoded, externalizables=_REGISTRY)
    assert same(again, values, numbers=True, identity=False), f"{values} comes back as {again}"
