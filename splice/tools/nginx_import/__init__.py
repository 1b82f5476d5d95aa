"""`python -m splice import nginx.conf`: prints a splice.toml that does what an nginx with live streams does.

    nginx.conf --crossplane--> directives --> rtmp {}, flv_live locations --> splice.toml
                   reader                     rtmp, http                     carried

What could not be carried over stands at the end of it, as comments that say what there is instead (reasons). The table
of all directives is docs/migration.md.
"""

from pathlib import Path

from splice.command_line import USAGE_ERROR, CommandLine, complain, on_one_line
from splice.tools.nginx_import.carried import Carried
from splice.tools.nginx_import.http import carry_http
from splice.tools.nginx_import.reader import ImportFileError, read
from splice.tools.nginx_import.rtmp import carry_rtmp

__all__ = ["imported", "main"]


def imported(file: Path) -> str:
    """The door's configuration, as TOML, for what nginx's in `file` says.

    Raises:
        ImportFileError: the file cannot be read, or has nothing to do with live streams.
    """
    root, missing = read(file)
    carried = Carried()
    carried.notes += [f"{text}: it is included, and was not found" for text in missing]
    applications = [app for rtmp in root.all("rtmp") for app in carry_rtmp(carried, rtmp)]
    for http in root.all("http"):
        carry_http(carried, http, applications)
    if not carried.settings:
        raise ImportFileError(f"{file} has no rtmp block, no flv_live location, and no proxy without a buffer in it")
    # A name may hold what would end the comment, and lines behind it would be keys.
    return f"# What {on_one_line(file.name)} says, for the door: splice --config THIS --check\n\n{carried.as_toml()}"


def main(arguments: list[str]) -> int:
    """Run the command; the exit status."""
    command = CommandLine("splice import", "Print a splice.toml that does what an nginx with live streams does.")
    command.add_argument("file", metavar="nginx.conf", type=Path, help="the files that it includes are read as well")
    chosen = command.read(arguments)
    try:
        toml = imported(chosen.file)
    except ImportFileError as error:
        complain("splice import", str(error))
        return USAGE_ERROR
    command.say(toml)
    return 0
