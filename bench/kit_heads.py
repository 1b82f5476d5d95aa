"""How many request heads the door's parser reads in a second: a player's, a browser's, and one of a smuggler.

Prints figures as `bench.table_kit` reads them. The best of several passes counts, in CPU time, as all else is the
machine's.
"""

import json
import time

from splice.http import RequestError, RequestParser

HEADS = 2000
PASSES = 15
PLAYER = (
    b"GET /live?src=a&port=1935&app=myapp&stream=test HTTP/1.1\r\nUser-Agent: Lavf/59.27.100\r\nAccept: */*\r\n"
    b"Range: bytes=0-\r\nConnection: close\r\nHost: door:18090\r\nIcy-MetaData: 1\r\n\r\n"
)
BROWSER = (
    b"GET /live?src=a&port=1935&app=myapp&stream=test HTTP/1.1\r\nHost: door.test:18090\r\nConnection: keep-alive\r\n"
    b"Accept: */*\r\nAccept-Encoding: gzip, deflate\r\nAccept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"
    b"Origin: http://page.example\r\nReferer: http://page.example/\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) "
    b"AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36\r\nSec-Fetch-Mode: cors\r\n\r\n"
)
SMUGGLED = b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n"


def heads_a_second(wire: bytes) -> float:
    """Whole heads, each by a parser of its own, as each is on a connection of its own."""
    best = float("inf")
    for _ in range(PASSES):
        start = time.process_time_ns()
        for _ in range(HEADS):
            parser = RequestParser()
            parser.receive_data(wire)
            try:
                parser.next_event()
            except RequestError:
                pass  # of the smuggler that is the answer
        best = min(best, time.process_time_ns() - start)
    return round(HEADS * 1e9 / best)


def main() -> None:
    """Measure, and print one JSON object."""
    figures = {
        "a player's head": {"value": heads_a_second(PLAYER), "unit": "heads/s", "at_least": 20_000},
        "a browser's head": {"value": heads_a_second(BROWSER), "unit": "heads/s", "at_least": 20_000},
        "a smuggler's head, refused": {"value": heads_a_second(SMUGGLED), "unit": "heads/s"},
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
