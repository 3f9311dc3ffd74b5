"""Whether a service refuses a connection's key for everybody."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any, cast

import pytest

from airflow_provider_nugen.api.endpoint import Request
from airflow_provider_nugen.api.errors import ApiError, TransportError
from airflow_provider_nugen.api.nugen.service import NUGEN
from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.api.services import SERVICES
from airflow_provider_nugen.hooks import key_check
from airflow_provider_nugen.hooks.key_check import KeyCheck
from airflow_provider_nugen.hooks.settings import Settings
from airflow_provider_nugen.waiting.waiter import REFUSAL_RETRY

SETTINGS = Settings(NUGEN, "my_conn", "https://nugen.example", "a-test-key", "B")
REFUSED = RawResponse(401, b"")


class Transport:
    """Gives one answer to all, and counts."""

    def __init__(self, answer: int | ApiError, settings: Settings = SETTINGS) -> None:
        self.answer = answer
        self.settings = settings
        self.asked: list[Request] = []

    async def send(self, request: Request) -> RawResponse:
        """Answer."""
        self.asked.append(request)
        await asyncio.sleep(0)
        if isinstance(self.answer, ApiError):
            raise self.answer
        return RawResponse(self.answer, b"")


@pytest.mark.parametrize(
    ("answer", "refused"), [(401, True), (200, False), (403, False), (502, False), (TransportError("reset"), False)]
)
async def test_the_key_is_checked_once_for_all(answer: int | ApiError, refused: bool) -> None:
    check, transport = KeyCheck(), Transport(answer)
    assert set(await asyncio.gather(*(check.is_refused(cast("Any", transport)) for _ in range(20)))) == {refused}
    assert transport.asked == [Request("GET", "/api/v3/models/base")]
    assert (check.refusal(SETTINGS, check._checked_at) is not None) is refused


async def test_another_key_is_another_question_and_an_old_answer_is_none() -> None:
    check, other = KeyCheck(), replace(SETTINGS, api_key="another-test-key")
    check.record(SETTINGS, REFUSED)
    assert check.refusal(SETTINGS, check._checked_at) is REFUSED
    assert check.refusal(other, check._checked_at) is None
    assert check.refusal(SETTINGS, check._checked_at + key_check.REFUSAL_TTL + 1) is None
    assert not await check.is_refused(cast("Any", Transport(200, other)))


async def test_a_refusal_is_over_before_anybody_who_got_it_polls_again() -> None:
    # The service refuses every key for a moment: the second poll must ask it, not be told what the first one got.
    assert key_check.REFUSAL_TTL < REFUSAL_RETRY
    check = KeyCheck()
    check.record(SETTINGS, REFUSED)
    check._checked_at -= REFUSAL_RETRY
    assert check.refusal(SETTINGS, time.monotonic()) is None
    assert not await check.is_refused(cast("Any", Transport(200)))
    check._checked_at -= REFUSAL_RETRY
    assert not await check.is_refused(cast("Any", Transport(401)))


async def test_a_service_without_such_a_call_refuses_nobody_for_others() -> None:
    transport = Transport(401, replace(SETTINGS, service=replace(NUGEN, key_check="")))
    assert not await KeyCheck().is_refused(cast("Any", transport))
    assert transport.asked == []


def test_every_service_has_such_a_call() -> None:
    assert all(service.key_check.startswith("/") for service in SERVICES)
