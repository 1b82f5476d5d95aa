"""Signed URLs: what is signed, byte for byte, and what does not pass."""

import base64
import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splice.access import AccessRefusedError, Signatures, SignedParts, SignKey, signed_query

NOW = 1_800_000_000
PARTS = SignedParts(path="/live", src="a", port="1935", app="myapp", stream="test")
KEYS = {"k1": SignKey(b"secret"), "k2": SignKey(b"other"), "here": SignKey(b"secret", address=True)}
VIEWER = "192.0.2.7"


def signatures(now: float = NOW) -> Signatures:
    return Signatures(KEYS, clock=lambda: now)


def given_in(query: str) -> dict[str, str]:
    return dict(field.split("=", 1) for field in query.split("&"))


def signed(
    kid: str = "k1", parts: SignedParts = PARTS, *, exp: int = NOW + 60, address: str = VIEWER
) -> dict[str, str]:
    return given_in(signed_query(KEYS[kid], kid, parts, exp=exp, address=address))


def refusal(
    given: dict[str, str], parts: SignedParts = PARTS, *, now: float = NOW, address: str = VIEWER
) -> AccessRefusedError:
    with pytest.raises(AccessRefusedError) as caught:
        signatures(now).check(given, parts, address)
    assert caught.value.detail[:1].islower()  # the doors give a sentence its capital
    assert "secret" not in str(caught.value)
    return caught.value


def by_hand(secret: bytes, text: str) -> str:
    return base64.urlsafe_b64encode(hmac.new(secret, text.encode(), hashlib.sha256).digest()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("kid", "parts", "text"),
    [
        ("k1", PARTS, f"/live\na\n1935\nmyapp\ntest\n{NOW}\nk1"),
        ("k1", SignedParts("/live", "", "", "myapp", "test"), f"/live\n\n\nmyapp\ntest\n{NOW}\nk1"),
        ("k2", SignedParts("rtmp", "", "", "myapp", "test"), f"rtmp\n\n\nmyapp\ntest\n{NOW}\nk2"),
        ("here", PARTS, f"/live\na\n1935\nmyapp\ntest\n{NOW}\nhere\n{VIEWER}"),
    ],
)
def test_the_canonical_string_is_the_contract_s(kid: str, parts: SignedParts, text: str) -> None:
    sig = by_hand(KEYS[kid].secret, text)
    assert len(sig) == 43
    assert signed_query(KEYS[kid], kid, parts, exp=NOW, address=VIEWER) == f"kid={kid}&exp={NOW}&sig={sig}"


def test_a_vector_that_other_languages_may_check_themselves_against() -> None:
    query = signed_query(SignKey(b"secret"), "k1", PARTS, exp=1800000000)
    assert query == "kid=k1&exp=1800000000&sig=" + VECTOR


# printf '/live\na\n1935\nmyapp\ntest\n1800000000\nk1' | openssl dgst -sha256 -hmac secret -binary | basenc --base64url
VECTOR = "vmNvHPNHYIzVfGnYlVbkc7YfLqc1QApCFj2AsC93Z60"


@pytest.mark.parametrize("kid", list(KEYS))
def test_every_key_in_force_opens(kid: str) -> None:
    signatures().check(signed(kid), PARTS, VIEWER)


@pytest.mark.parametrize("address", ["::ffff:192.0.2.7", "192.0.2.7"])
def test_an_address_counts_however_it_is_written(address: str) -> None:
    signatures().check(signed("here"), PARTS, address)


def test_a_key_without_addresses_is_for_whoever_has_the_url() -> None:
    signatures().check(signed("k1"), PARTS, "198.51.100.1")


def test_a_key_with_addresses_is_for_one() -> None:
    error = refusal(signed("here"), address="198.51.100.1")
    assert (error.status, "for another URL or for another address than yours;" in error.detail) == (401, True)
    assert "for another URL;" in refusal({**signed("k1"), "sig": "A" * 43}).detail


@pytest.mark.parametrize("now", [NOW, NOW + 60])
def test_a_url_is_good_up_to_its_last_second(now: float) -> None:
    signatures(now).check(signed(), PARTS, VIEWER)


def test_an_expired_url_says_since_when_so_that_a_wrong_clock_is_seen() -> None:
    assert refusal(signed(exp=NOW), now=NOW + 0.5).status == 401
    error = refusal(signed(exp=NOW), now=NOW + 90)
    assert error.status == 401
    assert "until 90 seconds ago, by the door's clock" in error.detail


