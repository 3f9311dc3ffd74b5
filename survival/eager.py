"""A sensor without the pauses of the provider: back from the triggerer, and due again, at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Context
from airflow.triggers.base import TriggerEvent

from airflow_provider_nugen.api.registry import KINDS
from airflow_provider_nugen.compat import AirflowRescheduleException
from airflow_provider_nugen.sensors.nugen import AlignmentStatusSensor
from airflow_provider_nugen.triggers.job import JobTrigger

try:
    from airflow.sdk.exceptions import TaskDeferred
except ImportError:  # Airflow 3.1
    from airflow.exceptions import TaskDeferred  # type: ignore[no-redef]


class EagerTrigger(JobTrigger):
    """Fires its event at once, not after :data:`~airflow_provider_nugen.triggers.job.MIN_RUN_TIME`."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then yield the one event."""
        result = await self._wait(KINDS[self.kwargs["kind"]])
        yield TriggerEvent(result.to_event())


class EagerSensor(AlignmentStatusSensor):
    """Defers to :class:`EagerTrigger`; rescheduled, it is due again after its ``poke_interval``."""

    def execute(self, context: Context) -> Any:
        """Poke as any sensor; leave the worker in another way."""
        try:
            return super().execute(context)
        except TaskDeferred as deferred:
            deferred.trigger = EagerTrigger(**deferred.trigger.kwargs)
            raise
        except AirflowRescheduleException as e:
            due = datetime.now(UTC) + timedelta(seconds=float(self.poke_interval))
            raise AirflowRescheduleException(due) from e
