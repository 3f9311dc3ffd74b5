"""Objects that all users on one event loop share."""

from __future__ import annotations

import asyncio
import gc

from airflow_provider_nugen.hooks.registry import LoopRegistry


async def test_an_object_is_shared_until_its_last_user_leaves() -> None:
    registry: LoopRegistry[list[int]] = LoopRegistry()
    first = registry.acquire("a", list)
    assert registry.acquire("a", list) is first
    assert registry.acquire("b", list) is not first
    assert len(registry.in_use()) == 2
    assert registry.release("a") is None
    assert registry.release("a") is first
    assert registry.acquire("a", list) is not first


def test_each_event_loop_has_its_own_and_takes_it_along_when_it_goes() -> None:
    registry: LoopRegistry[object] = LoopRegistry()

    async def acquire() -> object:
        return registry.acquire("a", object)

    assert asyncio.run(acquire()) is not asyncio.run(acquire())
    gc.collect()
    assert registry.in_use() == []
