"""One event trigger for every kind of job that a service lists: it fires for each that is newly done."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_provider_nugen.api.errors import ApiError, retry_after_seconds
from airflow_provider_nugen.api.job import JobKind
from airflow_provider_nugen.api.listings import listing_of
from airflow_provider_nugen.api.registry import KINDS
from airflow_provider_nugen.api.safe import safe_json
from airflow_provider_nugen.api.submission import ListCall, ListReader
from airflow_provider_nugen.compat import AssetStore, asset_state_store
from airflow_provider_nugen.hooks.client import AsyncClient
from airflow_provider_nugen.hooks.registry import LoopRegistry
from airflow_provider_nugen.waiting.waiter import Waiter
from airflow_provider_nugen.waiting.watch import FinishedJob, Watch, finished_jobs

#: Where what is old is kept, beside the kind of job and the connection.
STORE_KEY = "airflow_provider_nugen.watch"
#: A list that another watcher has read may be so old, in intervals: so there is one poll for all watchers of a
#: connection, and one that is alone reads it each time.
MAX_AGE = 0.9
#: No list is polled more often than this, in seconds.
MIN_INTERVAL = 1.0
#: That a list could not be read holds for so many seconds for all watchers of a connection.
MAX_ERROR_AGE = 3.0
#: Seconds between two lines of the log where nothing can be watched.
UNKNOWN_KIND_PAUSE = 600.0


class JobWatchTrigger(BaseEventTrigger):
    """
    Fires an event for every job of an account that is newly done, whoever started it.

    At least once, also when triggerers are killed: what was fired is stored with the asset (Airflow 3.3 and later) one
    poll later, so a job can be fired again after a crash; its id in the payload tells. In one process no job is fired
    twice. Before 3.3 there is no such store: what is done while no triggerer runs is not noticed, unless ``since`` is
    set, with which a restart fires everything since then again.

    Runs for ever, and never raises.

    :param name: the asset's name. Part of the arguments so that two assets never share a trigger.
    :param kind: the key of the kind of job, see :data:`~airflow_provider_nugen.api.registry.KINDS`.
    :param conn_id: the Airflow connection.
    :param name_like: a pattern such as ``support-*`` that the name of a job must match.
    :param poke_interval: seconds between two polls of the list.
    :param since: at the first start, what was done after this is new, in epoch seconds; ``None`` = nothing is.
    :param unknown_kwargs: what another version of the provider has written is kept, and otherwise ignored.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        conn_id: str,
        name_like: str | None = None,
        poke_interval: float = 60.0,
        since: float | None = None,
        **unknown_kwargs: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kwargs: dict[str, Any] = {
            "name": name,
            "kind": kind,
            "conn_id": conn_id,
            "name_like": name_like,
            "poke_interval": poke_interval,
            "since": since,
            **unknown_kwargs,
        }

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what another process needs to go on watching: JSON values that Airflow can carry."""
        return f"{type(self).__module__}.{type(self).__qualname__}", safe_json(self.kwargs)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Watch for ever; yield an event for each job that is newly done."""
        while (kind := KINDS.get(self.kwargs["kind"])) is None:
            self.log.error(
                "The triggerer does not know the kind of job %r: install the same version of airflow-provider-nugen "
                "there as where the DAGs are parsed, and restart it.",
                self.kwargs["kind"],
            )
            await asyncio.sleep(UNKNOWN_KIND_PAUSE)
        key = kind.key, self.kwargs["conn_id"]
        client = AsyncClient.acquire(kind.service, self.kwargs["conn_id"])
        listing = listings.acquire(key, lambda: SharedListing(kind))
        watch = Watch(
            kind,
            self.kwargs["conn_id"],
            max(float(self.kwargs["poke_interval"]), MIN_INTERVAL),
            self.kwargs["name_like"],
            self.kwargs["since"],
            fired=_fired.setdefault((self.trigger_id, self.kwargs["name"], *key), {}),
        )
        try:
            while True:
                payloads, sleep = await self._poll(watch, client, listing)
                for job, payload in payloads.items():
                    yield TriggerEvent(payload)
                    # Resumed only when the event is in the triggerer's hands.
                    watch.on_fired(job, time.time())
                await asyncio.sleep(sleep)
        finally:
            listings.release(key)
            await client.release()

    async def _poll(
        self, watch: Watch, client: AsyncClient, listing: SharedListing
    ) -> tuple[dict[str, dict[str, Any]], float]:
        """Poll once; return what is to be fired, and how long to sleep then. Never raises."""
        try:
            store = asset_state_store(self, self.kwargs["name"], f"{STORE_KEY}.{watch.kind.key}.{watch.conn_id}")
            if not watch.is_begun:
                watch.begin(await store.get())
            watch.settle(time.time())
            await _save(watch, store)
            watch.on_listing(await listing.read(client, watch.poke_interval * MAX_AGE), time.time())
            await _save(watch, store)
            for waiter in watch.due(time.time()):
                await self._poll_job(waiter, client)
        except ApiError as e:
            sleep = watch.on_failure(retry_after_seconds(e.retry_after, time.time()))
            level = logging.WARNING if watch.failures == 1 else logging.INFO
            self.log.log(level, "%s (%d in a row.) The next poll is in %.0f s.", e, watch.failures, sleep)
        except Exception:
            sleep = watch.on_failure(None)
            self.log.exception("Watching for %r failed. The next poll is in %.0f s.", self.kwargs["name"], sleep)
        else:
            sleep = watch.sleep(time.time())
        payloads, messages = watch.news(time.time())
        for message in messages:
            self.log.log(message.level, message.text)
        return safe_json({job: {**payload, "conn_id": watch.conn_id} for job, payload in payloads.items()}), sleep

    async def _poll_job(self, waiter: Waiter[Any], client: AsyncClient) -> None:
        """Do the I/O that the waiter wants until it wants to sleep or is done."""
        while True:
            call = waiter.next_call()
            try:
                decision = waiter.on_response(call, await client.fetch(call), time.time())
            except ApiError as e:
                decision = waiter.on_error(call, e, time.time())
            for message in decision.messages:
                self.log.log(message.level, message.text)
            if decision.result or decision.sleep:
                return


