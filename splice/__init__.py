"""splice: one door in front of many live-stream origins. See README.md; `python -m splice --help` lists the flags."""

__version__ = "0.1.0"
