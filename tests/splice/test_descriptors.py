"""The limit of descriptors: raised as far as it goes, and too low a one is told of."""

import errno
import resource

import pytest
from structlog.testing import capture_logs

from splice.descriptors import raise_descriptor_limit


@pytest.mark.parametrize(
    ("hard", "warns", "told"),
    [(263, True, True), (263, False, False), (264, True, False), (resource.RLIM_INFINITY, True, False)],
)
def test_too_few_descriptors_for_the_viewers_are_told_of_where_that_is_wanted(
    monkeypatch: pytest.MonkeyPatch, hard: int, warns: bool, told: bool
) -> None:
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr("splice.descriptors.resource.getrlimit", lambda _which: (32, hard))
    monkeypatch.setattr("splice.descriptors.resource.setrlimit", lambda _which, limits: raised.append(limits))
    with capture_logs() as log:
        raise_descriptor_limit(100, warns=warns)
    assert raised == [(hard, hard)]
    assert [event["event"] for event in log] == ["descriptors.few"] * told
    if told:
        begin = "limits.viewers is 100, and there are descriptors for 99: raise the hard limit"
        assert log[0]["advice"].startswith(begin)


def test_a_limit_that_is_as_high_as_it_may_be_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr("splice.descriptors.resource.getrlimit", lambda _which: (4096, 4096))
    monkeypatch.setattr("splice.descriptors.resource.setrlimit", lambda _which, limits: raised.append(limits))
    raise_descriptor_limit(100, warns=True)
    assert raised == []


def test_a_system_that_does_not_let_the_limit_be_raised_is_judged_by_the_one_that_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forbidden(_which: int, _limits: tuple[int, int]) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("splice.descriptors.resource.getrlimit", lambda _which: (32, 10**6))
    monkeypatch.setattr("splice.descriptors.resource.setrlimit", forbidden)
    with capture_logs() as log:
        raise_descriptor_limit(100, warns=True)
    assert "descriptors for 0" in log[0]["advice"]
