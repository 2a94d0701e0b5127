"""A stream that is cut at random, in every way, yields every event once and in order. `make chaos` runs longer."""

from __future__ import annotations

import os
import random

import pytest
from tests.chaos.codings import CODINGS
from tests.chaos.run import READERS, account_of, account_over_http2

CUTS = 40
SEED = int(os.environ.get("CHAOS_SEED") or random.randrange(2**32))


@pytest.mark.parametrize("reader", READERS)
def test_every_event_comes_once_and_in_order(reader):
    account = account_of(reader, cuts=CUTS, seed=SEED)
    assert account.wrong is None, f"replay with CHAOS_SEED={SEED}"
    assert account.cuts == CUTS
    assert account.ends <= account.whole, f"a cut was taken for an end; replay with CHAOS_SEED={SEED}"
    assert set(account.coded) == {coding.name for coding in CODINGS}
    assert bool(account.cancelled) == (reader in ("asyncio", "uvloop", "trio"))


@pytest.mark.parametrize("reader", [reader for reader in READERS if "httpx2" not in reader])
def test_the_same_holds_over_http_2(reader):
    account = account_over_http2(reader, cuts=CUTS, seed=SEED)
    assert account.wrong is None, f"replay with CHAOS_SEED={SEED}"
    assert account.cuts == CUTS
    assert account.ends <= account.whole, f"a cut was taken for an end; replay with CHAOS_SEED={SEED}"
