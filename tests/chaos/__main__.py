"""The command: `python -m tests.chaos [--cuts N] [--seed N] [--reader NAME]`, from the root of the project."""

from __future__ import annotations

import argparse
import random
import sys
import time

from tests.chaos.run import READERS, account_of, account_over_http2


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Cut streams at random, in every way.")
    parser.add_argument("--cuts", type=int, default=2000, help="how often each stream is cut (default 2000)")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="to replay a run (default random)")
    parser.add_argument("--reader", choices=READERS, action="append", help="default: all of them")
    parser.add_argument("--http2", action="store_true", help="over HTTP/2 (default: HTTP/1.1)")
    arguments = parser.parse_args()
    account_for = account_over_http2 if arguments.http2 else account_of
    print(f"seed {arguments.seed}", flush=True)
    is_right = True
    for reader in arguments.reader or READERS:
        began = time.perf_counter()
        if arguments.http2 and "httpx2" in reader:
            continue
        account = account_for(reader, cuts=arguments.cuts, seed=arguments.seed)
        seconds = time.perf_counter() - began
        verdict = f"{account.events} events, each once and in order"
        if account.wrong is not None:
            verdict = "WRONG EVENTS"
        elif account.ends > account.whole:
            verdict = "CUTS TAKEN FOR ENDS"
        print(f"{reader}: {account.cuts} cuts, {account.reconnects} reconnects, {verdict}, {seconds:.0f} s")
        for name, number in [*sorted(account.done.items()), *sorted(account.coded.items())]:
            print(f"    {number:5} {name.replace('_', ' ')}")
        print(f"    {account.cancelled:5} reads cancelled")
        print(f"    {account.ends:5} bodies seen to end, of {account.whole} that did", flush=True)
        if account.wrong is not None or account.ends > account.whole:
            is_right = False
            print(
                f"  came: {account.wrong or 'all'}\n  replay: python -m tests.chaos --cuts {arguments.cuts} "
                f"--seed {arguments.seed} --reader {reader!r}" + (" --http2" if arguments.http2 else "")
            )
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
