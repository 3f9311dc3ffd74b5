"""Operators in DAGs: templates, mapping, default arguments, and what the scheduler stores of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator
from sensors import harness

from airflow_provider_nugen.operators import nugen, seekr
from airflow_provider_nugen.operators.chat import AskModelOperator
from airflow_provider_nugen.operators.start import StartOperator

from .support import ALIGNMENT, POKE, QUICK, Life, Service

BASES = ("NugenOperator", "NugenStartOperator", "EvaluationResultsOperator", "SeekrOperator", "SeekrStartOperator")
OPERATORS = [
    cls
    for module in (nugen, seekr)
    for cls in vars(module).values()
    if inspect.isclass(cls)
    and issubclass(cls, BaseOperator)
    and cls.__module__.startswith(module.__name__)
    # The bases have nothing of their own to say.
    and cls.__name__ not in BASES
]
#: Arguments that choose what an operator does, not with what.
SWITCHES = {"early", "wait_for", "wait_for_completion", "min_samples", "max_answer_length", "log_answers"}
#: Arguments of which an operator takes the one or the other.
ALTERNATIVES = {
    nugen.ChatCompletionOperator: {"messages"},
    seekr.SeekrChatCompletionOperator: {"messages", "model"},
}


def own_arguments(cls: type[BaseOperator]) -> dict[str, Any]:
    """Make up templates for the arguments that a class declares itself."""
    others = SWITCHES | ALTERNATIVES.get(cls, set()) | {"timeout", "deferrable"}
    return {name: f"{{{{ params.{name} }}}}" for name in all_arguments(cls) if name not in others}


def all_arguments(cls: type[BaseOperator]) -> list[str]:
    """Name the arguments that a class declares itself, and those of the base that it shares with another service."""
    classes = [cls, *([AskModelOperator] if issubclass(cls, AskModelOperator) else [])]
    parameters = [p for c in classes for p in inspect.signature(inspect.unwrap(c.__init__)).parameters.values()]
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]


@pytest.mark.parametrize("cls", OPERATORS)
def test_all_that_is_sent_can_be_a_template(cls: type[BaseOperator]) -> None:
    arguments = own_arguments(cls)
    conn = cls.hook_class.conn_name_attr  # type: ignore[attr-defined]
    arguments |= {conn: f"{{{{ params.{conn} }}}}"}
    if issubclass(cls, StartOperator):
        arguments["poke_interval"] = "{{ params.poke_interval }}"
    assert set(arguments) | ALTERNATIVES.get(cls, set()) == set(cls.template_fields)
    task = cls(task_id="t", **arguments)
    values = {name: f"rendered {name}" for name in arguments}
    task.render_template_fields({"params": values}, task.get_template_env())
    assert {name: getattr(task, name) for name in arguments} == values


@pytest.mark.parametrize("cls", OPERATORS)
def test_the_scheduler_can_store_it_also_mapped(cls: type[BaseOperator]) -> None:
    arguments = own_arguments(cls)
    expanded, *others = arguments
    with DAG(dag_id="d", schedule=None, default_args={"poke_interval": "{{ params.poke_interval }}"}) as dag:
        cls(task_id="single", **arguments)
        partial = cls.partial(task_id="mapped", **{name: arguments[name] for name in others})
        partial.expand(**{expanded: ["one", "two"]})
    stored = harness.stored(dag)
    assert '"mapped"' in stored
    assert "JobKind" not in stored


def test_a_mapped_operator_starts_and_waits_for_its_own_job(make_service: Callable[..., Service], key: str) -> None:
    service = make_service(speed=QUICK)
    with DAG(dag_id="d", schedule=None, default_args={"poke_interval": POKE, "retries": 2}):
        mapped = nugen.CreateAlignmentOperator.partial(
            task_id="align", base_model=ALIGNMENT["base_model"], wait_for="evaluation", wait_for_completion=True
        ).expand_kwargs(
            [
                {"document_ids": ["doc-demo-1"], "benchmark_id": "benchmark-demo-1"},
                {"document_ids": ["doc-demo-2"], "benchmark_id": "benchmark-demo-1"},
            ]
        )
    for index, document in enumerate(("doc-demo-1", "doc-demo-2")):

        def make(document: str = document) -> Any:
            return mapped.unmap({"document_ids": [document], "benchmark_id": "benchmark-demo-1"})

        run = Life(make, key, map_index=index).run()
        job = service.jobs()[-1]
        assert job.inputs["document_ids"] == [document]
        assert run.value["status"] == "EVALUATED"
        assert run.xcoms["evaluation_id"] == f"{job.id}-evaluation"
    assert len({job.inputs["name"] for job in service.jobs()}) == 2


@pytest.mark.parametrize("poke_interval", ["{{ params.seconds }}", "{{ 0.05 }}"])
def test_the_interval_can_be_a_template(make_service: Callable[..., Service], key: str, poke_interval: str) -> None:
    make_service(speed=QUICK)
    for arguments in ({}, {"deferrable": False}):
        life = Life(
            lambda arguments=arguments: seekr.SeekrCreateAlignmentOperator(
                task_id="t",
                instructions="Be kind to {{ params.whom }}.",
                files=["f-{{ params.file }}"],
                wait_for_completion=True,
                poke_interval=poke_interval,
                **arguments,
            ),
            key,
        )
        life.begin()
        store, context = life.store, life.context
        context.pop("task_state_store")
        run = harness.run(life.make, key, store=store, params={"seconds": 0.05, "whom": "all", "file": 7}, **context)
        assert run.value["status"] == "completed"
        assert all(deferral.trigger.kwargs["poke_interval"] == 0.05 for deferral in run.deferrals)


@pytest.mark.parametrize("cls", OPERATORS)
def test_the_documentation_names_each_argument(cls: type[BaseOperator]) -> None:
    doc = inspect.getdoc(cls) or ""
    if issubclass(cls, AskModelOperator):
        doc += inspect.getdoc(AskModelOperator) or ""
    for name in all_arguments(cls):
        assert f":param {name}:" in doc
    assert "XCom" in doc
