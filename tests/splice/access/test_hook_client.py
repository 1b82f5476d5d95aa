"""A callback on the wire: what an answer means, whom a call waits for, and what is said of one that failed."""

from contextlib import nullcontext
from functools import partial

import pytest
import trio

from splice.access.hook_client import HookAnswer, HookClient, HookFailedError
from tests.splice.access.hook_server import open_hook_server


@pytest.mark.parametrize(
    ("status", "allows", "redirects"),
    [(200, True, False), (299, True, False), (300, False, True), (399, False, True), (400, False, False)],
)
def test_the_first_digit_says_what_an_answer_means(status: int, allows: bool, redirects: bool) -> None:
    answer = HookAnswer(status, "test")
    assert (answer.allows, answer.redirects) == (allows, redirects)


async def test_calls_wait_for_each_other_in_the_door_s_own_lines_alone() -> None:
    async with open_hook_server("hang") as server, trio.open_nursery() as nursery:
        client = HookClient(user_agent="splice/test")
        for _ in range(120):  # more than httpx lets pass by itself
            nursery.start_soon(partial(client.post, nullcontext(), server.url, b"call=play", timeout_s=60))
        await server.called(120)
        nursery.cancel_scope.cancel()


async def test_a_proxy_that_the_environment_names_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with open_hook_server() as server:
        answer = await HookClient(user_agent="splice/test").post(nullcontext(), server.url, b"call=play", timeout_s=60)
    assert answer.allows


class FailsToOpen:
    """A turn that never comes, for this reason."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def __aenter__(self) -> None:
        raise self.error

    async def __aexit__(self, *details: object) -> None:
        pass


def chained(outer: Exception, *, cause: Exception | None = None, context: Exception | None = None) -> Exception:
    outer.__cause__, outer.__context__ = cause, context
    return outer


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError("the cable is out"), "the cable is out"),
        (ConnectionResetError(), "ConnectionResetError"),
        (chained(OSError("no luck"), cause=ValueError("expired")), "expired"),
        (chained(OSError("no luck"), context=ValueError("expired")), "expired"),
        (chained(OSError("no luck"), cause=chained(OSError("lost"), context=ValueError("expired"))), "expired"),
        (chained(OSError("no luck"), cause=chained(OSError("lost"), context=ValueError())), "lost"),
    ],
)
async def test_the_innermost_fault_that_has_words_says_why(error: Exception, says: str) -> None:
    with pytest.raises(HookFailedError) as caught:
        await HookClient(user_agent="splice/test").post(
            FailsToOpen(error), "http://127.0.0.1:1/", b"call=play", timeout_s=60
        )
    assert str(caught.value) == says
