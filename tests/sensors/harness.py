"""Running a sensor as Airflow does: on a worker, in the triggerer, and on a worker again."""

from __future__ import annotations

import asyncio
import contextvars
import json
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pydoc import locate
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from airflow.models.trigger import Trigger
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.execution_time.comms import _RequestFrame
from airflow.sdk.execution_time.task_runner import _defer_task
from airflow.sdk.execution_time.timeout import timeout
from airflow.triggers.base import TriggerEvent

if TYPE_CHECKING:
    from airflow.sdk.exceptions import TaskDeferred
    from airflow.serialization.serialized_objects import DagSerialization
else:
    try:
        from airflow.sdk.exceptions import TaskDeferred
        from airflow.serialization.serialized_objects import DagSerialization
    except ImportError:  # Airflow 3.1
        from airflow.exceptions import TaskDeferred
        from airflow.serialization.serialized_objects import SerializedDAG as DagSerialization

from airflow_provider_nugen.compat import AirflowRescheduleException, AirflowTaskTimeout
from airflow_provider_nugen.triggers.job import JobTrigger


def stored(dag: DAG) -> str:
    """Return what Airflow stores of a DAG in its database, once it has been read again."""
    text = json.dumps(DagSerialization.to_dict(dag))
    assert DagSerialization.from_dict(json.loads(text)).task_dict.keys() == dag.task_dict.keys()
    return text


#: How to wait: the arguments of a sensor that choose it.
MODES: dict[str, dict[str, Any]] = {
    "deferrable": {},
    "poke": {"deferrable": False},
    "reschedule": {"deferrable": False, "mode": "reschedule"},
}
#: Seconds after which a wait that should be over is taken to be broken.
MAX_WAIT = 20.0


def carried(value: Any) -> Any:
    """Send a value as a task or a triggerer sends it to its supervisor, and return it as it arrives."""
    frame = bytes(_RequestFrame(id=1, body={"value": value}).as_bytes()[4:])
    arrived = msgspec.msgpack.decode(frame)[1]["value"]
    # The supervisor's request to the API server, and the database: JSONB of PostgreSQL holds no NUL.
    assert "\0" not in _texts(arrived)
    json.dumps(arrived, allow_nan=False).encode()
    json.dumps(arrived, allow_nan=False, ensure_ascii=False).encode()
    # JSONB writes every digit of a number: what comes back from the database must reach the next worker.
    back = json.loads(json.dumps(arrived), parse_float=lambda text: int(float(text)) if "e+" in text else float(text))
    _RequestFrame(id=1, body={"value": back}).as_bytes()
    return arrived


def _texts(value: Any) -> str:
    if isinstance(value, dict):
        value = [*value, *value.values()]
    return "".join(map(_texts, value)) if isinstance(value, list) else str(value)


