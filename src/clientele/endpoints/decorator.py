"""What type checkers see of an endpoint: the decorated function without the injected parameters.

Its return type is always kept exactly. Its parameters are kept where `result` comes first, `(result, user_id)`, or
`(result, response, user_id)`: a `ParamSpec` can drop parameters from the front. It cannot drop a keyword-only one, so
after `(user_id, *, result)` the arguments are not checked; they are at run time.

No type can tell `(*, result)` from `(*, limit: int = 10, result)`, so it is not seen as `() -> R`. The `ParamSpec`
overloads return a protocol, not a `Callable`: where an annotation holds `Any`, mypy's `--strict` still accepts it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar, overload

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")


class CheckedEndpoint(Protocol[P, R_co]):
    """An endpoint whose parameters type checkers know."""

    __name__: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the endpoint."""


class _ResultAndResponseFirst(Protocol[P, R_co]):
    def __call__(self, result: Any, response: Any, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class _ResultFirst(Protocol[P, R_co]):
    def __call__(self, result: Any, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class EndpointDecorator(Protocol):
    """Turns a function into an endpoint."""

    # mypy calls the last overload unmatchable where it is declared, though it does match it where it is used.
    @overload
    def __call__(self, function: _ResultAndResponseFirst[P, R], /) -> CheckedEndpoint[P, R]: ...
    @overload
    def __call__(self, function: _ResultFirst[P, R], /) -> CheckedEndpoint[P, R]: ...
    @overload
    def __call__(self, function: Callable[..., R], /) -> Callable[..., R]: ...  # type: ignore[overload-cannot-match]
