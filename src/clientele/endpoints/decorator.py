"""What type checkers see of an endpoint: the decorated function without the injected parameters.

Its return type is always kept exactly. Its parameters are kept where `result` comes first, `(result, user_id)`, or
`(result, response, user_id)`: a `ParamSpec` can drop parameters from the front. It cannot drop a keyword-only one, so
after `(user_id, *, result)` the arguments are not checked; they are at run time.

`(*, result)` alone could be seen as `() -> R`, but no type can tell it from `(*, limit: int = 10, result)`, whose
callers would be refused; and mypy, where an annotation holds `Any` (`dict` does), would no longer know which overload
applies and drop the type altogether. For the same reason the `ParamSpec` overloads do not return a `Callable` but a
protocol: what mypy then makes of it is still accepted by its `--strict`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Never, ParamSpec, Protocol, TypeAlias, TypeVar, overload

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")


class CheckedEndpoint(Protocol[P, R_co]):
    """An endpoint whose parameters type checkers know."""

    __name__: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the endpoint."""


# `result` is keyword-only, behind up to three parameters of the caller's. Three of the four type checkers see these in
# the last overload too; ty needs to be shown them before it comes to those with a ParamSpec.


class _Keyword0(Protocol[R_co]):
    def __call__(self, *, result: Any) -> R_co: ...


class _Keyword1(Protocol[R_co]):
    def __call__(self, a: Never, /, *, result: Any) -> R_co: ...


class _Keyword2(Protocol[R_co]):
    def __call__(self, a: Never, b: Never, /, *, result: Any) -> R_co: ...


class _Keyword3(Protocol[R_co]):
    def __call__(self, a: Never, b: Never, c: Never, /, *, result: Any) -> R_co: ...


class _Keywords0(Protocol[R_co]):
    def __call__(self, *, result: Any, response: Any) -> R_co: ...


class _Keywords1(Protocol[R_co]):
    def __call__(self, a: Never, /, *, result: Any, response: Any) -> R_co: ...


class _Keywords2(Protocol[R_co]):
    def __call__(self, a: Never, b: Never, /, *, result: Any, response: Any) -> R_co: ...


class _Keywords3(Protocol[R_co]):
    def __call__(self, a: Never, b: Never, c: Never, /, *, result: Any, response: Any) -> R_co: ...


_ResultByKeyword: TypeAlias = (
    _Keyword0[R]
    | _Keyword1[R]
    | _Keyword2[R]
    | _Keyword3[R]
    | _Keywords0[R]
    | _Keywords1[R]
    | _Keywords2[R]
    | _Keywords3[R]
)


class _ResultAndResponseFirst(Protocol[P, R_co]):
    def __call__(self, result: Any, response: Any, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class _ResultFirst(Protocol[P, R_co]):
    def __call__(self, result: Any, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class EndpointDecorator(Protocol):
    """Turns a function into an endpoint."""

    # mypy calls the later overloads unmatchable where they are declared, though it does match them where they are used.
    @overload
    def __call__(self, function: _ResultByKeyword[R], /) -> Callable[..., R]: ...
    @overload
    def __call__(  # type: ignore[overload-cannot-match]
        self, function: _ResultAndResponseFirst[P, R], /
    ) -> CheckedEndpoint[P, R]: ...
    @overload
    def __call__(  # type: ignore[overload-cannot-match]
        self, function: _ResultFirst[P, R], /
    ) -> CheckedEndpoint[P, R]: ...
    @overload
    def __call__(self, function: Callable[..., R], /) -> Callable[..., R]: ...  # type: ignore[overload-cannot-match]
