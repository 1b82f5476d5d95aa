"""docs/protocol.md says what is so: its Python runs, in order, as one program, and its tables are the code's."""

import io
import re
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from protocol.rtmp.states import CLIENT_TABLE, SERVER_TABLE, Answer, ClientState, Reply, ServerState

PAGE = Path(__file__).parents[1].joinpath("docs", "protocol.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
TAGS = """\
       0 SCRIPT 50: onMetaData ({'width': 160.0, 'height': 120.0},)
       0 VIDEO 16: codec configuration
       0 VIDEO 10: keyframe
      40 VIDEO 10: frame
"""


def table_rows(first_column: str) -> list[list[str]]:
    """The rows of the page's table with that first heading, its own included."""
    start = PAGE.index(f"| {first_column} |")
    lines = PAGE[start:].split("\n\n", 1)[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if not line.startswith("| ---")]


def test_the_pages_program_publishes_plays_and_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    face, *program = BLOCKS
    assert "next_event()" in face  # the one block that is a form, not a program
    output = io.StringIO()
    namespace: dict[str, object] = {}
    with redirect_stdout(output):
        for block in program:
            exec(compile(block, "docs/protocol.md", "exec"), namespace)  # the page is ours
    made, copied = "FLV: audio False, video True\n", "FLV: audio True, video True\n"
    access = "       0 SCRIPT 24: |RtmpSampleAccess (True, True)\n"
    assert output.getvalue() == made + TAGS + copied + access + TAGS


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


def run_against_the_pages_server(function: str, url_path: str, tmp_path: Path) -> str:
    """Call the page's publish or play, which must exit, and return its last words."""
    namespace: dict[str, object] = {}
    for block in BLOCKS[1:]:
        if "\ndef " in block and "listener" not in block:
            exec(compile(block, "docs/protocol.md", "exec"), namespace)
    exec(SERVE_ONE, namespace)
    with pytest.raises(SystemExit) as caught:
        namespace["run"](function, url_path, str(tmp_path / "copy.flv"))  # type: ignore[operator]  # from SERVE_ONE
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


def test_the_pages_table_of_commands_is_the_code() -> None:
    heading, *rows = table_rows("command")
    states = [ServerState(name) for name in heading[1:]]
    assert states == [ServerState.CONNECTED, ServerState.IDLE, ServerState.PUBLISHING, ServerState.PLAYING]
    written = {(state, row[0]): cell for row in rows for state, cell in zip(states, row[1:], strict=True)}
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
    heading, *rows = table_rows("reply")
    states = [ClientState(name) for name in heading[1:]]
    written = {(state, Reply(row[0])): cell for row in rows for state, cell in zip(states, row[1:], strict=True)}
    assert written == {key: answer.value for key, answer in CLIENT_TABLE.items() if key[0] in states}
    assert set(ClientState) - set(states) == {ClientState.HANDSHAKE, ClientState.CLOSED}


def test_the_page_names_every_chunk_stream_id_that_is_taken() -> None:
    assert re.search(r"ids 2, 3 and 5; `send_media` on 4, 6 and 7", PAGE)
