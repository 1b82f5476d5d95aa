"""Parameters out of a query, read in one way only, and taken out of it without a trace."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splice.access import AccessRefusedError, read_parameters
from splice.access.parameters import without_parameters

NAMES = ("kid", "exp", "sig")
ENCODED_NAMES = (b"kid", b"exp", b"sig")


def test_values_come_as_they_were_sent() -> None:
    assert read_parameters("a=1&sig=x%41=&kid&&exp=", NAMES) == {"sig": "x%41=", "kid": "", "exp": ""}


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("sig=a&sig=b", "sig is given twice"),
        ("sig=a&x=1&sig=a", "sig is given twice"),
        ("sig=a&%73ig=a", "sig is given twice"),
        ("sig=a&SIG=a", "sig is given twice"),
        ("exp=1&exp", "exp is given twice"),
        ("%73ig=a", "write the parameter's name as sig"),
        ("Kid=a", "write the parameter's name as kid"),
        ("e%78p=1", "write the parameter's name as exp"),
    ],
)
def test_what_another_reader_could_read_otherwise_is_refused(query: str, says: str) -> None:
    with pytest.raises(AccessRefusedError, match=says) as caught:
        read_parameters(query, NAMES)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("target", "left"),
    [
        (b"/live?app=a&stream=b&kid=1&exp=2&sig=3", b"/live?app=a&stream=b"),
        (b"/live?kid=1&exp=2&sig=3&app=a&stream=b", b"/live?app=a&stream=b"),
        (b"/live?app=a&kid=1&exp=2&stream=b&sig=3&port=4", b"/live?app=a&stream=b&port=4"),
        (b"/a/b.flv?kid=1&exp=2&sig=3", b"/a/b.flv"),
        (b"/live?app=a&&sig=3&b", b"/live?app=a&&b"),
        (b"/live?app=a&sig=3&", b"/live?app=a&"),
        (b"/live?sig", b"/live"),
        (b"/live?", b"/live?"),
        (b"/live", b"/live"),
        (b"/sig=1?sigs=1&x=sig=2&;sig=3", b"/sig=1?sigs=1&x=sig=2&;sig=3"),
        (b"/live?a=1?sig=2&sig=3", b"/live?a=1?sig=2"),
    ],
)
def test_parameters_go_with_one_separator_each(target: bytes, left: bytes) -> None:
    assert without_parameters(target, ENCODED_NAMES) == left


FIELDS = st.lists(
    st.one_of(
        st.sampled_from([b"sig=x", b"kid=k", b"exp=1", b"sig", b"sig=a=b", b"", b"sigh=1", b"a=sig", b"a=%26sig=1"]),
        st.from_regex(rb"[!-%'->@-~]{1,8}", fullmatch=True),
    ),
    max_size=8,
)


@given(st.from_regex(rb"/[a-z.=]{0,6}", fullmatch=True), FIELDS)
def test_all_other_bytes_stay_in_their_order(path: bytes, fields: list[bytes]) -> None:
    target = path + b"?" + b"&".join(fields)
    left = without_parameters(target, ENCODED_NAMES)
    others = [field for field in fields if field.partition(b"=")[0] not in ENCODED_NAMES]
    assert left.partition(b"?")[0] == path
    assert left.partition(b"?")[2] == b"&".join(others)
    assert (b"?" in left) == (bool(others) or not fields)
    rest = iter(target)
    assert all(byte in rest for byte in left)  # a subsequence: nothing was added, nothing changed its place
    if b"" not in fields:
        assert b"&&" not in left
        assert b"?&" not in left
        assert not left.endswith(b"&")
    assert without_parameters(left, ENCODED_NAMES) == left
