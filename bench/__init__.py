"""The comparisons of docs/performance.md: `python -m bench splice`, `hub`, `kit`. README.md says what is fair."""
