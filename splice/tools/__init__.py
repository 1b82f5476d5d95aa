"""The commands beside the door: `python -m splice probe URL` and its like.

Each is a module with `main(arguments) -> int`, the exit status, and is imported when it is called for: the door itself
starts without them.
"""

from typing import Final

__all__ = ["TOOLS"]

TOOLS: Final = {
    "import": "splice.tools.nginx_import",
    "probe": "splice.tools.probe",
    "sign": "splice.tools.sign",
    "top": "splice.tools.top",
}
"""A tool's name on the command line, and its module."""
