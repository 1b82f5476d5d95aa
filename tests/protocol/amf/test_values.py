"""The value types themselves."""

import doctest
from typing import Any

import pytest

import protocol.amf
from protocol import LocalProtocolError
from protocol.amf import UNDEFINED, UNSUPPORTED, Date, EcmaArray, TypedObject, Xml, XmlDocument, amf0, amf3


def test_undefined_and_unsupported_are_false_and_name_themselves() -> None:
    assert not UNDEFINED
    assert not UNSUPPORTED
    assert repr([UNDEFINED, UNSUPPORTED]) == "[UNDEFINED, UNSUPPORTED]"


def test_an_ecma_array_equals_the_dict_of_its_names_unless_it_has_a_dense_portion() -> None:
    assert EcmaArray({"a": 1}) == {"a": 1}
    assert EcmaArray([("a", 1)]) == EcmaArray({"a": 1})
    assert EcmaArray({"a": 1}, dense=[2]) != {"a": 1}
    assert EcmaArray({"a": 1}, dense=[2]) != EcmaArray({"a": 1})
    assert EcmaArray({"a": 1}, dense=[2]) == EcmaArray({"a": 1}, dense=[2])
    assert EcmaArray() != []


def test_an_ecma_array_shows_both_its_portions() -> None:
    assert repr(EcmaArray({"a": 1}, dense=[2])) == "EcmaArray({'a': 1}, dense=[2])"


def test_an_ecma_array_is_not_hashable_as_no_dict_is() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(EcmaArray())


def test_dates_and_xml_are_values_that_can_be_keys() -> None:
    assert len({Date(1.0), Date(1.0), Xml("a"), Xml("a"), XmlDocument("a")}) == 3


def test_the_example_of_the_package_is_true() -> None:
    failed, tried = doctest.testmod(protocol.amf)
    assert tried > 0
    assert failed == 0


NOT_ANY: Any = None


@pytest.mark.parametrize("module", [amf0, amf3])
@pytest.mark.parametrize("value", [Date(NOT_ANY), XmlDocument(NOT_ANY), Xml(NOT_ANY), TypedObject(NOT_ANY)], ids=repr)
def test_a_value_whose_parts_have_the_wrong_type_cannot_be_sent(module: Any, value: object) -> None:
    with pytest.raises(LocalProtocolError, match=r"no double holds|a text is a str|a name is a str") as caught:
        module.encode(value)
    assert len(str(caught.value)) < 200
