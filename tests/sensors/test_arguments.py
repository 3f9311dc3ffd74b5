"""Arguments of the sensors: checked when the DAG is parsed, rendered and mapped when the task runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, BaseSensorOperator

from airflow_provider_nugen.compat import AirflowException
from airflow_provider_nugen.exceptions import InvalidArgumentError, RequestRejectedError, final
from airflow_provider_nugen.sensors import nugen, seekr
from airflow_provider_nugen.sensors.base import JobSensor
from airflow_provider_nugen.sensors.nugen import AlignmentStatusSensor, EvaluationStatusSensor
from airflow_provider_nugen.sensors.seekr import SeekrAlignmentSensor

from .harness import MODES, Store, TaskInstance, run, stored
from .support import SHORT, Service

#: Every sensor of the provider.
SENSORS = [
    value
    for module in (nugen, seekr)
    for value in vars(module).values()
    if isinstance(value, type) and issubclass(value, JobSensor)
    if value not in (JobSensor, nugen.NugenSensor, seekr.SeekrSensor)
]


def kind_of(cls: type[JobSensor]) -> Any:
    return AlignmentStatusSensor(task_id="x", alignment_id="a-1").kind if cls is AlignmentStatusSensor else cls.kind


def test_no_sensor_is_forgotten() -> None:
    assert {cls.__name__ for cls in SENSORS} == {
        "AlignmentStatusSensor",
        "BenchmarkStatusSensor",
        "DeployStatusSensor",
        "DocumentStatusSensor",
        "EvaluationStatusSensor",
        "SeekrAlignmentSensor",
        "SeekrDataJobSensor",
        "SeekrDeploymentSensor",
        "SeekrFineTuneSensor",
        "UndeployStatusSensor",
    }


@pytest.mark.parametrize("cls", SENSORS)
def test_every_sensor_is_one(cls: type[JobSensor]) -> None:
    id_name, conn = kind_of(cls).id_name, cls.hook_class.conn_name_attr
    sensor = cls(task_id="wait", **{id_name: "j-1"})
    assert isinstance(sensor, BaseSensorOperator)
    assert (sensor.deferrable, sensor.mode, sensor.poke_interval) == (True, "poke", 60)
    assert set(sensor.template_fields) == {id_name, conn, "poke_interval"}
    assert getattr(sensor, conn) == cls.hook_class.default_conn_name
    assert sensor.do_xcom_push


@pytest.mark.parametrize("cls", SENSORS)
def test_a_missing_id_is_an_error_when_the_dag_is_parsed(cls: type[JobSensor]) -> None:
    with pytest.raises(TypeError, match=f"missing keyword argument '{kind_of(cls).id_name}'"):
        cls(task_id="wait")


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"wait_for": "x"}, ValueError, r"wait_for must be one of \['alignment', 'evaluation'\], not 'x'"),
        ({"soft_fail": True, "never_fail": True}, ValueError, "mutually exclusive"),
        # Airflow 3.1 has an exception of its own for these.
        ({"mode": "sleep"}, (ValueError, AirflowException), "mode"),
        ({"poke_interval": -1}, (ValueError, AirflowException), "poke_interval"),
        ({"timeout": -1}, (ValueError, AirflowException), "timeout"),
        ({"aligment_id": "a-1"}, TypeError, "aligment_id"),
    ],
)
def test_bad_arguments_are_errors_when_the_dag_is_parsed(arguments: dict[str, Any], error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        AlignmentStatusSensor(task_id="wait", **{"alignment_id": "a-1", **arguments})


@pytest.mark.parametrize("mode", MODES)
def test_templates_are_rendered(
    make_service: Callable[..., Service], connection: Callable[..., str], key: str, mode: str
) -> None:
    service = make_service()
    connection("nugen", "nugen_other", host=service.url)
    connection("nugen", host="http://127.0.0.1:9")
    service.job("alignment", "a-1", "PROCESSING", "READY")
    done = run(
        lambda: AlignmentStatusSensor(
            task_id="wait",
            alignment_id="{{ params.alignment }}",
            nugen_conn_id="nugen_{{ params.account }}",
            poke_interval="{{ params.poke_interval }}",
            use_eta=False,
            timeout=10,
            **MODES[mode],
        ),
        key,
        params={"alignment": "a-1", "account": "other", "poke_interval": SHORT},
    )
    assert done.value["alignment_id"] == "a-1"
    for deferred in done.deferrals:
        assert deferred.trigger.kwargs.items() >= {"poke_interval": SHORT, "conn_id": "nugen_other"}.items()


@pytest.mark.parametrize("interval", [timedelta(seconds=0.1), 0.1, 0, "0.1", "0"])
@pytest.mark.parametrize("mode", MODES)
def test_intervals_of_all_types(service: Service, key: str, interval: Any, mode: str) -> None:
    service.job("alignment", "a-1", "PROCESSING", "READY")
    done = run(
        lambda: AlignmentStatusSensor(task_id="wait", alignment_id="a-1", poke_interval=interval, **MODES[mode]), key
    )
    assert done.value["state"] == "SUCCEEDED"
    # Nobody asks without a pause.
    assert service.asked() <= 7


@pytest.mark.parametrize("interval", ["soon", "-1", "nan"])
@pytest.mark.parametrize("mode", MODES)
def test_an_interval_that_is_none_ends_the_task_before_anything_is_asked(
    service: Service, key: str, interval: str, mode: str
) -> None:
    service.job("alignment", "a-1", "READY")
    done = run(
        lambda: AlignmentStatusSensor(task_id="wait", alignment_id="a-1", poke_interval=interval, **MODES[mode]), key
    )
    assert done.ending is final(InvalidArgumentError)
    assert f"poke_interval is {interval!r}" in str(done.error)
    assert service.asked() == 0


@pytest.mark.parametrize("mode", MODES)
def test_a_mapped_sensor(service: Service, key: str, mode: str) -> None:
    with DAG("a_dag", schedule=None):
        mapped = AlignmentStatusSensor.partial(
            task_id="wait", poke_interval=SHORT, wait_for="evaluation", use_eta=False, **MODES[mode]
        ).expand(alignment_id=["a-1", "a-2", "missing/../a-3"])
    for index, job_id in enumerate(["a-1", "a-2", "missing/../a-3"]):
        service.job("alignment", job_id, "PROCESSING", ("READY", 0.01), "EVALUATED")

        def make(index: int = index) -> Any:
            return Mapped(mapped, index)

        ti = TaskInstance(make().task, index)
        done = run(make, key, store=Store(), ti=ti, dag=mapped.dag, dag_run=SimpleNamespace(conf={}))
        assert done.value["alignment_id"] == job_id
        assert done.xcoms["evaluation_id"] == f"{job_id}-evaluation"
        assert (len(done.deferrals) == 1) is (mode == "deferrable")


class Mapped:
    """A mapped sensor as the task runner has it: rendering replaces it by the one for the map index."""

    def __init__(self, mapped: Any, index: int) -> None:
        self._mapped = mapped
        ids = mapped.expand_input.value["alignment_id"]
        self.task = mapped.unmap({"alignment_id": ids[index]})

    def get_template_env(self) -> Any:
        return self._mapped.get_template_env()

    def render_template_fields(self, context: Any, env: Any) -> None:
        self._mapped.render_template_fields(context, env)
        self.task = context["ti"].task

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)


def test_bad_arguments_of_a_mapped_sensor_end_the_task(service: Service) -> None:
    with DAG("a_dag", schedule=None):
        mapped = AlignmentStatusSensor.partial(task_id="wait", wait_for="x").expand(alignment_id=["a-1"])
        with pytest.raises(TypeError, match="unexpected keyword argument"):
            AlignmentStatusSensor.partial(task_id="wait2", aligment_id="a-1")
    with pytest.raises(ValueError, match="wait_for must be one of"):
        mapped.unmap({"alignment_id": "a-1"})


@pytest.mark.parametrize(
    ("cls", "id_name", "conn_type", "extra"),
    [
        (EvaluationStatusSensor, "evaluation_id", "nugen", {"api_revision": "D"}),
        (SeekrAlignmentSensor, "alignment_job_id", "seekr", {"timeout": "soon"}),
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_a_connection_that_makes_no_sense_says_what_to_correct(
    connection: Callable[..., str], key: str, cls: Any, id_name: str, conn_type: str, extra: dict[str, Any], mode: str
) -> None:
    connection(conn_type, host="http://127.0.0.1:9", extra=extra)
    done = run(lambda: cls(task_id="wait", **{id_name: "j-1"}, **MODES[mode]), key)
    assert done.ending is final(RequestRejectedError)
    assert f"(connection '{conn_type}_default')" in str(done.error)
    assert f"extra {next(iter(extra))!r}" in str(done.error)


@pytest.mark.parametrize("cls", SENSORS)
def test_a_dag_with_a_sensor_can_be_stored(cls: type[JobSensor]) -> None:
    # There is no connection and no service: parsing a DAG does no work.
    arguments = {kind_of(cls).id_name: "{{ params.x }}", "poke_interval": "{{ params.y }}"}
    with DAG("a_dag", schedule=None) as dag:
        cls(task_id="wait", **arguments)
    (task,) = json.loads(stored(dag))["dag"]["tasks"]
    assert task["__var"]["_is_sensor"]
    assert task["__var"]["poke_interval"] == "{{ params.y }}"
