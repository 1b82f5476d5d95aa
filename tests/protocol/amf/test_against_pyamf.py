"""What we encode PyAMF decodes to the same values, and we what it encodes (PyPI's Py3AMF: PyAMF for Python 3).

PyAMF has served Flash for fifteen years, and shares nothing with us but the documents. Where the two differ stands in
docs/conformance.md.
"""

import datetime
import sys
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.amf import UNDEFINED, Date, EcmaArray, amf0, amf3

from .graph import same

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it is of the age of Python 2, and warns of itself
    import pyamf
    import pyamf.amf3

    pyamf.encode(pyamf.ASObject())  # looks for libraries of XML, whose names are old as well
sys.meta_path[:] = [finder for finder in sys.meta_path if not type(finder).__module__.startswith("pyamf")]

pytestmark = pytest.mark.filterwarnings("ignore:.*utc.*:DeprecationWarning")

EPOCH = datetime.datetime(1970, 1, 1)  # PyAMF's moments have no zone, and mean UTC

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = texts.filter(lambda name: name and not name.lstrip("-+_").isdigit())  # PyAMF takes "1" for 1
dates = st.builds(Date, st.integers(0, 4_000_000_000_000).map(float))
scalars = st.one_of(st.none(), st.booleans(), st.just(UNDEFINED), st.floats(allow_nan=False), texts)


def trees(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def containers(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        members = st.dictionaries(names, items, max_size=4)
        arrays = st.dictionaries(names, items, min_size=1, max_size=4).map(EcmaArray)
        return st.one_of(st.lists(items, max_size=4), members, arrays)

    return st.recursive(leaves, containers, max_leaves=12)


def for_pyamf(value: Any) -> Any:
    """The same value in PyAMF's types."""
    match value:
        case EcmaArray():
            return pyamf.MixedArray({name: for_pyamf(item) for name, item in value.items()})
        case dict():
            return pyamf.ASObject({name: for_pyamf(item) for name, item in value.items()})
        case list():
            return [for_pyamf(item) for item in value]
        case Date():
            return EPOCH + datetime.timedelta(milliseconds=value.unix_ms)
        case bytes():
            return pyamf.amf3.ByteArray(value)
    return pyamf.Undefined if value is UNDEFINED else value


def of_pyamf(value: Any) -> Any:
    """PyAMF's value in our types."""
    match value:
        case pyamf.MixedArray():
            return EcmaArray({name: of_pyamf(item) for name, item in value.items()})
        case dict():
            return {name: of_pyamf(item) for name, item in value.items()}
        case list():
            return [of_pyamf(item) for item in value]
        case datetime.datetime():
            return Date(round((value - EPOCH) / datetime.timedelta(milliseconds=1)))
        case pyamf.amf3.ByteArray():
            return value.getvalue()
    return UNDEFINED if value is pyamf.Undefined else value


def rounded(value: Any) -> Any:
    """A date of PyAMF's comes in seconds, times a thousand, and may be a millionth of a millisecond off."""
    match value:
        case EcmaArray():
            return EcmaArray({name: rounded(item) for name, item in value.items()})
        case dict():
            return {name: rounded(item) for name, item in value.items()}
        case list():
            return [rounded(item) for item in value]
        case Date():
            return Date(round(value.unix_ms))
    return value


def alike(left: Any, right: Any) -> bool:
    return same(rounded(left), rounded(right), numbers=True, identity=False)


@given(trees(scalars | dates))
def test_pyamf_decodes_our_amf0(value: Any) -> None:
    decoded = list(pyamf.decode(amf0.encode_all([value]), encoding=pyamf.AMF0))
    assert alike([of_pyamf(each) for each in decoded], [value])


@given(trees(scalars | dates))
def test_we_decode_the_amf0_of_pyamf(value: Any) -> None:
    written = pyamf.encode(for_pyamf(value), encoding=pyamf.AMF0).getvalue()
    assert alike(amf0.decode_all(written), [value])


@given(trees(scalars | dates | st.integers(-(2**28), 2**28 - 1) | st.binary(max_size=20)))
def test_pyamf_decodes_our_amf3(value: Any) -> None:
    decoded = list(pyamf.decode(amf3.encode_all([value]), encoding=pyamf.AMF3))
    assert alike([of_pyamf(each) for each in decoded], [value])


@given(trees(scalars | dates | st.integers(-(2**28), 2**28 - 1) | st.binary(max_size=20)))
def test_we_decode_the_amf3_of_pyamf(value: Any) -> None:
    written = pyamf.encode(for_pyamf(value), encoding=pyamf.AMF3).getvalue()
    assert alike(amf3.decode_all(written), [value])


@pytest.mark.parametrize(("codec", "encoding"), [(amf0, pyamf.AMF0), (amf3, pyamf.AMF3)])
@pytest.mark.parametrize("shared", [{"a": 1.0}, [1.0]])
def test_what_is_one_container_to_one_is_one_to_the_other(codec: Any, encoding: int, shared: Any) -> None:
    first, second = next(pyamf.decode(codec.encode_all([[shared, shared]]), encoding=encoding))
    assert first is second
    theirs = for_pyamf(shared)
    first, second = codec.decode_all(pyamf.encode([theirs, theirs], encoding=encoding).getvalue())[0]
    assert first is second


def test_pyamf_counts_a_date_among_what_an_amf0_reference_may_name() -> None:
    """AMF 0, 2.9 names four types that may be referred to, and a date is none; PyAMF misreads what it writes itself."""
    moment, shared = EPOCH, pyamf.ASObject(a=1.0)
    written = pyamf.encode([moment, shared, shared], encoding=pyamf.AMF0).getvalue()
    assert amf0.decode_all(written) == [[Date(0.0), {"a": 1.0}, {"a": 1.0}]]
    assert next(pyamf.decode(written, encoding=pyamf.AMF0))[2] == moment