def test_a_forged_signature_is_not_told_that_it_would_be_too_late_as_well() -> None:
    assert "seconds ago" not in refusal({**signed(exp=1), "sig": "A" * 43}).detail


@pytest.mark.parametrize("part", ["path", "src", "port", "app", "stream"])
def test_every_part_is_signed(part: str) -> None:
    parts = {name: getattr(PARTS, name) for name in ("path", "src", "port", "app", "stream")}
    other = SignedParts(**{**parts, part: "9"})
    assert refusal(signed(), other).status == 401


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"kid": "k2"}, 401),
        ({"kid": "unknown"}, 401),
        ({"kid": ""}, 400),
        ({"kid": "k%0a1"}, 400),
        ({"kid": "k 1"}, 400),
        ({"kid": "k" * 129}, 400),
        ({"exp": str(NOW + 61)}, 401),
        ({"exp": f"0{NOW + 60}"}, 401),
        ({"exp": "9" * 13}, 400),
        ({"exp": ""}, 400),
        ({"exp": "-1"}, 400),
        ({"exp": "+1"}, 400),
        ({"exp": "1e9"}, 400),
        ({"exp": "%D9%A1"}, 400),  # ARABIC-INDIC DIGIT ONE, which is a digit to some
        ({"exp": "1%0a"}, 400),
        ({"sig": ""}, 401),
        ({"sig": "A" * 43}, 401),
        ({"sig": "%C3%A9"}, 401),
        ({"sig": "%FF%00"}, 401),
        ({"sig": "\ud800"}, 401),
    ],
)
def test_what_is_not_right_to_the_letter_is_refused(change: dict[str, str], status: int) -> None:
    error = refusal({**signed(), **change})
    says = "the sig was made with another key" if status == 401 else f"the parameter {next(iter(change))} takes"
    assert (error.status, says in error.detail) == (status, True)


def test_padding_is_not_the_signature() -> None:
    given = signed()
    assert refusal({**given, "sig": given["sig"] + "="}).status == 401


def test_plain_characters_may_be_encoded() -> None:
    given = signed()
    signatures().check({**given, "kid": "%6b1"}, PARTS, VIEWER)


@pytest.mark.parametrize("missing", ["kid", "exp", "sig"])
def test_a_part_that_is_missing_is_named(missing: str) -> None:
    given = signed()
    del given[missing]
    error = refusal(given)
    assert (error.status, f"here {missing} is missing" in error.detail) == (401, True)


def test_a_url_that_is_not_signed_is_told_so() -> None:
    error = refusal({})
    assert (error.status, "takes a signed URL" in error.detail) == (401, True)


@pytest.mark.parametrize("port", ["1935\nmyapp", "1935%0a", "x", "123456"])
def test_a_port_that_could_hold_another_field_is_refused(port: str) -> None:
    parts = SignedParts("/live", "", port, "myapp", "test")
    error = refusal(signed(parts=parts), parts)
    assert (error.status, "the parameter port takes" in error.detail) == (400, True)


def test_a_key_shows_no_secret_when_it_is_printed() -> None:
    assert "secret" not in repr(SignKey(b"secret"))


NAME = st.from_regex(r"[A-Za-z0-9._~@-]{1,8}", fullmatch=True)
OPTIONAL_NAME = st.one_of(st.just(""), NAME)
ANY_PARTS = st.builds(
    SignedParts,
    st.sampled_from(["/live", "rtmp", "/a/b.flv"]),
    OPTIONAL_NAME,
    st.sampled_from(["", "1", "1935"]),
    NAME,
    NAME,
)


@given(ANY_PARTS, ANY_PARTS, st.sampled_from(list(KEYS)))
def test_a_signature_opens_what_it_was_made_for_and_nothing_else(
    made: SignedParts, asked: SignedParts, kid: str
) -> None:
    if made == asked:
        signatures().check(signed(kid, made), asked, VIEWER)
    else:
        refusal(signed(kid, made), asked)


@given(st.dictionaries(st.sampled_from(["kid", "exp", "sig"]), st.text(max_size=50)))
def test_whatever_is_given_the_answer_is_a_refusal(given: dict[str, Any]) -> None:
    assert refusal(given).status in (400, 401)
