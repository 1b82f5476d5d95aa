"""Coverage-guided fuzzing of everything that reads from the network: ``make fuzz``, or ``python -m fuzz``.

`targets` holds one module for each decoder; each opens with the invariant that it holds, and has one function,
`check(data)`, which returns for any bytes, or raises. `corpus` holds what the fuzzers start from. `campaign` runs a
target under atheris, in a process of its own; `mutation` is a search in plain Python, for the tests. See
docs/fuzzing.md.
"""
