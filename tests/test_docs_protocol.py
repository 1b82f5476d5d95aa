"""docs/protocol.md says what is so: its Python runs, in order, as one program, and its tables are the code's."""

import io
import re
import socket
import threading
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from protocol import NEED_DATA, RemoteProtocolError
from protocol.__main__ import main as kit_main
from protocol.flv import FlvHeader, ScriptData, encode_header, encode_script_data, encode_tag
from protocol.rtmp import (
    CLIENT_TABLE,
    SERVER_TABLE,
    Answer,
    ClientAnswer,
    ClientSession,
    ClientState,
    ConnectRequested,
    MediaKind,
    Reply,
    ServerSession,
    ServerState,
    parse_url,
)
from tests.protocol import reference
from tests.protocol.rtmp.test_session_states import NEW_STATES

PAGE = Path(__file__).parents[1].joinpath("docs", "protocol.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
TAGS = """\
       0 SCRIPT 50: onMetaData ({'width': 160.0, 'height': 120.0},)
       0 VIDEO 16: codec configuration
       0 VIDEO 10: keyframe
      40 VIDEO 10: frame
"""


def table_rows(heading: str) -> list[list[str]]:
    """The rows of the page's table with that heading, its own included; cells may be empty."""
    lines = PAGE[PAGE.index(heading) :].split("\n\n", 1)[0].splitlines()
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in lines if not line.startswith("| ---")]


def test_the_pages_program_publishes_plays_and_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    face, *program = BLOCKS
    assert "next_event()" in face  # the one block that is a form, not a program
    output = io.StringIO()
    namespace: dict[str, object] = {}
    with redirect_stdout(output):
        for block in program:
            exec(compile(block, "docs/protocol.md", "exec"), namespace)  # the page is ours
    header = "FLV: audio False, video True\n"
    access = "       0 SCRIPT 24: |RtmpSampleAccess (True, True)\n"
    assert output.getvalue() == header + TAGS + header + access + TAGS


@pytest.mark.parametrize(
    ("url_path", "said"),
    [
        ("other/test?key=secret", "connect refused: NetConnection.Connect.Rejected: The only application"),
        ("myapp/test?key=wrong", "publish refused: NetStream.Publish.Denied: That key is wrong."),
    ],
)
def test_the_pages_server_refuses_with_its_sentences(url_path: str, said: str, tmp_path: Path) -> None:
    assert said in run_against_the_pages_server("publish", url_path, tmp_path)


def test_the_pages_server_says_what_nobody_has_published(tmp_path: Path) -> None:
    said = run_against_the_pages_server("play", "myapp/missing", tmp_path)
    assert said == "play refused: NetStream.Play.StreamNotFound: Nobody has published missing."


def pages_functions() -> dict[str, Any]:
    namespace: dict[str, Any] = {}
    for block in BLOCKS[1:]:
        if "\ndef " in block and "listener" not in block:
            exec(compile(block, "docs/protocol.md", "exec"), namespace)  # the page is ours
    return namespace


@pytest.mark.parametrize("function", ["publish", "play"])
@pytest.mark.parametrize("said", [b"", b"\x03" + bytes(1536)])
def test_the_pages_client_takes_a_server_that_hangs_up_for_no_success(
    function: str, said: bytes, tmp_path: Path
) -> None:
    (tmp_path / "copy.flv").write_bytes(encode_header(FlvHeader(has_audio=False, has_video=True)))

    def hang_up() -> None:
        sock, _ = listener.accept()
        with sock:
            sock.sendall(said)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=hang_up)
        server.start()
        url = f"rtmp://127.0.0.1:{listener.getsockname()[1]}/myapp/test?key=secret"
        with pytest.raises(OSError, match=r"hung up|reset|Broken pipe"):
            pages_functions()[function](url, str(tmp_path / "copy.flv"))
        server.join()


def test_the_pages_printer_and_reader_say_that_a_file_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "cut.flv"
    path.write_bytes(encode_header(FlvHeader(has_audio=True, has_video=False)) + encode_tag(8, 0, b"\xaf\x01a")[:-5])
    functions = pages_functions()
    for read in (functions["print_tags"], lambda file: list(functions["read_media"](file))):
        with redirect_stdout(io.StringIO()), pytest.raises(RemoteProtocolError, match="the file ends"):
            read(str(path))


