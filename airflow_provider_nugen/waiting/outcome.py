"""How the wait for one job ends: its result, and what is said of it."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from airflow_provider_nugen.api.errors import ApiError
from airflow_provider_nugen.api.job import CANCELLED, SUCCEEDED, JobKind, JobStatus
from airflow_provider_nugen.waiting.result import Decision, LogMessage, Outcome, WaitResult, cut
from airflow_provider_nugen.waiting.state import WaitSettings, WaitState

if TYPE_CHECKING:
    from airflow_provider_nugen.api.models import ServiceModel

M = TypeVar("M", bound="ServiceModel")

#: The most characters of the service's reason in a message.
MAX_REASON = 10_000


@dataclass(slots=True)
class JobOutcome(Generic[M]):
    """
    What is waited for, and how that ended.

    :param kind: the kind of job.
    :param job_id: its id.
    :param conn_id: the Airflow connection, for messages.
    :param settings: what the user asked for.
    :param state: what is known already.
    :param rand: gives random numbers from 0 to 1, for jitter.
    :param one_of_many: the task waits for other jobs, too: the log has no progress of each.
    """

    kind: JobKind[M]
    job_id: str
    conn_id: str
    settings: WaitSettings
    state: WaitState
    rand: Callable[[], float] = random.random
    one_of_many: bool = False
    #: How the wait ended, and the same without the name of the job.
    result: WaitResult | None = field(default=None, init=False)
    what: str = field(default="", init=False)
    #: The answer of a finished job that lacks something; its detail is asked for once.
    _incomplete: tuple[M, JobStatus] | None = field(default=None, init=False)

    def _without_detail(self, now: float, error: ApiError | None = None) -> Decision:
        assert self._incomplete is not None  # noqa: S101  # only called after it was set
        answer, status = self._incomplete
        trouble = f" (reading it failed: {error.advice})" if error else ""
        other = "detail" if self.kind.detail else "entry in the list"
        return self._finish(
            Outcome.FAILED,
            f"is {status.status!r}, but neither its status nor its {other} names a {status.missing_field}{trouble}. "
            "Ask the service's support what became of it.",
            result=self._final_status(answer, status, now),
        )

    def _final_status(self, answer: M, status: JobStatus, now: float) -> dict[str, Any]:
        """Build what the wait returns, with how long it and its job took."""
        result = self.kind.result(answer, status)
        durations = {
            "waited_seconds": round(max(now - self.state.began, 0.0), 3),
            "job_seconds": self.kind.job_seconds(result),
        }
        return {**result, **durations}

    def _end(self, answer: M, status: JobStatus, messages: list[LogMessage], now: float) -> Decision:
        result, word = self._final_status(answer, status, now), cut(status.status, MAX_REASON)
        if status.state is SUCCEEDED:
            warning = cut(status.warning, MAX_REASON)
            if warning:
                messages.append(LogMessage(logging.WARNING, f"{self._subject()}: {warning}"))
            tail = f" Warning: {warning}" if warning else ""
            return self._finish(Outcome.SUCCEEDED, f"is done: {word}.{tail}", messages, result)
        outcome = Outcome.CANCELLED if status.state is CANCELLED else Outcome.FAILED
        verb = "was stopped" if outcome is Outcome.CANCELLED else "failed"
        reason = cut(status.reason, MAX_REASON).rstrip(". ") or "the service gives no reason"
        return self._finish(outcome, f"{verb} (status {word!r}): {reason}.", messages, result)

    def _finish(
        self,
        outcome: Outcome,
        what: str,
        messages: list[LogMessage] | None = None,
        result: dict[str, Any] | None = None,
        *,
        of_status: bool = False,
    ) -> Decision:
        """End the wait; ``of_status``: it is the status of the job that something happened to, not the job."""
        messages = messages or []
        self.what = f"its status {what}" if of_status else what
        self.result = WaitResult(outcome, f"{self._status() if of_status else self._subject()} {what}", result)
        self.state.over = True
        # If it is taken over by somebody who does not know the result, that is read at once.
        self.state.due = None
        if self.one_of_many and outcome is not Outcome.SUCCEEDED:
            messages.append(LogMessage(logging.WARNING, self.result.message))
        return Decision(result=self.result, messages=tuple(messages))

    def _subject(self, prefix: str = "") -> str:
        kind = self.kind
        return f"{kind.service.name} (connection {self.conn_id!r}): {prefix}{kind.subject(self.job_id)}"

    def _status(self) -> str:
        return self._subject("the status of ")
