"""What looks at a door's admin side: Prometheus, a script, and one open dashboard, at the pace of their own.

    python bench/scraper.py PORT

/metrics and /api/v1/streams once a second; the dashboard's streams, origins and first hundred viewers every two; one
event stream, held open. It says {"event": "ready"} when each has been answered once, and runs until it is killed.
"""

import http.client
import json
import sys
import threading
import time

DASHBOARD = ("/api/v1/streams", "/api/v1/origins", "/api/v1/viewers?limit=100&offset=0&text=")


def ask(port: int, every_s: float, paths: tuple[str, ...], answered: threading.Semaphore) -> None:
    """Ask for these, all of them once in `every_s`, on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    due = time.monotonic()
    while True:
        for path in paths:
            connection.request("GET", path)
            answer = connection.getresponse()
            if answer.status != 200 or not answer.read():
                raise OSError(f"{path} answered {answer.status}")
        answered.release()
        due += every_s
        time.sleep(max(0.0, due - time.monotonic()))


def listen(port: int, answered: threading.Semaphore) -> None:
    """Hold an event stream open, and read it."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/api/v1/events")
    answer = connection.getresponse()
    answered.release()
    while answer.readline():
        pass


def main() -> None:
    """Begin all of it, and say so."""
    port = int(sys.argv[1])
    answered = threading.Semaphore(0)
    jobs = [
        threading.Thread(target=ask, args=(port, 1.0, ("/metrics", "/api/v1/streams"), answered), daemon=True),
        threading.Thread(target=ask, args=(port, 2.0, DASHBOARD, answered), daemon=True),
        threading.Thread(target=listen, args=(port, answered), daemon=True),
    ]
    for job in jobs:
        job.start()
    for _ in jobs:
        if not answered.acquire(timeout=10):
            sys.exit("not everything was answered")
    print(json.dumps({"event": "ready"}), flush=True)
    for job in jobs:
        job.join()


if __name__ == "__main__":
    main()
