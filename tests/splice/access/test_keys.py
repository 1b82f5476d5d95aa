"""Stream keys: who names the key publishes, and nobody is told what it is."""

import pytest

from splice.access import AccessRefusedError, PublishRequest, StreamKeys

KEY = "s3cr&t+key"
KEYS = StreamKeys({"myapp/test": KEY})


def request(arguments: str, stream: str = "test") -> PublishRequest:
    return PublishRequest(client_id="p1", address="127.0.0.1", app="myapp", stream=stream, arguments=arguments)


@pytest.mark.parametrize("arguments", ["key=s3cr%26t+key", "a=1&key=s3cr%26t%2bkey&b"])
def test_the_key_opens_its_stream(arguments: str) -> None:
    KEYS.check(request(arguments))


@pytest.mark.parametrize("arguments", ["", "key=whatever"])
def test_a_stream_without_a_key_needs_none(arguments: str) -> None:
    KEYS.check(request(arguments, stream="other"))


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ("", 403),
        ("kei=s3cr%26t+key", 403),
        ("key=", 403),
        ("key=s3cr&t+key", 403),
        ("key=s3cr%26t+ke", 403),
        ("key=s3cr%26t+keyy", 403),
        ("key=%C3%A9", 403),
        ("key=\ud800", 403),
        ("key=s3cr%26t+key&key=x", 400),
        ("key=s3cr%26t+key&%6bey=x", 400),
        ("KEY=s3cr%26t+key", 400),
    ],
)
def test_every_other_word_is_refused(arguments: str, status: int) -> None:
    with pytest.raises(AccessRefusedError) as caught:
        KEYS.check(request(arguments))
    assert caught.value.status == status
    assert "s3cr" not in str(caught.value)
    if status == 403:
        assert "[publish] keys" in caught.value.detail


@pytest.mark.parametrize("stream", ["test", "other", "a.b"])
def test_the_key_of_an_application_opens_every_stream_of_it(stream: str) -> None:
    keys = StreamKeys({"myapp/*": KEY})
    keys.check(request("key=s3cr%26t+key", stream))
    with pytest.raises(AccessRefusedError):
        keys.check(request("key=x", stream))


@pytest.mark.parametrize("keys", [{"myapp/*": "all", "myapp/test": "own"}, {"myapp/test": "own", "myapp/*": "all"}])
def test_a_streams_own_key_wins_over_its_applications(keys: dict[str, str]) -> None:
    checked = StreamKeys(keys)
    checked.check(request("key=own"))
    checked.check(request("key=all", stream="other"))
    for key, stream in (("all", "test"), ("own", "other")):
        with pytest.raises(AccessRefusedError):
            checked.check(request(f"key={key}", stream))


def test_the_key_of_an_application_is_for_no_other() -> None:
    StreamKeys({"other/*": KEY, "my/*": KEY}).check(request(""))
