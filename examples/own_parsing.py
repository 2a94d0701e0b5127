"""Data in a form of its own: a parser of yours makes the items, and what it refuses is skipped and logged."""

import logging
import sys
from decimal import Decimal, InvalidOperation
from typing import Iterator, NamedTuple

from clientele import api

logging.basicConfig(stream=sys.stdout, format="%(levelname)s: %(message)s")
client = api.APIClient(base_url="http://localhost:8000")


class Price(NamedTuple):
    symbol: str
    amount: Decimal


def parse_price(text: str) -> Price:
    symbol, amount = text.split(";")
    try:
        return Price(symbol, Decimal(amount))
    except InvalidOperation as error:
        raise ValueError(f"{amount!r} is no amount") from error


@client.get("/prices", streaming_response=True, response_parser=parse_price, on_invalid="skip")
def stream_prices(*, result: Iterator[Price]) -> Iterator[Price]:
    return result


for price in stream_prices():
    print(price.symbol, price.amount)
