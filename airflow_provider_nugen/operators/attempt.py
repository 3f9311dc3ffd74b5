"""Which job belongs to a task instance: a name and a memory that outlive a crash."""

from __future__ import annotations

import hashlib
import re
import time
from typing import TYPE_CHECKING, Any

from airflow_provider_nugen.compat import task_state_store

if TYPE_CHECKING:
    from airflow.sdk import Context

#: Where the task state store keeps what is known of the job (Airflow 3.3 and later).
STORE_KEY = "airflow_provider_nugen.job"


class Attempt:
    """
    One attempt of a task instance: a try with its retries. Clearing the task begins another attempt.

    Retries share a job, attempts do not. The attempt is told by ``ti.max_tries - task.retries``, which is the same in
    all retries, and another one after each clear (but not after one while the task ran: to Airflow that is a retry).

    :param context: the context of the running task.
    """

    def __init__(self, context: Context) -> None:
        ti = context["ti"]
        self.number: int = ti.max_tries - (ti.task.retries or 0)
        #: No try before this one can have sent anything.
        self.is_first_try: bool = ti.try_number <= self.number + 1
        identity = "\n".join(map(str, (ti.dag_id, ti.run_id, ti.task_id, ti.map_index)))
        readable = re.sub(r"[^A-Za-z0-9_.-]+", "-", f"{ti.dag_id}.{ti.task_id}")[:60]
        #: What the generated names of all attempts begin with.
        self.name_prefix = f"{readable}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}-"
        self.name = f"{self.name_prefix}{self.number}"
        started = getattr(context.get("dag_run"), "start_date", None)
        #: When the DAG run began, in epoch seconds: no job of ours is older.
        self.not_before: float | None = started.timestamp() if started else None
        self._store = task_state_store(context)
        stored = None if self._store is None else self._store.get(STORE_KEY)
        self._entry: dict[str, Any] = stored if isinstance(stored, dict) else {}
        if self._entry.get("attempt") != self.number:
            job_id = self._entry.get("job_id")
            self._entry = {"earlier": [*self.previous_job_ids, *([job_id] if job_id else [])]}
        self._doubt = self.may_have_sent

    @property
    def has_memory(self) -> bool:
        """What a try learned is known to the next."""
        return self._store is not None

    @property
    def previous_job_ids(self) -> list[str]:
        """Jobs of this task that it does not go on with: of attempts before, or ended without success."""
        return list(self._entry.get("earlier") or [])

    @property
    def job_id(self) -> str | None:
        """The job that a try before this one started, if it is known."""
        return self._entry.get("job_id")

    @property
    def submitted_at(self) -> float | None:
        """When the first try began to send, in epoch seconds, if it is known."""
        return self._entry.get("since")

    @property
    def may_have_sent(self) -> bool:
        """A try before this one may have started a job without having learned its id."""
        return bool(self._entry.get("sending")) if self.has_memory else not self.is_first_try

    def record_sending(self) -> None:
        """Remember, before sending, that it may arrive without an answer."""
        self._keep(sending=True, since=self.submitted_at or time.time())

    def record_not_sent(self) -> None:
        """Remember that the service provably did not act on what was sent; what was doubtful before still is."""
        self._keep(sending=self._doubt)

    def record_started(self, job_id: str) -> None:
        """Remember the job."""
        self._keep(sending=False, job_id=job_id)

    def record_ended(self) -> None:
        """Forget the job: it ended without success, and is not adopted again."""
        self._keep(
            sending=False,
            job_id=None,
            since=None,
            previous_job_ids=[*self.previous_job_ids, *filter(None, [self.job_id])],
        )

    def _keep(self, **changes: Any) -> None:
        self._entry = {**self._entry, **changes, "attempt": self.number}
        if self._store is not None:
            self._store.set(STORE_KEY, self._entry)
