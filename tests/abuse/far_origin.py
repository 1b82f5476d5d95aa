"""The demo's origin on an address of its own: `python -m tests.abuse.far_origin ADDRESS`, in a network namespace."""

import sys

import trio

from splice.demo import DemoOrigin


async def main(address: str) -> None:
    """Serve until killed; the port goes to stdout."""
    listeners = await trio.open_tcp_listeners(0, host=address)
    print(f"port {listeners[0].socket.getsockname()[1]}")
    await trio.serve_listeners(DemoOrigin().handle, listeners)


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
