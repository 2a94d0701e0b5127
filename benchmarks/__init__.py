"""Clientele beside its peers: `python -m benchmarks`, or `make bench`, which installs the peers first.

| module | its job |
|---|---|
| `payload.py` | what is sent, and what the items must be |
| `server.py` | the other end of the wire, a process of its own |
| `contestants/` | how each library is used for each task |
| `worker.py` | the process of one contestant: does as it is told, and measures itself |
| `workloads.py` | what is measured: a table of cases |
| `runner.py` | the order of the rounds, and the check that all items came |
| `figures.py` | medians, spreads and ratios |
| `aims.py`, `report.py` | the figures held against the aims, and as tables |
| `system.py` | memory, and what the machine is |

`NOTES.md`, which people write, becomes the end of `RESULTS.md`, which the program does. It needs Linux.
"""