def test_the_page_prints_and_publishes_every_legal_tag(tmp_path: Path) -> None:
    path = tmp_path / "odd.flv"
    script = ScriptData("onMetaData", ({"width": 1.0},))
    amf3 = encode_script_data(script, tag_type=15)
    tags = [
        (31, b"new", False),
        (15, amf3, False),
        (18, b"secret", True),
        (9, b"secret", True),
        (8, b"\xaf\x01a", False),
    ]
    header = encode_header(FlvHeader(has_audio=True, has_video=True))
    path.write_bytes(header + b"".join(encode_tag(kind, 7, body, filtered=hidden) for kind, body, hidden in tags))
    functions, output = pages_functions(), io.StringIO()
    with redirect_stdout(output):
        functions["print_tags"](str(path))
    assert [line.split(None, 1)[1] for line in output.getvalue().splitlines()[1:]] == [
        "type 31 3: frame",
        f"AMF3_SCRIPT {len(amf3)}: onMetaData ({{'width': 1.0}},)",
        "SCRIPT 6: encrypted",
        "VIDEO 6: encrypted",
        "AUDIO 3: frame",
    ]
    read = list(functions["read_media"](str(path)))
    assert read == [(MediaKind.DATA, 7, encode_script_data(script)), (MediaKind.AUDIO, 7, b"\xaf\x01a")]


def test_the_pages_loop_does_not_spin_over_a_request_that_nobody_answers() -> None:
    near, far = socket.socketpair()
    with near, far:
        client = ClientSession(parse_url("rtmp://h/myapp/test"), random_bytes=bytes)
        server = ServerSession(random_bytes=bytes)
        server.receive_data(client.data_to_send())
        assert server.next_event() is NEED_DATA
        client.receive_data(server.data_to_send())
        assert client.next_event() is NEED_DATA
        server.receive_data(client.data_to_send())
        events = pages_functions()["converse"](near, server)
        assert isinstance(next(events), ConnectRequested)
        with pytest.raises(RuntimeError, match="neither accepted nor rejected"):
            next(events)


def run_against_the_pages_server(function: str, url_path: str, tmp_path: Path) -> str:
    """Call the page's publish or play, which must exit, and return its last words."""
    namespace = pages_functions()
    exec(SERVE_ONE, namespace)
    with pytest.raises(SystemExit) as caught:
        namespace["run"](function, url_path, str(tmp_path / "copy.flv"))
    return str(caught.value)


SERVE_ONE = """
import threading

def run(function, url_path, path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=lambda: serve(listener.accept()[0]))
        server.start()
        try:
            url = f"rtmp://127.0.0.1:{listener.getsockname()[1]}/{url_path}"
            globals()[function](url, path)
        finally:
            server.join()
"""


def test_the_pages_tables_of_commands_are_the_code() -> None:
    heading, *rows = table_rows("| command | connected |")
    states = [ServerState(name) for name in heading[1:]]
    assert states == [ServerState.CONNECTED, ServerState.IDLE, ServerState.PUBLISHING, ServerState.PLAYING]
    rows += [[commands, *[answer] * 4] for commands, answer in table_rows("| command | answer in every state |")[1:]]
    written = {
        (state, command): cell
        for commands, *cells in rows
        for command in commands.split(", ")
        for state, cell in zip(states, cells, strict=True)
    }
    assert written == {key: answer.value for key, answer in SERVER_TABLE.items() if key[0] in states}


def test_the_pages_words_on_the_other_states_are_the_code() -> None:
    for (state, command), answer in SERVER_TABLE.items():
        if state is ServerState.UNDECIDED:
            assert answer is Answer.HOLD
        elif state is ServerState.CLOSED:
            assert answer is Answer.IGNORE
        elif state is ServerState.AWAITING_CONNECT and command not in ("connect", "_result", "_error", "onStatus"):
            assert answer is Answer.BREAK


def test_the_pages_table_of_replies_is_the_code() -> None:
    states = [state for state in ClientState if state not in (ClientState.HANDSHAKE, ClientState.CLOSED)]
    written: dict[tuple[ClientState, Reply], str] = {}
    for name, where, answer, new_state, otherwise in table_rows("| reply | in state |")[1:]:
        reply = Reply(name)
        for state in states:
            written.setdefault((state, reply), otherwise)
        for state in states if where == "every" else map(ClientState, where.split(", ")):
            written[state, reply] = answer
        moved = NEW_STATES.get(ClientAnswer(answer))
        assert new_state == (moved.value if moved else "")
    assert written == {key: answer.value for key, answer in CLIENT_TABLE.items() if key[0] in states}


def test_the_pages_reference_is_the_code() -> None:
    assert reference.write(PAGE) == PAGE, "an exported name has changed: call make docs"
    assert reference.limits() in PAGE


def test_the_pages_lines_on_the_command_line_are_the_tools(capsys: pytest.CaptureFixture[str]) -> None:
    for tool in ("flv", "rtmp"):
        with pytest.raises(SystemExit):
            kit_main([tool, "--help"])
        flags = set(re.findall(r"--[a-z]+", capsys.readouterr().out)) - {"--help"}
        (line,) = re.findall(rf"^    python -m protocol {tool} (.*)$", PAGE, re.MULTILINE)
        assert set(re.findall(r"--[a-z]+", line)) == flags


def test_the_page_names_every_chunk_stream_id_that_is_taken() -> None:
    assert re.search(r"ids 2, 3 and 5; `send_media` on 4, 6 and 7", PAGE)