async def _save(watch: Watch, store: AssetStore) -> None:
    if watch.is_dirty:
        await store.set(watch.to_json())
        watch.on_stored()


class SharedListing:
    """
    The jobs that are done, as one list says: one poll for all watchers of a connection.

    :param kind: the kind of job.
    """

    def __init__(self, kind: JobKind[Any]) -> None:
        self._kind = kind
        self._submission = listing_of(kind)
        self._lock = asyncio.Lock()
        self._asked_at = -math.inf
        self._body_hash: int | None = None
        self._finished: Mapping[str, FinishedJob] = {}
        self._error: ApiError | None = None

    async def read(self, client: AsyncClient, max_age: float) -> Mapping[str, FinishedJob]:
        """
        Read the list, unless another watcher has just read it.

        :param client: what sends the request.
        :param max_age: how many seconds old the list may be.
        :return: the jobs that are done, by the digests of their ids.
        :raises ApiError: if it could not be read, by this watcher or by another one within :data:`MAX_ERROR_AGE`.
        """
        async with self._lock:
            age = time.monotonic() - self._asked_at
            if age >= (max_age if self._error is None else min(max_age, MAX_ERROR_AGE)):
                self._asked_at, self._error = time.monotonic(), None
                try:
                    await self._fetch(client)
                except ApiError as e:
                    self._error = e
            if self._error is not None:
                raise self._error
            return self._finished

    async def _fetch(self, client: AsyncClient) -> None:
        """Read all pages. A list of ten thousand jobs takes a while to read, so a thread does it."""
        submission, reader = self._submission, ListReader(self._submission)
        listing: Any = submission.listing
        while reader.next_offset is not None:
            page = {"limit": submission.page, "offset": reader.next_offset} if submission.page else {}
            call = ListCall.of(listing.call(**page))
            response = await client.fetch(call)
            body_hash = hash((response.status, response.body))
            if not page and body_hash == self._body_hash:
                return
            reader.add(await asyncio.to_thread(call.read, response, client.conn_id))
            self._body_hash = body_hash
        self._finished = await asyncio.to_thread(finished_jobs, self._kind, reader.result().jobs)


listings: LoopRegistry[SharedListing] = LoopRegistry()
#: What was fired in this process and is not yet stored, by the trigger's row and what it watches: Airflow starts a
#: trigger again in the same process. A row that is new may have taken the place of one whose last event was lost with
#: it, so it does not count.
_fired: dict[tuple[Any, ...], dict[str, float]] = {}
