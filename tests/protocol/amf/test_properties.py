"""What holds for every value and any bytes: round trips of trees and of graphs, and mutation."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import LocalProtocolError, RemoteProtocolError
from protocol.amf import (
    SINGLE_VALUE,
    UNDEFINED,
    UNSUPPORTED,
    Date,
    Dictionary,
    EcmaArray,
    Externalizable,
    TypedObject,
    Vector,
    VectorType,
    Xml,
    XmlDocument,
    amf0,
    amf3,
)

from .graph import same

REGISTRY = {"E": SINGLE_VALUE, "": SINGLE_VALUE, "a": SINGLE_VALUE}

# Strings as the wire makes them: surrogates only where a byte was no UTF-8.
strings = st.one_of(st.text(max_size=20), st.binary(max_size=8).map(lambda raw: raw.decode("utf-8", "surrogateescape")))
names = strings.filter(bool)
doubles = st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack(">d", struct.pack(">Q", bits))[0]) | st.floats()
common = st.one_of(st.none(), st.booleans(), st.just(UNDEFINED), doubles, strings, st.builds(XmlDocument, strings))
scalars0 = common | st.just(UNSUPPORTED) | st.builds(Date, doubles, st.integers(-(2**15), 2**15 - 1))
scalars3 = st.one_of(
    common,
    st.integers(-(2**28), 2**28 - 1),
    st.builds(Date, doubles),
    st.builds(Xml, strings),
    st.binary(max_size=20),
    st.builds(Vector, st.just(VectorType.INT), st.lists(st.integers(-(2**31), 2**31 - 1), max_size=3), st.booleans()),
    st.builds(Vector, st.just(VectorType.UINT), st.lists(st.integers(0, 2**32 - 1), max_size=3), st.booleans()),
    st.builds(Vector, st.just(VectorType.DOUBLE), st.lists(doubles, max_size=3), st.booleans()),
)


def _containers0(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    members = st.dictionaries(strings, items, max_size=4)
    return st.one_of(
        st.lists(items, max_size=4), members, members.map(EcmaArray), st.builds(TypedObject, strings, members)
    )


@st.composite
def _typed_objects3(draw: st.DrawFn, items: st.SearchStrategy[Any]) -> TypedObject:
    sealed = draw(st.dictionaries(strings, items, max_size=3))
    dynamic = draw(st.booleans())
    more = draw(st.dictionaries(names, items, max_size=3)) if dynamic else {}
    class_name = draw(names if dynamic and not sealed else strings)  # an anonymous dynamic object is a dict
    return TypedObject(
        class_name, {**sealed, **{k: v for k, v in more.items() if k not in sealed}}, tuple(sealed), dynamic
    )


def _containers3(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    members = st.dictionaries(names, items, max_size=4)
    return st.one_of(
        st.lists(items, max_size=4),
        members,
        st.builds(EcmaArray, st.dictionaries(names, items, min_size=1, max_size=3), dense=st.lists(items, max_size=3)),
        _typed_objects3(items),
        st.builds(Externalizable, st.just("E"), items),
        st.builds(Vector, st.just(VectorType.OBJECT), st.lists(items, max_size=3), st.booleans(), strings),
        st.builds(Dictionary, st.lists(st.tuples(items, items), max_size=3), st.booleans()),
    )


values0 = st.recursive(scalars0, _containers0, max_leaves=12)
values3 = st.recursive(scalars3, _containers3, max_leaves=12)


def _decode0(data: bytes) -> list[Any]:
    return amf0.decode_all(data, externalizables=REGISTRY)


def _encode0(values: list[Any]) -> bytes:
    return amf0.encode_all(values, externalizables=REGISTRY)


def _decode3(data: bytes) -> list[Any]:
    return amf3.decode_all(data, externalizables=REGISTRY)


def _encode3(values: list[Any]) -> bytes:
    return amf3.encode_all(values, externalizables=REGISTRY)


@given(st.lists(values0, max_size=4))
def test_amf0_values_decode_to_what_was_encoded(values: list[Any]) -> None:
    data = _encode0(values)
    assert same(_decode0(data), values)
    assert _encode0(_decode0(data)) == data


@given(st.lists(values3, max_size=4))
def test_amf3_values_decode_to_what_was_encoded(values: list[Any]) -> None:
    data = _encode3(values)
    assert same(_decode3(data), values)
    assert _encode3(_decode3(data)) == data


@given(st.lists(values0 | values3.filter(lambda value: value is not None), max_size=4))
def test_amf3_values_amid_amf0_ones_come_back_but_for_the_type_of_numbers(values: list[Any]) -> None:
    decoded = _decode0(_encode0(values))
    assert same(decoded, values, numbers=True, identity=False)
    assert same(_decode0(_encode0(decoded)), decoded, numbers=True, identity=False)


@st.composite
def _graphs(draw: st.DrawFn, kinds: tuple[str, ...]) -> list[Any]:
    """Some containers, any of which may hold any, itself included."""
    nodes: list[Any] = [_NEW[draw(st.sampled_from(kinds))]() for _ in range(draw(st.integers(1, 6)))]
    for node in nodes:
        for position, index in enumerate(draw(st.lists(st.integers(0, len(nodes) - 1), max_size=3))):
            _put(node, f"member{position}", nodes[index])
    return nodes


_NEW: dict[str, Any] = {
    "list": list,
    "dict": dict,
    # AMF 3 has no associative array without names
    "ecma": lambda: EcmaArray({"name": 1.0}),
    "typed": lambda: TypedObject("T"),
    "sealed": lambda: TypedObject("S", {"sealed": None}, ("sealed",)),
    "external": lambda: Externalizable("E"),
    "vector": lambda: Vector(VectorType.OBJECT),
    "dictionary": Dictionary,
}


def _put(node: Any, name: str, value: Any) -> None:
    if isinstance(node, list):
        node.append(value)
    elif isinstance(node, dict):
        node[name] = value
    elif isinstance(node, TypedObject):
        node.members["sealed" if node.sealed else name] = value
    elif isinstance(node, Externalizable):
        node.content = value
    elif isinstance(node, Vector):
        node.items.append(value)
    else:
        node.entries.append((value, value))


@given(_graphs(("list", "dict", "ecma", "typed")))
def test_amf0_graphs_keep_what_is_one_object(nodes: list[Any]) -> None:
    assert same(_decode0(_encode0(nodes)), nodes)


@given(_graphs(tuple(_NEW)))
def test_amf3_graphs_keep_what_is_one_object(nodes: list[Any]) -> None:
    assert same(_decode3(_encode3(nodes)), nodes)


@given(_graphs(tuple(_NEW)))
def test_graphs_that_cross_from_amf0_to_amf3_come_to_an_end(nodes: list[Any]) -> None:
    assert same(_decode0(_encode0(nodes)), nodes, identity=False, numbers=True)


@st.composite
def _mutated(draw: st.DrawFn, valid: st.SearchStrategy[bytes]) -> bytes:
    data = bytearray(draw(valid))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(("set", "insert", "delete", "repeat"))):
            case "set":
                data[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=4))
            case "delete":
                del data[at : at + draw(st.integers(1, 8))]
            case _:
                data[at:at] = data[at : at + draw(st.integers(1, 16))]
    return bytes(data)


@given(_mutated(st.lists(values0 | values3, min_size=1, max_size=3).map(_encode0)) | st.binary(max_size=40))
def test_any_amf0_bytes_decode_to_what_encodes_again_or_are_refused(data: bytes) -> None:
    try:
        values = _decode0(data)
    except RemoteProtocolError as error:
        assert error.spec.startswith("AMF ")
        return
    assert same(_decode0(_encode0(values)), values, numbers=True, identity=False)


@given(_mutated(st.lists(values3, min_size=1, max_size=3).map(_encode3)) | st.binary(max_size=40))
def test_any_amf3_bytes_decode_to_what_encodes_again_or_are_refused(data: bytes) -> None:
    try:
        values = _decode3(data)
    except RemoteProtocolError as error:
        assert error.spec.startswith("AMF 3, ")
        return
    assert same(_decode3(_encode3(values)), values)


@pytest.mark.parametrize("encode", [amf0.encode, amf3.encode])
@given(
    value=st.text(st.characters(categories=("Cs", "Ll")))
    | st.integers()
    | st.complex_numbers()
    | st.frozensets(st.none())
)
def test_encoding_anything_raises_nothing_but_the_local_error(encode: Any, value: object) -> None:
    try:
        assert encode([value, {"a": value}])
    except LocalProtocolError as error:
        assert error.spec.startswith("AMF ")
