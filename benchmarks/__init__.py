"""Clientele beside its peers: `python -m benchmarks`, or `make bench`, which installs the peers first.

| module | its job |
|---|---|
| `payload.py` | what the server sends, and what the items must be |
| `server.py` | the server, a process of its own |
| `contestants/` | how each library does each task |
| `worker.py` | the process of one contestant, which measures itself |
| `workloads.py` | what is measured: a list of cases |
| `runner.py` | the order of the rounds, and the check that all items came |
| `figures.py` | medians, spreads and ratios |
| `aims.py`, `report.py` | the aims, and the figures as tables |
| `system.py` | memory, and the machine |

`RESULTS.md` is written by the program; `NOTES.md`, which becomes its end, is written by people. Linux only.

To measure a part: `--only firehose --rounds 3 --contestant clientele floor --size firehose=50000`.
"""
