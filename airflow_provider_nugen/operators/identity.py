"""Which job belongs to a task: a name that no other task generates, and a record that outlives a crash."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_nugen.api.submission import CLOCK_SKEW, Sent
from airflow_provider_nugen.compat import task_state_store, task_state_survives_clear

if TYPE_CHECKING:
    from airflow.sdk import Context

#: Where the task state store keeps the record (Airflow 3.3 and later).
STORE_KEY = "airflow_provider_nugen.job"
#: Types of runs that begin when somebody or something triggers them.
TRIGGERED = frozenset({"manual", "operator_triggered", "asset_triggered", "asset_materialization"})


class TaskIdentity:
    """
    What tells a task from all others that may use the same account, and its tries before and after a clear.

    A task is its DAG, run, task id, map index and loop index (Airflow 3.4), and what tells its run from one that was
    deleted and made again, and from the run of equal id in another Airflow. That is the microsecond at which the run
    was triggered; scheduled runs of two Airflows are due at the same one, so of these it is the microsecond at which
    the run was started. Clearing a task of a run that is over starts the run again, so the jobs from before are known
    only by what does not tell the two Airflows apart: :attr:`kin_key`.

    All retries share ``max_tries``, as the database has it; clearing the task raises it. The ``retries`` of the DAG
    file play no part, since they can be edited between two tries.

    A task that starts several jobs has one identity for each.

    :param context: the context of the running task.
    :param item: which of several jobs, from 0; ``None`` for a task of one job.
    :param task_id: another task of the same run, whose jobs are searched for; default: the running one.
    """

    def __init__(self, context: Context, item: int | None = None, *, task_id: str | None = None) -> None:
        ti = context["ti"]
        task_id = task_id or ti.task_id
        run = context.get("dag_run")
        started: datetime | None = getattr(run, "start_date", None)
        due: datetime | None = getattr(run, "run_after", None)
        #: When the run began, in epoch seconds by Airflow's clock: no job of the task is older, unless the run was
        #: started again.
        self.run_started: float | None = _epoch(started)
        #: When the run was due, in epoch seconds: it cannot have begun before.
        self.run_due: float | None = _epoch(due)
        #: A task of the run was cleared, which starts a run again that is over.
        self.run_was_cleared: bool = bool(getattr(run, "clear_number", None))
        #: The iteration of a loop; ``None`` outside of loops.
        self.loop_index = _loop_index(context)
        # Only what is triggered, not what is due by a timetable, has a moment that no other run has.
        is_triggered = str(getattr(run, "run_type", "")).rpartition(".")[2].lower() in TRIGGERED
        #: Starting the run again changes nothing: a moment of its own tells it from all others.
        self.survives_clear: bool = is_triggered and due is not None and due.microsecond != 0
        origin = due if self.survives_clear else started
        microseconds = None if origin is None else int(origin.timestamp() * 1_000_000)
        kin = [ti.dag_id, ti.run_id, task_id, ti.map_index, self.loop_index]
        self._item = item
        if item is not None:
            kin.append(item)
        #: The same whatever becomes of the run, but also in another Airflow that has a run of this id.
        self.kin_key = _digest(kin, 10)
        #: The same before and after a clear, as long as the run is not started again by it.
        self.task_key = self.kin_key + _digest([*kin, microseconds], 8)
        #: The same in all retries, and another one after a clear.
        self.key = self.task_key + _digest([*kin, microseconds, ti.max_tries], 6)
        self._readable = re.sub(r"[^A-Za-z0-9_.-]+", "-", f"{ti.dag_id}.{task_id}")[:60]
        #: No earlier try can have sent anything.
        self.is_first_try: bool = ti.try_number <= 1
        # What version 1.0 named and recorded.
        number = ti.max_tries - (getattr(ti.task, "retries", None) or 0)
        task_1_0 = "\n".join(map(str, (ti.dag_id, ti.run_id, task_id, ti.map_index)))
        self._attempt_1_0: int = number
        self.name_1_0 = f"{self._readable}-{hashlib.sha256(task_1_0.encode()).hexdigest()[:12]}-{number}"

    def name(self, key: str) -> str:
        """Return a name for a job: the key first, so that it survives where names are cut."""
        return f"{key}-{self._readable}"

    @property
    def store_key(self) -> str:
        """Where the record is kept: all iterations of a loop share one store."""
        loop = "" if self.loop_index is None else f".{self.loop_index}"
        return f"{STORE_KEY}{loop}" if self._item is None else f"{STORE_KEY}{loop}.item-{self._item}"

    def wrote(self, entry: Mapping[str, Any]) -> bool:
        """Decide whether a stored record is of a try that shares its job with this one."""
        if "identity" in entry:
            return entry["identity"] in (self.key, self.name_1_0)
        return bool(entry.get("attempt") == self._attempt_1_0)


class JobRecord:
    """
    What is known of the job of a task; kept in the task state store where there is one.

    :param identity: the task.
    :param context: the context of the running task.
    :param adopt: continue with what was recorded before the task was cleared. So always where Airflow empties the store
        with a clear unless a user keeps it (3.4 and later).
    """

    def __init__(self, identity: TaskIdentity, context: Context, *, adopt: bool = False) -> None:
        self._identity = identity
        self._store_key = identity.store_key
        self._store = task_state_store(context)
        stored = None if self._store is None else self._store.get(self._store_key)
        entry: dict[str, Any] = stored if isinstance(stored, dict) else {}
        #: What is recorded is of a try from before the task was cleared, and it starts anew.
        self.starts_anew = False
        cleared = bool(entry) and not identity.wrote(entry)
        if cleared and not adopt and task_state_survives_clear():
            #: Whether an earlier try, before the task was cleared, may have started a job of which only this is known.
            self.sent_before_clear = _sent(entry) if entry.get("sending") else None
            self._entry: dict[str, Any] = {"earlier": _job_ids(entry), "items": entry.get("items")}
            self.starts_anew = True
        else:
            self.sent_before_clear = None
            self._entry = entry
        #: What the names of the task's jobs contain: the key that they were first recorded with.
        self.key: str = identity.key
        if self._entry is entry and entry:
            self.key = entry.get("identity") or identity.name_1_0
        #: Nothing is known of what earlier tries did; to be adopted, a job from before a clear is told by name alone.
        self._is_blind = self._store is None or (adopt and not entry and not task_state_survives_clear())
        self.name_key: str = identity.task_key if adopt and self._is_blind else self.key
        #: To be adopted is a job of which only the kin is known, see :attr:`.TaskIdentity.kin_key`.
        self._wants_kin = adopt and self._is_blind and identity.run_was_cleared
        self._doubt = self.may_have_sent

    @property
    def has_store(self) -> bool:
        """What a try learned is known to the next."""
        return self._store is not None

    @property
    def is_empty(self) -> bool:
        """Nothing is known of the job: neither of this task's nor of one before it was cleared."""
        return not self._entry

    @property
    def previous_job_ids(self) -> list[str]:
        """Jobs of this task that it does not continue with: from before a clear, or ended without success."""
        return [*(self._entry.get("earlier") or ()), *(self._entry.get("previous_job_ids") or ())]

    @property
    def job_ids(self) -> list[str]:
        """All jobs of this task that are known, whether it continues with them or not."""
        return _job_ids(self._entry)

    @property
    def items(self) -> int:
        """How many jobs the task starts, as far as earlier tries knew; 0 for a task of one job."""
        return self._entry.get("items") or 0

    @property
    def job_id(self) -> str | None:
        """The job that an earlier try started, if it is known."""
        return self._entry.get("job_id")

    @property
    def status(self) -> str | None:
        """The last status word of the job that is known."""
        return self._entry.get("status")

    @property
    def has_failed(self) -> bool:
        """An earlier try has seen the job fail, with the status word :attr:`status`."""
        return bool(self._entry.get("has_failed"))

    @property
    def may_have_sent(self) -> bool:
        """An earlier try may have started a job without having learned its id."""
        return not self._identity.is_first_try if self._is_blind else bool(self._entry.get("sending"))

    @property
    def sent(self) -> Sent:
        """What is known of the requests that may have started a job."""
        return _sent(self._entry)

    @property
    def kin_key(self) -> str | None:
        """What names of jobs contain that may be the task's own, from before its run was started again."""
        return self._identity.kin_key if self._wants_kin and not self._identity.survives_clear else None

    @property
    def run_started(self) -> float | None:
        """When the run began for which the request was sent; clearing a task of a run that is over starts it again."""
        starts = [self._identity.run_started, self._entry.get("run_started")]
        if self._wants_kin:
            starts.append(self._identity.run_due)
        return min((start for start in starts if start is not None), default=None)

    def seconds_since_sent(self, now: float | None) -> float:
        """
        Return how many seconds ago the last request was sent, at the least.

        :param now: the service's clock, in epoch seconds, if it is known.
        """
        last = self._entry.get("last_sent")
        if last is not None and now is not None:
            return float(now - last)
        sent_at = self._entry.get("sent_at")
        return 0.0 if sent_at is None else time.time() - sent_at - CLOCK_SKEW

    def has_changed(self, inputs: str) -> bool:
        """Decide whether the inputs are others than those that were submitted."""
        return self._entry.get("inputs") not in (None, fingerprint(inputs))

    def record_sending(self, inputs: str, listed: Sequence[str] | None, now: float | None) -> None:
        """
        Record, before sending, that the request may arrive without an answer.

        :param inputs: what is submitted, as text.
        :param listed: ids of the jobs like it that are listed, if the list could be read.
        :param now: the service's clock, in epoch seconds, if it is known.
        """
        again = bool(self._entry.get("sending"))
        first, before = (self._entry.get("first_sent"), self._entry.get("listed")) if again else (now, listed)
        self._keep(
            sending=True,
            inputs=fingerprint(inputs),
            first_sent=first,
            last_sent=now,
            sent_at=time.time(),
            run_started=self.run_started,
            listed=None if before is None else list(before),
        )

    def record_not_sent(self) -> None:
        """Record that the service provably did not act on what was sent; what was doubtful before still is."""
        self._keep(sending=self._doubt)

    def record_items(self, items: int) -> None:
        """Record how many jobs the task starts; each of them has a record of its own."""
        self._keep(items=items or None)

    def record_started(self, job_id: str) -> None:
        """Record the job."""
        self._keep(sending=False, job_id=job_id, status=None, has_failed=False, listed=None)

    def record_status(self, status: str, *, has_failed: bool) -> None:
        """Record the status word with which a wait for the job ended."""
        if self.job_id is not None:
            self._keep(status=status, has_failed=has_failed)

    def record_ended(self) -> None:
        """Record that the task does not continue with its job."""
        self._keep(earlier=_job_ids(self._entry), previous_job_ids=None, sending=False, job_id=None, status=None)
        self._doubt = False

    def _keep(self, **changes: Any) -> None:
        self._entry = {**self._entry, **changes, "identity": self.key}
        if self._store is not None:
            self._store.set(self._store_key, {name: value for name, value in self._entry.items() if value is not None})


def fingerprint(inputs: str) -> str:
    """Return a short digest of what is submitted."""
    return hashlib.sha256(inputs.encode()).hexdigest()[:16]


def _digest(parts: Sequence[Any], length: int) -> str:
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:length]


def _epoch(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _sent(entry: Mapping[str, Any]) -> Sent:
    return Sent(entry.get("first_sent"), entry.get("last_sent"), entry.get("listed"))


def _job_ids(entry: Mapping[str, Any]) -> list[str]:
    """Return the ids of all jobs that a record names."""
    ids = [*(entry.get("earlier") or ()), *(entry.get("previous_job_ids") or ()), entry.get("job_id")]
    return list(dict.fromkeys(filter(None, ids)))


def _loop_index(context: Context) -> int | None:
    """Read the iteration of a loop; only Airflow 3.4 and later have loops."""
    loop: Any = context.get("loop")
    index = loop.get("index") if isinstance(loop, Mapping) else getattr(loop, "index", None)
    return index if isinstance(index, int) else None
