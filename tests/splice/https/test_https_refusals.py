"""Every refusal of the plain door again by TLS, in HTTP/1.1 and in HTTP/2, but for the rows that are Hypercorn's."""

import json

import pytest
from trio.testing import MockClock

from tests.splice.https.https_house import open_https
from tests.splice.https.test_https_door import Ask, ask_http1, ask_http2
from tests.splice.hub.servers import mute
from tests.splice.test_door_refusals import REFUSED

# What these say is about the bytes of a head, which Hypercorn's parsers read here; test_https_door says what they do.
HYPERCORNS = {
    "get",
    "CONNECT",
    "a target that never ends",
    "a field of 20 KiB",
    "65 fields",
    "HTTP/2.0",
    "HTTP/2's preface",
}


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
def ask(request: pytest.FixtureRequest) -> Ask:
    return ask_http1 if request.param == "HTTP/1.1" else ask_http2


@pytest.mark.parametrize(("request_", "status", "says"), [row for row in REFUSED if row.id not in HYPERCORNS])
async def test_a_refusal_of_the_plain_door_is_one_by_tls(
    ask: Ask, request_: bytes, status: int, says: str, autojump_clock: MockClock
) -> None:
    method, target, _ = request_.decode().split(" ", 2)
    async with open_https(mute()) as door:
        answer = await ask(door, target, method)
        assert answer.status == status
        assert says.lower() in json.loads(answer.body)["detail"].lower()
        assert answer.fields["access-control-allow-origin"] == "*"
        assert answer.fields.get("allow") == ("GET, HEAD, OPTIONS" if status == 405 else None)
        assert not door.origin.connections


def test_the_rows_that_are_left_out_are_there() -> None:
    assert {row.id for row in REFUSED} >= HYPERCORNS
