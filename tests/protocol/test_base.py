"""The errors of the kit: which document, whose fault; they cross processes, and there are two kinds and no third."""

import copy
import pickle

import pytest

from protocol import LocalProtocolError, ProtocolError, RemoteProtocolError


@pytest.mark.parametrize("kind", [LocalProtocolError, RemoteProtocolError])
def test_an_error_names_the_section_and_can_be_pickled_and_copied(kind: type[ProtocolError]) -> None:
    error = kind("a chunk too many", spec="RTMP 1.0, 5.3")
    error.add_note("from camera 7")
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is kind
        assert str(again) == "a chunk too many (RTMP 1.0, 5.3)"
        assert (again.spec, again.__notes__) == ("RTMP 1.0, 5.3", ["from camera 7"])


def test_an_error_that_is_nobodys_fault_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="LocalProtocolError or RemoteProtocolError"):
        ProtocolError("a chunk too many", spec="RTMP 1.0, 5.3")
