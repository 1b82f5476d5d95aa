"""A search without coverage: seeds changed at random, in plain Python. For the tests, which have no atheris.

It finds what lies near a seed, such as a decoder that was broken on purpose; `campaign` is what finds the rest.
"""

import random
from collections.abc import Callable, Sequence
from typing import Final

__all__ = ["find_failure", "mutate"]

_TELLING_BYTES: Final = (b"\0", b"\xff", b"\x80", b"\r\n", b"\n", b" ", b":", b"&", b"%", b";", b"\xff\xff\xff\xff")


def mutate(data: bytes, chance: random.Random) -> bytes:
    """`data` with up to three changes."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        at = chance.randint(0, len(changed))
        match chance.randrange(5):
            case 0:
                changed[at : at + 1] = chance.randbytes(1)
            case 1:
                changed[at:at] = chance.choice(_TELLING_BYTES)
            case 2:
                del changed[at : at + chance.randint(1, 8)]
            case 3:
                changed[at:at] = changed[at : at + chance.randint(1, 32)]
            case _:
                del changed[at:]
    return bytes(changed)


def find_failure(
    check: Callable[[bytes], None], seeds: Sequence[bytes], *, tries: int, chance: random.Random
) -> tuple[bytes, Exception] | None:
    """The first input that `check` does not stand, and what it raised: a seed, or one of `tries` changed ones."""
    for number in range(-len(seeds), tries):
        data = seeds[number] if number < 0 else mutate(chance.choice(seeds), chance)
        try:
            check(data)
        except Exception as failure:  # noqa: BLE001  # any exception is what is looked for
            return data, failure
    return None
