"""The one place that knows the differences between the Airflow versions."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_nugen.api.service import Extra, Service

if TYPE_CHECKING:
    from airflow.sdk import Connection, Context
    from airflow.sdk.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowRescheduleException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
        TaskDeferralError,
        TaskDeferralTimeout,
    )
else:
    try:  # 3.2 and later
        from airflow.sdk.exceptions import (
            AirflowException,
            AirflowFailException,
            AirflowNotFoundException,
            AirflowRescheduleException,
            AirflowSensorTimeout,
            AirflowSkipException,
            AirflowTaskTimeout,
            TaskDeferralError,
            TaskDeferralTimeout,
        )
    except ImportError:  # 3.1
        from airflow.exceptions import (
            AirflowException,
            AirflowFailException,
            AirflowNotFoundException,
            AirflowRescheduleException,
            AirflowSensorTimeout,
            AirflowSkipException,
            AirflowTaskTimeout,
            TaskDeferralError,
            TaskDeferralTimeout,
        )

__all__ = [
    "MIN_RUN_TIME",
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowRescheduleException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "AssetStore",
    "TaskDeferralError",
    "TaskDeferralTimeout",
    "aget_connection",
    "asset_state_store",
    "is_still_deferred",
    "on_kill_timeout",
    "push_xcom",
    "task_state_store",
    "task_state_survives_clear",
    "with_form",
]

H = TypeVar("H", bound=type[Any])

#: The least seconds from the trigger's begin to its event. The event lets the scheduler queue the task again;
#: if it does so before it has read that the worker that deferred has exited, it fails the task with "state
#: mismatch" (Airflow 3.3.2, ``scheduler_job_runner.py``: ``SCHEDULED`` is let off, ``QUEUED`` is not). On a busy
#: machine the worker's exit and the scheduler's loop take seconds each.
MIN_RUN_TIME = 10.0


def with_form(hook_class: H) -> H:
    """
    Give a hook class of its own what Airflow reads of it: names, and the methods that 3.1 asks for its form.

    Later versions read the same form from the provider's metadata, and never call them.

    :param hook_class: the hook, with its ``service``.
    """
    service: Service = hook_class.service
    hook_class.conn_type = service.conn_type
    hook_class.hook_name = service.name
    hook_class.conn_name_attr = f"{service.conn_type}_conn_id"
    hook_class.get_connection_form_widgets = staticmethod(
        lambda: {extra.name: _widget(extra) for extra in service.extras}
    )
    hook_class.get_ui_field_behaviour = staticmethod(lambda: service.form_behaviour)
    return hook_class


def _widget(extra: Extra) -> Any:
    """
    Make the widget of one extra; Airflow 3.1 puts stand-ins in the place of these classes.

    They know no numbers but whole ones, so a number is text there, as in any extra.
    """
    from wtforms import BooleanField, StringField  # type: ignore[import-untyped]
    from wtforms.validators import any_of  # type: ignore[import-untyped]

    if extra.type == "boolean":
        return BooleanField(extra.label, description=extra.description, default=extra.default)
    return StringField(
        extra.label,
        validators=[any_of(list(extra.choices))] if extra.choices else [],
        description=extra.description,
        default=None if extra.default is None else str(extra.default),
    )


async def aget_connection(conn_id: str) -> Connection:
    """
    Read a connection in a trigger.

    In ``dag.test()`` triggers share a process with the supervisor, which Airflow (3.3.2) cannot ask asynchronously:
    there ``aget_connection`` finds nothing but environment variables, and says that the connection is missing.

    :raises AirflowNotFoundException: if it is not found.
    """
    from airflow.sdk import BaseHook
    from airflow.sdk.execution_time import task_runner

    supervisor = getattr(task_runner, "SUPERVISOR_COMMS", None)
    if supervisor is None or hasattr(supervisor, "asend"):
        return await BaseHook.aget_connection(conn_id)
    return await asyncio.to_thread(BaseHook.get_connection, conn_id)


def task_state_store(context: Context) -> Any:
    """
    Return what keeps values of a task over retries and reschedules: 3.3 and later, else ``None``.

    :param context: the context of the running task.
    """
    return context.get("task_state_store")


class AssetStore:
    """
    Keeps a value of an asset, for a trigger that watches it.

    :param accessor: Airflow's store of the asset (3.3 and later); ``None`` keeps the value in the process.
    :param name: the asset's name.
    :param key: which value.
    """

    def __init__(self, accessor: Any, name: str, key: str) -> None:
        self._accessor = accessor
        self._name = name
        self._key = key

    async def get(self) -> Any:
        """Return the value; ``None`` if there is none."""
        if self._accessor is None:
            return _asset_values.get((self._name, self._key))
        if (aget := getattr(self._accessor, "aget", None)) is not None:
            return await aget(self._key)
        return await asyncio.to_thread(self._accessor.get, self._key)  # 3.3.0 and 3.3.1

    async def set(self, value: Any) -> None:
        """
        Keep a value.

        :param value: any JSON but ``None``.
        """
        if self._accessor is None:
            _asset_values[self._name, self._key] = value
        elif (aset := getattr(self._accessor, "aset", None)) is not None:
            await aset(self._key, value)
        else:
            await asyncio.to_thread(self._accessor.set, self._key, value)


_asset_values: dict[tuple[str, str], Any] = {}


def asset_state_store(trigger: Any, name: str, key: str) -> AssetStore:
    """
    Return what keeps a value of a watched asset over restarts: 3.3 and later; before, as long as the process.

    :param trigger: the trigger that watches it.
    :param name: the asset's name.
    :param key: which value.
    :raises KeyError: if the trigger does not watch the asset any more.
    """
    from airflow.sdk import Asset

    stores = getattr(trigger, "asset_state_store", None)
    return AssetStore(None if stores is None else stores[Asset.ref(name=name)], name, key)


def task_state_survives_clear() -> bool:
    """
    Return whether a clear leaves the task state store as it is: 3.3.

    From 3.4 on a clear discards it, unless the user chooses to keep it: what is found there after a clear is meant to
    be continued with.
    """
    from airflow.sdk import __version__

    major, minor = __version__.split(".")[:2]
    # The SDK's version is that of Airflow, less 2: 1.3 comes with 3.3.
    return (int(major), int(minor)) < (1, 4)


def on_kill_timeout() -> float:
    """Return how many seconds the triggerer gives a trigger's ``on_kill`` (3.3 and later)."""
    from airflow.configuration import conf

    return float(conf.getint("triggerer", "on_kill_timeout", fallback=30))


