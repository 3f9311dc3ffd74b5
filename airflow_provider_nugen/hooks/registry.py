"""Objects that all users on one event loop share, each kept while anybody uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")


class LoopRegistry(Generic[T]):
    """Keeps one object per event loop and key: made for the first user, dropped with the last one."""

    def __init__(self) -> None:
        self._objects: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, T]] = WeakKeyDictionary()
        self._users: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, int]] = WeakKeyDictionary()

    def acquire(self, key: Hashable, make: Callable[[], T]) -> T:
        """
        Return the object of the running event loop.

        :param key: which object.
        :param make: makes it for the first user.
        """
        loop = asyncio.get_running_loop()
        objects, users = self._objects.setdefault(loop, {}), self._users.setdefault(loop, {})
        if key not in objects:
            objects[key] = make()
        users[key] = users.get(key, 0) + 1
        return objects[key]

    def release(self, key: Hashable) -> T | None:
        """
        Give an object back.

        :param key: which object.
        :return: the object if this was its last user, who has to close it.
        """
        loop = asyncio.get_running_loop()
        users = self._users[loop]
        users[key] -= 1
        if users[key]:
            return None
        del users[key]
        return self._objects[loop].pop(key)

    def in_use(self) -> list[T]:
        """Return all objects that anybody uses, of all event loops."""
        return [value for objects in self._objects.values() for value in objects.values()]