class Store:
    """A task state store, as Airflow 3.3 and later have it: JSON goes in and comes out."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return json.loads(self.values[key]) if key in self.values else default

    def set(self, key: str, value: Any) -> None:
        self.values[key] = json.dumps(carried(value), allow_nan=False)

    def delete(self, key: str) -> None:
        self.values.pop(key, None)


class TaskInstance:
    """What a sensor sees of its task instance."""

    def __init__(self, task: BaseOperator, map_index: int = -1) -> None:
        self.task = task
        self.dag_id, self.run_id, self.task_id, self.map_index = "a_dag", "a_run", task.task_id, map_index
        self.try_number, self.max_tries = 1, 0
        self.xcoms: dict[str, Any] = {}
        self.first_poke: datetime | None = None

    def xcom_push(self, key: str, value: Any) -> None:
        carried(BaseXCom.serialize_value(value))
        self.xcoms[key] = value

    def get_first_reschedule_date(self, context: Any) -> datetime | None:
        return self.first_poke


@dataclass
class Run:
    """
    A run of a task.

    :param xcoms: what it pushed, as JSON brings it to another task.
    :param error: the exception that ended it.
    :param deferrals: the triggers that it deferred to.
    :param pokes: how many times a worker took it up.
    """

    xcoms: dict[str, Any] = field(default_factory=dict)
    error: BaseException | None = None
    deferrals: list[TaskDeferred] = field(default_factory=list)
    pokes: int = 0

    @property
    def value(self) -> Any:
        """What it returned."""
        if self.error is not None:
            raise self.error
        return self.xcoms["return_value"]

    @property
    def ending(self) -> type[BaseException] | None:
        """The class of the exception that ended it."""
        return type(self.error) if self.error is not None else None


def run(
    make: Callable[[], Any], key: str, *, store: Store | None = None, ti: TaskInstance | None = None, **context: Any
) -> Run:
    """
    Run a sensor to its end.

    :param make: makes the sensor, anew for each process that has it, as parsing a DAG file does.
    :param key: the API key, which must turn up nowhere.
    :param store: the task state store, where there is one.
    :param ti: the task instance.
    :param context: more of the context.
    """
    result = Run()
    ti = ti or TaskInstance(make())
    context |= {"ti": ti} | ({"task_state_store": store} if store else {})
    give_up = time.monotonic() + MAX_WAIT
    resume: tuple[str, dict[str, Any]] | None = None
    try:
        while time.monotonic() < give_up:
            sensor = make()
            sensor.render_template_fields(context, sensor.get_template_env())
            began = datetime.now(UTC)
            result.pokes += 1
            try:
                if resume is None:
                    value = on_worker(sensor, sensor.execute, context=context)
                else:
                    value = on_worker(
                        sensor, sensor.resume_execution, next_method=resume[0], next_kwargs=resume[1], context=context
                    )
            except AirflowRescheduleException as e:
                ti.first_poke = ti.first_poke or began
                time.sleep(max((e.reschedule_date - datetime.now(UTC)).total_seconds(), 0))
                continue
            except TaskDeferred as e:
                deferred = e
            else:
                ti.xcom_push("return_value", value)
                break
            # Outside of the handler, since the triggerer is another process.
            result.deferrals.append(deferred)
            (event,) = asyncio.run(events_of(through_the_database(deferred, ti, key)))
            resume = deferred.method_name, {**(deferred.kwargs or {}), "event": event}
        else:
            raise AssertionError(f"still waiting after {MAX_WAIT} s")
    except (Exception, AirflowTaskTimeout) as e:
        if isinstance(e, (AssertionError, TypeError)):
            raise
        result.error = e
    assert key not in repr(result.error)
    assert result.error is None or key not in "".join(traceback.format_exception(result.error))
    result.xcoms = json.loads(json.dumps(ti.xcoms, allow_nan=False))
    assert key not in json.dumps(result.xcoms)
    return result


def on_worker(task: Any, call: Callable[..., Any], **kwargs: Any) -> Any:
    """Call a method of a task as the task runner does, with its ``execution_timeout``."""
    context = contextvars.copy_context()
    context.run(ExecutorSafeguard.tracker.set, task)
    if task.execution_timeout is None:
        return context.run(call, **kwargs)
    with timeout(task.execution_timeout.total_seconds()):
        return context.run(call, **kwargs)


def through_the_database(deferred: TaskDeferred, ti: TaskInstance, key: str) -> JobTrigger:
    """
    Make the trigger of another process: written as a worker does it, stored, and read as a triggerer does it.

    On the way, its arguments must be plain JSON without the key.
    """
    trigger = deferred.trigger
    classpath, kwargs = trigger.serialize()
    if isinstance(trigger, JobTrigger):
        # Airflow's own triggers have times among their arguments, which it knows how to store.
        assert json.loads(json.dumps(carried(kwargs), allow_nan=False)) == kwargs
    for text in (str(kwargs), repr(trigger), str(trigger), repr(deferred)):
        assert key not in text
    message, _ = _defer_task(deferred, ti, structlog.get_logger())
    sent = json.loads(message.model_dump_json())
    # What the api-server stores.
    read = Trigger._decrypt_kwargs(json.dumps(sent["trigger_kwargs"]))
    again: JobTrigger = locate(sent["classpath"])(**read)
    assert again.serialize() == (classpath, kwargs)
    return again


async def events_of(trigger: JobTrigger) -> list[Any]:
    """Run a trigger to its end; return the payloads of its events, as they arrive on a worker."""
    events: list[Any] = []
    async for event in trigger.run():
        assert isinstance(event, TriggerEvent)
        events.append(carried(json.loads(json.dumps(event.payload, allow_nan=False, default=str))))
    return events