async def push_xcom(ti: Any, key: str, value: Any) -> None:
    """
    Push an XCom of a deferred task in its trigger.

    :param ti: the task instance as the triggerer knows it.
    :param key: the key.
    :param value: any JSON value.
    """
    from airflow.sdk.execution_time.xcom import XCom

    where = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id, "map_index": ti.map_index}
    if (aset := getattr(XCom, "aset", None)) is not None:
        await aset(key, value, **where)
    else:  # 3.1
        await asyncio.to_thread(XCom.set, key, value, **where)


async def is_still_deferred(ti: Any, xcom_key: str, xcom_value: str | list[str]) -> bool:
    """
    Return whether a task still waits as it did when its trigger was made, or will by a retry: nobody has ended it.

    Asked in a trigger's ``on_kill`` (3.3 and later), where the database is out of reach: so by messages to the
    supervisor. A task that was cleared and has deferred again is deferred, too, but has pushed another job's id. If
    Airflow cannot be asked, the answer is yes: a job that is cancelled by mistake costs more than one that continues.

    :param ti: the task instance as the triggerer knows it.
    :param xcom_key: the XCom that the task pushed before deferring.
    :param xcom_value: its value then.
    """
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import GetTaskStates
    from airflow.sdk.execution_time.xcom import XCom

    where = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id, "map_index": ti.map_index}
    name = ti.task_id if ti.map_index < 0 else f"{ti.task_id}_{ti.map_index}"
    try:
        ask: Any = task_runner.SUPERVISOR_COMMS.asend
        states = await ask(GetTaskStates(dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id]))
        state = states.task_states.get(ti.run_id, {}).get(name)
        if state == "up_for_retry":  # no user can make it that, so the wait has ended by itself
            return True
        if state != "deferred":
            return False
        extra_xcoms = await XCom.aget_one(key=xcom_key, **where)
    except Exception:
        logging.getLogger(__name__).exception("The state of the task could not be read; its job is not cancelled.")
        return True
    return extra_xcoms is None or bool(extra_xcoms == xcom_value)
