"""Checks of what users hand in: functions that are called for them, numbers."""

from __future__ import annotations

import inspect
import math
import types
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def check_function(name: str, value: object, kind: str) -> None:
    """Hold a value against what is expected of a function that is called with one argument, and not awaited.

    Parameters:
        name: What the value was handed in as.
        value: The value.
        kind: What is expected, in words.

    Raises:
        TypeError: It is no function, an asynchronous one, or does not take one argument.
    """
    if not callable(value):
        raise TypeError(f"{name} is {value!r}; it is {kind}")
    functions = (value, getattr(type(value), "__call__", None))  # noqa: B004
    if any(inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each) for each in functions):
        raise TypeError(f"{name} is an async function; nothing awaits it, so pass a plain function")
    refusal = refusal_of_one_argument(value)
    if refusal is not None:
        raise TypeError(f"{name} is called with one argument, and {value!r} does not take it: {refusal}")


def refusal_of_one_argument(function: Callable[..., Any]) -> str | None:
    """Why a function cannot be called with one argument; `None` if it can, or does not tell its signature."""
    try:
        inspect.signature(function).bind(object())
    except TypeError as error:
        return str(error)
    except ValueError:  # built-in ones do not tell
        pass
    return None


def not_awaitable(name: str, value: T) -> T:
    """What a function of the user's returned, if it is not a coroutine, which nothing would await.

    Raises:
        TypeError: It is one.
    """
    if isinstance(value, types.CoroutineType):
        value.close()
        raise TypeError(f"{name} returned a coroutine, which nothing awaits; pass a plain function")
    return value


def is_number(value: object, *kinds: type) -> bool:
    """Whether it is a number of one of these kinds, above 0 and finite."""
    return isinstance(value, kinds) and not isinstance(value, bool) and 0 < value < math.inf  # type: ignore[operator]
