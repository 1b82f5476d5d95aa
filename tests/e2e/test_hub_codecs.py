"""Scheme two, every codec: ffmpeg 9 publishes to the door and reads back, by HTTP-FLV and by RTMP, the same packets."""

from pathlib import Path

import pytest
import trio

from tests.e2e.door import running_door
from tests.e2e.modern import CODECS, Packets, packets_of, publishing_file, record


@pytest.mark.parametrize("codecs", CODECS.values(), ids=CODECS.keys())
async def test_what_ffmpeg_9_publishes_it_reads_back_bit_for_bit(tmp_path: Path, codecs: str) -> None:
    file = await record(codecs, tmp_path / "source.flv")
    source = await packets_of(file)
    seen: dict[str, Packets] = {}

    async def see(url: str) -> None:
        seen[url] = await packets_of(url, seconds=1.2)

    async with (
        running_door(tmp_path, "--rtmp", "127.0.0.1:0") as door,
        publishing_file(file, door.rtmp_url("myapp/test")),
        trio.open_nursery() as nursery,
    ):
        urls = f"{door.http_url}/myapp/test.flv", door.rtmp_url("myapp/test")
        for url in urls:
            nursery.start_soon(see, url)
    for url in urls:
        seen[url].is_a_piece_of(source, at_least=20)
