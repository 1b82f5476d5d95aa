"""Commands and capabilities: read from bytes and from values, of right types and of wrong ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import Limits, RemoteProtocolError
from protocol.amf import UNDEFINED, EcmaArray, Value, amf0
from protocol.rtmp import capabilities as caps
from protocol.rtmp import commands as c
from protocol.rtmp.messages import CommandMessage

# createStream as librtmp sends it: a string, the double 4.0, null.
CREATE_STREAM = bytes.fromhex("02 000c 63726561746553747265616d 00 4010000000000000 05")


def test_a_command_is_read_from_its_bytes() -> None:
    assert c.decode_command(CommandMessage(CREATE_STREAM)) == c.Command("createStream", 4.0)


def test_a_command_is_written_as_its_bytes() -> None:
    assert c.encode_command(c.Command("createStream", 4)).payload == CREATE_STREAM


def test_a_command_without_a_command_object_reads_as_null() -> None:
    assert c.decode_command(CommandMessage(CREATE_STREAM[:-1])) == c.Command("createStream", 4.0)


def test_ffmpegs_listener_sends_a_name_and_nothing_else() -> None:
    payload = bytes.fromhex("02 000b 6f6e46435075626c697368")
    assert c.decode_command(CommandMessage(payload)) == c.Command("onFCPublish", 0)


def test_an_amf3_command_keeps_its_kind_and_its_stream() -> None:
    command = c.Command("publish", 0, None, ("test", "live"), 3, amf3=True)
    assert c.decode_command(c.encode_command(command)) == command


def test_a_switch_to_amf3_holds_for_one_value() -> None:
    payload = amf0.encode_all(["play", 0, None]) + b"\x11\x06\x09test" + amf0.encode(-2.0)
    assert c.decode_command(CommandMessage(payload)).arguments == ("test", -2.0)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([], "without a name"),
        ([1.0, 1.0], "name is float"),
        ([None, 1.0], "name is null"),
        (["connect", "1"], "transaction id is str"),
        (["connect", True], "transaction id is bool"),
    ],
)
def test_what_does_not_begin_with_a_string_and_a_number_is_no_command(values: list[Value], said: str) -> None:
    with pytest.raises(RemoteProtocolError, match=said) as caught:
        c.decode_command(CommandMessage(amf0.encode_all(values)))
    assert caught.value.spec == "RTMP 1.0, 7.1.1"


def test_a_command_of_more_values_than_the_limit_is_refused() -> None:
    payload = amf0.encode_all(["x", 0, None, *([None] * 20)])
    with pytest.raises(RemoteProtocolError):
        c.decode_command(CommandMessage(payload), limits=Limits(amf_values=20))


def test_connect_tells_who_and_what() -> None:
    properties: dict[str, Value] = {
        "app": "myapp?key=X",
        "flashVer": "FMLE/3.0",
        "tcUrl": "rtmp://door/myapp?key=X",
        "pageUrl": "http://h/page",
        "swfUrl": UNDEFINED,
        "objectEncoding": 3.0,
    }
    connect = c.read_connect(c.Command("connect", 1, properties))
    assert (connect.app, connect.query, connect.raw_app) == ("myapp", "key=X", "myapp?key=X")
    assert (connect.tc_url, connect.page_url, connect.swf_url) == ("rtmp://door/myapp?key=X", "http://h/page", "")
    assert (connect.flash_version, connect.object_encoding) == ("FMLE/3.0", 3)
    assert connect.properties == properties


def test_connect_needs_no_property_at_all() -> None:
    connect = c.read_connect(c.Command("connect", 1, EcmaArray()))
    assert (connect.app, connect.object_encoding, connect.capabilities) == ("", 0, caps.Capabilities())


@pytest.mark.parametrize(
    "command_object",
    [None, 1.0, "myapp", ["app"], UNDEFINED, {"app": 1.0}, {"app": None}, {"app": "a", "objectEncoding": "3"}],
)
def test_connect_with_the_wrong_types_is_refused_with_its_section(command_object: Value) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        c.read_connect(c.Command("connect", 1, command_object))
    assert caught.value.spec == "RTMP 1.0, 7.2.1.1"


def test_publish_splits_the_query_off_and_keeps_the_name_as_sent() -> None:
    publish = c.read_publish(c.Command("publish", 0, None, ("test?key=a?b", "record")))
    assert publish == c.PublishParameters("test", "key=a?b", "test?key=a?b", "record")


def test_publish_without_a_type_is_live() -> None:
    assert c.read_publish(c.Command("publish", 0, None, ("test",))).publish_type == "live"
    assert c.read_publish(c.Command("publish", 0, None, ("test", UNDEFINED))).publish_type == "live"


@pytest.mark.parametrize("arguments", [(), (None,), (1.0,), (UNDEFINED,), (True,), ("test", 1.0), ({"a": "b"},)])
def test_publish_with_the_wrong_types_is_refused_with_its_section(arguments: tuple[Value, ...]) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        c.read_publish(c.Command("publish", 0, None, arguments))
    assert caught.value.spec == "RTMP 1.0, 7.2.2.6"


def test_play_takes_its_defaults_from_the_specification() -> None:
    assert c.read_play(c.Command("play", 0, None, ("test?x=y",))) == c.PlayParameters(
        "test", "x=y", "test?x=y", -2.0, -1.0, reset=True
    )


@pytest.mark.parametrize(("sent", "reset"), [(True, True), (False, False), (0.0, False), (1.0, True), (None, True)])
def test_plays_reset_is_a_boolean_or_a_number(sent: Value, reset: bool) -> None:
    play = c.read_play(c.Command("play", 0, None, ("test", -2000.0, -1.0, sent)))
    assert (play.start, play.reset) == (-2000.0, reset)


@pytest.mark.parametrize("arguments", [(), (None,), ("t", "now"), ("t", 0.0, "long"), ("t", 0.0, 0.0, "yes")])
def test_play_with_the_wrong_types_is_refused_with_its_section(arguments: tuple[Value, ...]) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        c.read_play(c.Command("play", 0, None, arguments))
    assert caught.value.spec == "RTMP 1.0, 7.2.2.1"


def test_no_repr_shows_a_query() -> None:
    shown = [
        c.read_publish(c.Command("publish", 0, None, ("test?key=s3cret",))),
        c.read_play(c.Command("play", 0, None, ("test?key=s3cret",))),
        c.read_connect(c.Command("connect", 1, {"app": "a?key=s3cret", "tcUrl": "rtmp://h/a?key=s3cret"})),
        c.Command("publish", 0, {"tcUrl": "s3cret"}, ("test?key=s3cret",)),
    ]
    assert "s3cret" not in repr(shown)
    assert "test" in repr(shown)


def test_a_status_goes_into_a_command_and_comes_back() -> None:
    status = c.Status("NetStream.Play.Start", "Started.", "status", 1, {"details": "test"})
    command = c.decode_command(c.encode_command(c.status_command(status)))
    assert (command.name, command.transaction_id, command.message_stream_id) == ("onStatus", 0, 1)
    assert c.read_status(command) == status


def test_a_status_needs_its_code_alone() -> None:
    assert c.read_status(c.Command("onStatus", 0, None, ({"code": "a.b", "level": 1.0, "description": None},))) == (
        c.Status("a.b")
    )


@pytest.mark.parametrize("arguments", [(), (None,), ("text",), ({},), ({"code": 1.0},)])
def test_a_status_without_a_code_is_refused(arguments: tuple[Value, ...]) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        c.read_status(c.Command("onStatus", 0, None, arguments))
    assert caught.value.spec == "RTMP 1.0, 7.2.2"


@given(st.binary(max_size=60))
def test_any_bytes_are_a_command_or_refused(payload: bytes) -> None:
    try:
        c.decode_command(CommandMessage(payload))
    except RemoteProtocolError:
        pass


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5) | st.just(UNDEFINED),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(VALUES, max_size=5), VALUES)
def test_any_arguments_are_read_or_refused(arguments: list[Value], command_object: Value) -> None:
    command = c.Command("x", 0, command_object, tuple(arguments))
    for read in (c.read_connect, c.read_publish, c.read_play, c.read_status):
        try:
            read(command)
        except RemoteProtocolError:
            pass


@given(st.text(max_size=8), st.floats(allow_nan=False), VALUES, st.lists(VALUES, max_size=3), st.booleans())
def test_commands_written_and_read_are_the_same(
    name: str, transaction_id: float, command_object: Value, arguments: list[Value], amf3: bool
) -> None:
    command = c.Command(name, transaction_id, command_object, tuple(arguments), 7, amf3)
    assert c.decode_command(c.encode_command(command)) == command


# --- Enhanced RTMP ---


def test_capabilities_are_read_as_the_document_writes_them() -> None:
    read = caps.Capabilities.from_properties(
        {
            "fourCcList": ["av01", "hvc1"],
            "videoFourCcInfoMap": {"*": 4.0, "vp09": 3.0},
            "audioFourCcInfoMap": EcmaArray({"Opus": 3.0}),
            "capsEx": 3.0,
        }
    )
    assert read.flags == caps.CapsEx.RECONNECT | caps.CapsEx.MULTITRACK
    assert read.video_codec("vp09") == caps.FourCCInfo.CAN_FORWARD  # "*" overrides
    assert read.audio_codec("Opus") == caps.FourCCInfo.CAN_DECODE | caps.FourCCInfo.CAN_ENCODE
    assert read.audio_codec("hvc1") == caps.FourCCInfo.CAN_DECODE  # from the older list
    assert read.audio_codec("fLaC") == caps.FourCCInfo(0)


def test_capabilities_of_wrong_types_are_passed_over() -> None:
    read = caps.Capabilities.from_properties(
        {
            "fourCcList": ["av01", 1.0, None],
            "videoFourCcInfoMap": {"vp09": "3", "hvc1": True, "avc1": -1.0, "av01": float("nan"), "vp08": 8.0},
            "audioFourCcInfoMap": [1.0],
            "capsEx": "3",
        }
    )
    assert read == caps.Capabilities(("av01",), {}, {"vp08": caps.FourCCInfo(8)})
    assert caps.Capabilities.from_properties({"fourCcList": "av01"}) == caps.Capabilities()


def test_capabilities_written_and_read_are_the_same() -> None:
    assert caps.Capabilities.from_properties(caps.FORWARD_ANY.to_properties()) == caps.FORWARD_ANY
    assert caps.Capabilities().to_properties() == {}
