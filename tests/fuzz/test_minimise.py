"""What is kept of what fuzzing has found: little, and only what shows something new."""

from pathlib import Path

import pytest

from fuzz import minimise
from fuzz.minimise import choose, keep_found, steps
from fuzz.targets import load, seeds

A, B, C = ("a.py", 0, 1), ("a.py", 1, 2), ("a.py", 2, -1)


def test_what_shows_most_for_its_size_comes_first_and_what_shows_nothing_new_never() -> None:
    found = [(b"long" * 20, {A, B}), (b"ab", {A, B}), (b"c", {B, C}), (b"a", {A})]
    assert choose(found, set(), most_bytes=1000) == [b"c", b"a"]
    assert choose(found, {A, B}, most_bytes=1000) == [b"c"]
    assert choose(found, {A, B, C}, most_bytes=1000) == []


def test_a_bound_of_bytes_is_kept() -> None:
    assert choose([(b"12345", {A, B}), (b"1", {C})], set(), most_bytes=4) == [b"1"]


def test_steps_are_those_of_the_two_packages_and_differ_where_the_ways_differ() -> None:
    check = load("amf0").check
    whole, cut = steps(check, b"\x00\x3f\xf0\0\0\0\0\0\0"), steps(check, b"\x00\x3f")
    assert whole - cut and cut - whole
    assert all("/protocol/" in file for file, _, _ in whole)


def test_found_inputs_go_into_the_corpus_by_what_they_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus, found = tmp_path / "corpus" / "amf0", tmp_path / "found"
    corpus.mkdir(parents=True)
    found.mkdir()
    corpus.joinpath("number").write_bytes(b"\x00\x3f\xf0\0\0\0\0\0\0")
    found.joinpath("1").write_bytes(b"\x00\x40\0\0\0\0\0\0\0")
    found.joinpath("2").write_bytes(b"\x01\x01")
    monkeypatch.setattr(minimise, "CORPUS", corpus.parent)
    monkeypatch.setattr(minimise, "seeds", lambda name: sorted(corpus.iterdir()))
    assert keep_found("amf0", [found]) == (2, 1)
    assert [file.read_bytes() for file in corpus.glob("found-*")] == [b"\x01\x01"]


def test_the_corpora_hold_nothing_twice() -> None:
    for name in ("chunk_reader", "amf0", "http_request_head"):
        contents = [seed.read_bytes() for seed in seeds(name)]
        assert len(set(contents)) == len(contents)
