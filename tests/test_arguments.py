"""What is wrong about an argument is said before anything is sent, for each argument of each operator and sensor."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_nugen.compat import AirflowException
from airflow_provider_nugen.operators import nugen as nugen_operators
from airflow_provider_nugen.operators import seekr as seekr_operators
from airflow_provider_nugen.operators.base import ServiceOperator
from airflow_provider_nugen.sensors import nugen as nugen_sensors
from airflow_provider_nugen.sensors import seekr as seekr_sensors
from airflow_provider_nugen.sensors.base import JobSensor
from airflow_provider_nugen.tasks import ServiceTask

#: Classes that others are made of.
_BASES = {"EvaluationResultsOperator"}


def _public(module: Any, base: type) -> list[type[ServiceTask]]:
    return [
        value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, base) and "template_fields" in vars(value)
        if not name.startswith("_") and name not in _BASES and not inspect.isabstract(value)
        if value.__module__.startswith(module.__name__)
    ]


CLASSES = {
    cls.__name__: cls
    for module, base in (
        (nugen_operators, ServiceOperator),
        (seekr_operators, ServiceOperator),
        (nugen_sensors, JobSensor),
        (seekr_sensors, JobSensor),
    )
    for cls in _public(module, base)
}
#: A right value for each argument that is needed.
RIGHT: dict[str, Any] = {
    "alignment_id": "a-1",
    "alignment_job_id": "aj-1",
    "base_model": "m",
    "benchmark_id": "b-1",
    "conditions": ["x >= 1"],
    "data_job_id": "dj-1",
    "deployment_id": "d-1",
    "document_id": "doc-1",
    "document_ids": ["doc-1"],
    "evaluation_id": "e-1",
    "file": "benchmark.json",
    "files": ["a.txt"],
    "fine_tune_id": "ft-1",
    "instructions": "Be kind.",
    "job_type": "principle_files",
    "model": "m",
    "model_id": "m-1",
    "n_epochs": 1,
    "name": "My name",
    "num_questions": 5,
    "project_id": 1,
    "prompts": ["Hi"],
    "training_files": ["file-1"],
}
#: Arguments that a class needs although they have defaults: one of several.
ONE_OF = {
    "SeekrGetAlignmentOutputsOperator": {"alignment_job_id": "aj-1"},
    "SeekrDemoteDeploymentOperator": {"deployment_id": "d-1"},
    "ChatCompletionOperator": {"prompts": ["Hi"]},
    "SeekrChatCompletionOperator": {"prompts": ["Hi"], "deployment_id": "d-1"},
}
ONE_ID = [None, "None", "", " ", "['a']", 7, True, {"x": 1}, float("nan")]
MANY_IDS = [None, "None", "", " ", [], "['a']", ["a", None], ["a", " "], ["a", 7], 7, True, {"x": "y"}]
TEXT = ["", " ", True, ["a"], {"a": 1}]
SECONDS = [-1, float("nan"), float("inf"), True, "soon", None, [1]]
FLAG = ["yes", 1, None, []]
WHOLE = [0, -1, 1.5, True, "x", float("nan"), [1], ""]
WORD: list[Any] = ["x", "", None, [], {}, 7, True]
#: Wrong values by argument. What is not here is said in ``FREE``, with the reason.
WRONG: dict[str, list[Any]] = {
    **dict.fromkeys(
        (
            *("alignment_id", "alignment_job_id", "benchmark_id", "data_job_id", "deployment_id", "document_id"),
            *("evaluation_id", "fine_tune_id", "model_id", "model_id_2", "vector_database_id", "workflow_id"),
        ),
        ONE_ID,
    ),
    **dict.fromkeys(("document_ids", "training_files", "validation_files", "file_ids", "files"), MANY_IDS),
    **dict.fromkeys(("base_model", "instructions", "job_type", "model", "name", "description", "system_prompt"), TEXT),
    **dict.fromkeys(("experiment_name", "loss_type", "method", "type"), TEXT),
    **dict.fromkeys(("poke_interval", "timeout"), SECONDS),
    **dict.fromkeys(("deferrable", "use_eta", "wait_for_completion", "cancel_on_kill", "cancel_on_timeout"), FLAG),
    **dict.fromkeys(("early", "log_answers", "report_progress"), FLAG),
    **{key: ["yes", 1, []] for key in ("pre_train", "gradient_checkpointing")},
    **{key: [*WHOLE, None] for key in ("num_questions", "n_epochs", "n_accel", "project_id", "n_instances")},
    **dict.fromkeys(("n_node", "n_checkpoints", "batch_size", "max_length", "max_tokens"), WHOLE),
    "max_answer_length": [*WHOLE, None],
    "min_samples": [-1, 1.5, True, "x", float("nan"), [1], "", None],
    **{key: [True, "x", float("nan"), [1], ""] for key in ("learning_rate", "beta", "temperature", "min_confidence")},
    **dict.fromkeys(("wait_for", "on_clear", "on_changed_inputs", "purpose", "accel_type", "model_type"), WORD),
    "fine_tune_type": [word for word in WORD if word is not None],
    **{key: ["x", [1], 7, True] for key in ("lora_config", "reward_components", "training_config_extra")},
    **{key: ["x", [1], 7, True] for key in ("infrastructure_config_extra", "parameters")},
    "created_by": ["", " ", 7, True, ["a"]],
    "custom_metrics": ["x", [], {}, 7, True],
    "conditions": [None, "", [], "x", ["x >= 1", "y"], 7, True, ["x >= nan"]],
    "prompts": ["", " ", [], ["a", None], ["a", " "], 7, True, {"a": 1}],
    "messages": ["x", [], [7], 7, True, {"role": "user"}],
    "file": [None, "", " ", 7, True],
    "categories": [7, True, [None], []],
    "expect": [7, True, ["a", "b", "c"], "re:("],
    **{key: [None, "", " ", 7, True, []] for key in ("nugen_conn_id", "seekr_conn_id")},
}
#: What is wrong elsewhere, and right here: a data job over a vector database has no files; a list starts several jobs.
RIGHT_HERE: list[tuple[str, str, Any]] = [
    ("SeekrCreateDataJobOperator", "file_ids", []),
    *[("CreateAlignmentOperator", argument, ["a"]) for argument in ("base_model", "name", "description")],
    ("CreateEvaluationOperator", "name", ["a"]),
]


def parameters(cls: type[ServiceTask]) -> dict[str, inspect.Parameter]:
    """Return the arguments of a class that are this provider's."""
    found: dict[str, inspect.Parameter] = {}
    for part in cls.__mro__:
        if part.__module__.startswith("airflow_provider_nugen") and "__init__" in vars(part):
            for name, parameter in inspect.signature(vars(part)["__init__"]).parameters.items():
                if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                    found.setdefault(name, parameter)
    return found


