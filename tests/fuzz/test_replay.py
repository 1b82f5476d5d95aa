"""Every target stands its corpus, in which past crashes are kept, and a short search around it."""

import random
from pathlib import Path

import pytest

from fuzz import targets
from fuzz.mutation import find_failure


@pytest.mark.parametrize("name", targets.NAMES)
def test_a_target_stands_its_corpus(name: str) -> None:
    target = targets.load(name)
    seeds = targets.seeds(name)
    assert seeds
    for seed in seeds:
        try:
            target.check(seed.read_bytes())
        except Exception as failure:
            failure.add_note(f"with {seed}")
            raise


@pytest.mark.parametrize("name", targets.NAMES)
def test_a_target_stands_what_lies_near_its_corpus(name: str) -> None:
    seeds = [seed.read_bytes() for seed in targets.seeds(name)]
    assert find_failure(targets.load(name).check, seeds, tries=200, chance=random.Random(name)) is None


@pytest.mark.parametrize("name", targets.NAMES)
def test_a_target_opens_with_the_invariant_that_it_holds(name: str) -> None:
    assert "Invariant: " in (targets.load(name).__doc__ or "")


@pytest.mark.parametrize("name", targets.NAMES)
def test_a_corpus_is_small_and_each_of_it_within_what_its_target_reads(name: str) -> None:
    sizes = [seed.stat().st_size for seed in targets.seeds(name)]
    assert sum(sizes) <= targets.CORPUS_BYTES
    assert max(sizes) <= targets.load(name).MAX_BYTES


def test_every_module_and_every_corpus_belongs_to_a_target() -> None:
    modules = {path.stem for path in Path(targets.__file__).parent.glob("*.py")} - {"__init__"}
    corpora = {path.name for path in targets.CORPUS.iterdir()}
    assert modules == corpora == set(targets.NAMES)
