"""
Methods of hooks, declared once for sync and async code.

A method is declared by what it sends: a function of the hook's arguments that returns a
:class:`~airflow_provider_nugen.api.endpoint.Call`. :func:`sends` makes a method of it that sends the call and returns
the answer, :func:`asends` the same for async code. :class:`Pages` does it for lists that come in pages.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

from airflow_provider_nugen.api.endpoint import Call

if TYPE_CHECKING:
    from airflow_provider_nugen.hooks.base import ServiceHook

H = TypeVar("H", bound="ServiceHook")
P = ParamSpec("P")
T = TypeVar("T")
M = TypeVar("M", bound=Callable[..., Any])


def sends(build: Callable[Concatenate[H, P], Call[T]]) -> Callable[Concatenate[H, P], T]:
    """
    Make a method that sends a call and returns the answer.

    :param build: builds the call.
    """

    def method(self: H, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.call(build(self, *args, **kwargs))

    return _like(build, method)


def asends(method: Callable[Concatenate[H, P], T]) -> Callable[Concatenate[H, P], Awaitable[T]]:
    """
    Make the method for async code that sends the same call.

    :param method: what :func:`sends` has made.
    """
    build = cast("Callable[Concatenate[H, P], Call[T]]", inspect.unwrap(method))

    async def amethod(self: H, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.acall(build(self, *args, **kwargs))

    return _like(build, amethod, is_async=True)


class Pages:
    """
    A list that comes in pages.

    :param size: how many items a page has at the most.
    :param key: the attribute that tells an item from others.
    """

    def __init__(self, size: int, key: str) -> None:
        self.size = size
        self.key = attrgetter(key)

    def sends(
        self, build: Callable[Concatenate[H, int, int, P], Call[list[T]]]
    ) -> Callable[Concatenate[H, P], Iterator[T]]:
        """
        Make a method that yields all items; it reads a page when it is needed.

        :param build: builds the call for a page, from its size and where it begins.
        """

        def method(hook: H, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
            reading = _Reading(self)
            while not reading.is_over:
                yield from reading.new(hook.call(build(hook, self.size, reading.offset, *args, **kwargs)))

        return _like(build, method, pages="Iterator")

    def asends(self, method: Callable[Concatenate[H, P], Iterator[T]]) -> Callable[Concatenate[H, P], AsyncIterator[T]]:
        """
        Make the method for async code that yields the same items.

        :param method: what :meth:`sends` has made.
        """
        build = cast("Callable[Concatenate[H, int, int, P], Call[list[T]]]", inspect.unwrap(method))

        async def amethod(hook: H, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
            reading = _Reading(self)
            while not reading.is_over:
                for item in reading.new(await hook.acall(build(hook, self.size, reading.offset, *args, **kwargs))):
                    yield item

        return _like(build, amethod, pages="AsyncIterator", is_async=True)


class _Reading:
    """How far a list in pages is read."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._known = set[Any]()
        self.offset = 0
        self.is_over = False

    def new(self, page: list[T]) -> list[T]:
        """Return the items of a page that are new: a list that grows meanwhile shows some of them twice."""
        new = [item for item in page if self._pages.key(item) not in self._known]
        self._known.update(map(self._pages.key, new))
        self.offset += len(page)
        # A service that takes no notice of the offset answers with the same page for ever.
        self.is_over = len(page) < self._pages.size or not new
        return new


def _like(build: Callable[..., Call[Any]], method: M, *, pages: str = "", is_async: bool = False) -> M:
    """
    Give a method the name, the arguments and the documentation of what it was made of.

    :param build: what it was made of; its annotation says from now on what the method returns.
    :param method: the method.
    :param pages: what it returns, if it reads a list in pages.
    :param is_async: whether it is for async code.
    """
    name = f"a{build.__name__}" if is_async else build.__name__
    method.__name__, method.__module__ = name, build.__module__
    method.__qualname__ = f"{build.__qualname__.rpartition('.')[0]}.{name}"
    method.__doc__ = f"Do the same as :meth:`{build.__name__}`, in async code." if is_async else build.__doc__
    build.__annotations__["return"] = answer = _inner("Call", build.__annotations__["return"])
    method.__wrapped__ = build  # type: ignore[attr-defined]  # as functools.wraps does
    if pages:
        # Where a page begins and how long it is are not arguments of the method. Only here, since it takes its time.
        signature = inspect.signature(build)
        parameters = [p for p in signature.parameters.values() if p.name not in ("limit", "offset")]
        returned = f"{pages}[{_inner('list', answer)}]"
        method.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=parameters, return_annotation=returned
        )
    return method


def _inner(outer: str, annotation: str) -> str:
    return annotation.removeprefix(f"{outer}[").removesuffix("]") if annotation.startswith(f"{outer}[") else annotation