def right(cls: type[ServiceTask]) -> dict[str, Any]:
    needed = {name for name, parameter in parameters(cls).items() if parameter.default is inspect.Parameter.empty}
    found: dict[str, Any] = {name: RIGHT[name] for name in needed} | ONE_OF.get(cls.__name__, {})
    return found


class Deaf:
    """A hook that must not be used."""

    settings = None

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the service was asked: {name}")

    def close(self) -> None:
        """Close nothing."""

    def __enter__(self) -> Deaf:
        return self

    def __exit__(self, *exc: object) -> None:
        """End a block of nothing."""


def cases() -> list[Any]:
    made = []
    for name, cls in CLASSES.items():
        for argument, parameter in parameters(cls).items():
            for value in WRONG.get(argument, ()):
                if value is None and parameter.default is None:
                    continue
                if (name, argument, value) in RIGHT_HERE:
                    continue
                made.append(pytest.param(cls, argument, value, id=f"{name}-{argument}-{value!r}"))
    return made


def test_no_class_is_forgotten() -> None:
    assert len(CLASSES) > 25
    assert {"CreateAlignmentOperator", "SeekrUploadFilesOperator", "SeekrDeploymentSensor"} <= CLASSES.keys()


@pytest.mark.parametrize("name", CLASSES)
def test_no_argument_is_forgotten(name: str) -> None:
    assert not parameters(CLASSES[name]).keys() - WRONG.keys()


@pytest.mark.parametrize(("cls", "argument", "value"), cases())
def test_a_wrong_argument_is_named_before_anything_is_sent(cls: type[ServiceTask], argument: str, value: Any) -> None:
    with pytest.raises((AirflowException, ValueError, TypeError), match=argument.removesuffix("s")) as raised:
        execute(cls, {**right(cls), argument: value})
    assert not isinstance(raised.value, TypeError) or "argument" in str(raised.value)


def execute(cls: type[ServiceTask], arguments: dict[str, Any]) -> None:
    task: Any = cls(task_id="t", **arguments)
    task.__dict__["hook"] = Deaf()
    ti = SimpleNamespace(task=task, dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1, max_tries=0)
    ti.xcom_push = lambda key, value: None
    ti.get_first_reschedule_date = lambda context: None
    task.execute({"ti": ti, "dag_run": SimpleNamespace(start_date=datetime(2026, 1, 1, tzinfo=UTC))})
