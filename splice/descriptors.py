"""How many descriptors the process may have (RLIMIT_NOFILE), and how many its viewers may need."""

import resource
from typing import Final

import structlog

__all__ = ["raise_descriptor_limit"]

_DESCRIPTORS_A_VIEWER: Final = 2  # its own and its origin's
_SPARE_DESCRIPTORS: Final = 64  # listeners, epolls, log, time zone files, a dial's extra attempts, pipes

_log = structlog.get_logger()


def raise_descriptor_limit(viewers: int, *, warns: bool) -> None:
    """Raise the soft limit of descriptors as far as it goes, and say where that is too few.

    Args:
        viewers: how many there may be.
        warns: whether to say so; a limit that nobody has asked for need not be reached.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = hard
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            limit = soft  # macOS names no hard limit, and takes none above its kern.maxfilesperproc
    needed = viewers * _DESCRIPTORS_A_VIEWER + _SPARE_DESCRIPTORS
    if warns and limit != resource.RLIM_INFINITY and limit < needed:
        room = max(0, limit - _SPARE_DESCRIPTORS) // _DESCRIPTORS_A_VIEWER
        _log.warning(
            "descriptors.few",
            limit=limit,
            needed=needed,
            advice=f"limits.viewers is {viewers}, and there are descriptors for {room}: raise the hard limit "
            "(ulimit -Hn, LimitNOFILE=)",
        )
