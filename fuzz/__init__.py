"""Fuzzing: bytes that nobody thought of, for what reads bytes from a server.

    make fuzz                        each target for five minutes, one after another
    SECONDS=60 make fuzz             each for a minute
    .venv/bin/python -m fuzz sse     one target, until it finds something or is stopped
    .venv/bin/python -m fuzz sse fuzz/found/sse/crash-...      what was found, once more

A target is a module. Its `check` takes any bytes: the first ones decide the options and the cutting, the rest is the
message. It raises if a promise is broken: whole and cut mean the same, the slow reading of the standard that the tests
keep means the same, nothing but the documented errors is raised, no read returns more than it may, nothing is lost.
`SEEDS` are inputs to start from, and `WORDS` are what messages are made of. None of it needs atheris: what was found
becomes a plain test.

atheris (libFuzzer) changes the inputs and keeps those that reach new code, in `fuzz/corpus`. What breaks a promise is
written to `fuzz/found`. Neither directory is committed.
"""
