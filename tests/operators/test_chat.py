"""Asking models of both services: what is waited for, what is expected, and what may be seen."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from sensors.support import Logs

from airflow_provider_nugen import tasks
from airflow_provider_nugen.exceptions import InvalidArgumentError, NotReadyError, UnexpectedAnswerError
from airflow_provider_nugen.operators.nugen import ChatCompletionOperator
from airflow_provider_nugen.operators.seekr import SeekrChatCompletionOperator
from airflow_provider_nugen.simulator.timeline import Stage

from .support import POKE, Life, Service, is_final, is_retryable

PROMPT = "How long do refunds take?"
MODEL = "meta-llama/Llama-3.1-8B-Instruct"
TURN = [{"role": "user", "content": PROMPT}]
OPERATIONS = {"nugen": "chat_completion", "seekr": "seekr_chat"}


@pytest.fixture(autouse=True)
def no_scheduler_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "MIN_DEFERRAL", 0.0)


def deployed(service: Service, which: str) -> str:
    """Make a model that answers."""
    if which == "nugen":
        model = service.trained()
        service.world.add_job("deployment", model, [Stage("COMPLETED")]).created -= 1000
        return model
    inputs = {"model_type": "Fine-tuned Run", "model_id": "ft-1"}
    return service.world.add_job("seekr_deployment", "deployment-1", [Stage("Active")], inputs=inputs).id


def life(which: str, model: str, key: str, **arguments: Any) -> Life:
    fields = {"poke_interval": POKE, "timeout": 20, "deferrable": False, **arguments}
    if not {"prompts", "messages"} & fields.keys():
        fields["prompts"] = [PROMPT]
    if which == "nugen":
        return Life(lambda: ChatCompletionOperator(task_id="ask", model_id=model, retries=3, **fields), key)
    return Life(lambda: SeekrChatCompletionOperator(task_id="ask", deployment_id=model, retries=3, **fields), key)


@pytest.mark.parametrize("which", OPERATIONS)
def test_answers_usage_and_confidence_are_xcoms(service: Service, key: str, which: str) -> None:
    run = life(which, deployed(service, which), key, prompts=[PROMPT, "And then?"]).run()
    assert run.value["answers"] == [f"As I was taught: {PROMPT}", "As I was taught: And then?"]
    assert run.value["usage"] == {"prompt_tokens": 7, "completion_tokens": 15, "total_tokens": 22}
    assert [score is None for score in run.value["confidence"]] == [which == "seekr"] * 2
    assert run.value["truncated"] is False
    for name in ("answers", "usage", "confidence"):
        assert run.xcoms[name] == run.value[name]


def test_a_base_model_answers_otherwise(service: Service, key: str) -> None:
    run = life("nugen", "nugen-flash-instruct", key).run()
    assert run.value["answers"] == [f"I do not know. You asked: {PROMPT}"]
    run = Life(lambda: SeekrChatCompletionOperator(task_id="ask", model=MODEL, prompts=PROMPT), key).run()
    assert run.value["answers"] == [f"I do not know. You asked: {PROMPT}"]


def test_what_is_sent(service: Service, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies: list[Any] = []
    operator = life(
        "seekr",
        deployed(service, "seekr"),
        key,
        system_prompt="Be brief.",
        max_tokens=5,
        temperature=0,
        parameters={"top_k": 3, "max_tokens": 99},
    ).make()
    with operator.session() as hook:

        def send(call: Any) -> None:
            bodies.append(call.request("", "c").json)
            raise InterruptedError

        monkeypatch.setattr(hook, "send", send)
        with pytest.raises(InterruptedError):
            operator._answer(operator._conversations()[0], [], 0.0)
    assert bodies == [
        {
            "model": "deployment-1",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": PROMPT}],
            "max_tokens": 5,
            "temperature": 0,
            "top_k": 3,
        }
    ]


def test_a_conversation_is_asked_as_one_question(service: Service, key: str) -> None:
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Why?"},
    ]
    run = life("nugen", deployed(service, "nugen"), key, messages=messages).run()
    assert run.value["answers"] == ["As I was taught: Why?"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"expect": "TAUGHT"},
        {"expect": r"re:taught: \w+"},
        {"expect": ["taught", None], "prompts": [PROMPT, "Why?"]},
        {"min_confidence": 50},
        {"min_confidence": "50", "expect": "taught"},
    ],
)
def test_an_answer_as_expected_is_a_success(service: Service, key: str, arguments: dict[str, Any]) -> None:
    assert life("nugen", deployed(service, "nugen"), key, **arguments).run().value["answers"]


@pytest.mark.parametrize(
    ("arguments", "reasons"),
    [
        ({"expect": "weeks"}, ["answer 1: 'weeks' is not in it"]),
        (
            {"expect": ["taught", "re:^no$"], "prompts": [PROMPT, "Why?"]},
            ["1 of 2 answers", "answer 2: 're:^no$' is not in it"],
        ),
        ({"min_confidence": 100}, ["is less than 100"]),
    ],
)
def test_a_miss_fails_with_a_table(
    service: Service, key: str, arguments: dict[str, Any], reasons: list[str], logs: Logs
) -> None:
    run = life("nugen", deployed(service, "nugen"), key, **arguments).run()
    assert isinstance(run.error, UnexpectedAnswerError)
    assert is_retryable(run)
    assert all(reason in str(run.error) for reason in reasons)
    assert PROMPT not in str(run.error)
    assert run.xcoms["return_value"]["answers"]
    (table,) = logs.at("error")
    assert "How long do refunds" in table
    assert "NOT" in table


def test_a_model_without_confidence_does_not_meet_one(service: Service, key: str) -> None:
    run = life("seekr", deployed(service, "seekr"), key, min_confidence=1).run()
    assert isinstance(run.error, UnexpectedAnswerError)
    assert "no confidence_score" in str(run.error)


# Waiting.


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("which", OPERATIONS)
@pytest.mark.parametrize(
    "fault",
    [
        {"status": 404},
        {"status": 429},
        {"status": 502},
        {"status": 504},
        {"action": "drop"},
        {"action": "malformed"},
    ],
    ids=lambda fault: str(fault.get("status") or fault["action"]),
)
def test_a_model_that_does_not_answer_yet_is_waited_for(
    service: Service, key: str, which: str, deferrable: bool, fault: dict[str, Any]
) -> None:
    model = deployed(service, which)
    service.world.add_fault({"action": "status", **fault, "operation": OPERATIONS[which], "times": 2, "skip": 1})
    run = life(which, model, key, deferrable=deferrable, prompts=[PROMPT, "Why?"]).run()
    assert run.value["answers"][1] == "As I was taught: Why?"
    assert len(run.deferrals) == (2 if deferrable else 0)
    # What was answered before is not asked again.
    assert service.asked(OPERATIONS[which]) == 4


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("which", OPERATIONS)
def test_a_model_that_is_being_deployed_is_waited_for(
    make_service: Callable[..., Service], key: str, which: str, deferrable: bool
) -> None:
    service = make_service(durations={"deployment": {"WARMING": 0}})
    if which == "nugen":
        kind, model, words = "deployment", service.trained(), ("PENDING", "COMPLETED")
    else:
        kind, model, words = "seekr_deployment", "deployment-1", ("Pending", "Active")
    service.world.add_job(kind, model, [Stage(words[0], 0.3), Stage(words[1])])
    run = life(which, model, key, deferrable=deferrable).run()
    assert run.value["answers"] == [f"As I was taught: {PROMPT}"]
    assert service.asked(OPERATIONS[which]) > 1


@pytest.mark.parametrize("deferrable", [True, False])
def test_it_is_not_waited_for_longer_than_the_timeout(service: Service, key: str, deferrable: bool) -> None:
    model = service.trained()
    run = life("nugen", model, key, deferrable=deferrable, timeout=0.2).run()
    assert is_retryable(run)
    assert isinstance(run.error, NotReadyError)
    assert "Model not deployed" in str(run.error)
    assert "timeout" in str(run.error)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 422])
def test_what_waiting_cannot_mend_fails_at_once(service: Service, key: str, status: int) -> None:
    model = deployed(service, "nugen")
    service.world.add_fault({"action": "status", "status": status, "operation": "chat_completion"})
    run = life("nugen", model, key).run()
    assert is_final(run)
    assert str(status) in str(run.error)
    assert service.asked("chat_completion") <= 2  # a refused key is tried once more


def test_a_model_that_is_never_found_ends_it_after_a_minute(
    service: Service, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_nugen.operators.chat.NOT_FOUND_GRACE", 0.2)
    run = life("seekr", "lost", key).run()
    assert is_final(run)
    assert "lost not found" in str(run.error)
    assert service.asked("seekr_chat") > 1


def test_retry_after_is_obeyed_up_to_the_deadline(service: Service, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("airflow_provider_nugen.tasks.time.sleep", pauses.append)
    model = deployed(service, "nugen")
    for after in ("7", "900"):
        service.fault("status", "chat_completion", status=429, retry_after=after)
    assert life("nugen", model, key, timeout=100).run().value
    assert pauses[0] == 7
    assert 90 < pauses[1] <= 100


def test_a_short_pause_is_waited_for_on_the_worker(service: Service, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "MIN_DEFERRAL", 10.0)
    model = deployed(service, "nugen")
    service.fault("status", "chat_completion", status=502)
    run = life("nugen", model, key, deferrable=True).run()
    assert run.value["answers"]
    assert run.deferrals == []


# Arguments, and what may be seen.


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"prompts": []}, "prompts is []"),
    ({"prompts": [PROMPT, " "]}, "prompts[1] is ' '"),
    ({"prompts": [PROMPT, 5]}, "prompts[1] is 5"),
    ({"messages": "Hi"}, "messages is 'Hi'"),
    ({"messages": [5]}, "messages is [5]"),
    ({"messages": [{"role": "user"}]}, "messages[0] is {'role': 'user'}"),
    ({"expect": ["a", "b"]}, "expect has 2 items for 1 prompts"),
    ({"min_confidence": "high"}, "min_confidence is 'high'"),
    ({"min_confidence": 101}, "min_confidence is 101; it must be from 0 to 100"),
    ({"temperature": "warm"}, "temperature is 'warm'"),
    ({"max_tokens": 0}, "max_tokens is 0"),
    ({"poke_interval": -1}, "poke_interval is -1"),
    ({"parameters": {"stream": True}}, "parameters has 'stream'; Nugen takes max_tokens, n, "),
    ({"parameters": {"model": "other"}}, "parameters has 'model', which has an argument of its own"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_a_wrong_argument_is_named_before_anything_is_asked(
    service: Service, key: str, arguments: dict[str, Any], message: str
) -> None:
    def rendered() -> ChatCompletionOperator:
        ask = ChatCompletionOperator(task_id="ask", model_id="m", prompts=[PROMPT])
        ask.prompts = None if "messages" in arguments else ask.prompts
        for name, value in arguments.items():
            setattr(ask, name, value)
        return ask

    run = Life(rendered, key).run()
    assert is_final(run)
    assert message in str(run.error)
    assert service.world.requests == []


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_what_no_template_brings_is_wrong_when_the_dag_is_parsed(arguments: dict[str, Any], message: str) -> None:
    # Else it would come out only after hours of training.
    asked = {} if {"prompts", "messages"} & arguments.keys() else {"prompts": [PROMPT]}
    with pytest.raises(InvalidArgumentError, match=re.escape(message)):
        ChatCompletionOperator(task_id="ask", model_id="m", **asked, **arguments)


def test_what_a_template_brings_is_not_judged_when_the_dag_is_parsed() -> None:
    ask = ChatCompletionOperator(
        task_id="ask",
        model_id="m",
        prompts="{{ params.prompts }}",
        expect=["{{ params.expect }}", "two", "three"],
        min_confidence="{{ params.confidence }}",
        max_tokens="{{ params.tokens }}",
        parameters={"top_p": "{{ params.p }}"},
        poke_interval="{{ params.poke_interval }}",
    )
    assert ask.min_confidence == "{{ params.confidence }}"


def test_a_pause_is_never_nothing(service: Service, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("airflow_provider_nugen.tasks.time.sleep", pauses.append)
    service.fault("status", "chat_completion", status=502, times=6)
    assert life("nugen", deployed(service, "nugen"), key, poke_interval=0).run().value["answers"]
    assert pauses
    assert min(pauses) >= 0.1


def test_what_is_wrong_when_the_dag_is_parsed() -> None:
    for make, message in (
        (lambda: ChatCompletionOperator(task_id="t", model_id="m"), "either prompts or messages"),
        (lambda: ChatCompletionOperator(task_id="t", model_id="m", prompts="p", messages=[]), "either prompts"),
        (lambda: ChatCompletionOperator(task_id="t", model_id="m", prompts="p", expect="re:("), "regular expression"),
        (lambda: ChatCompletionOperator(task_id="t", model_id="m", prompts="p", expect="re:"), "found in any answer"),
        (
            lambda: ChatCompletionOperator(task_id="t", model_id="m", messages=TURN, system_prompt="Be kind."),
            "system_prompt is for prompts",
        ),
        (lambda: SeekrChatCompletionOperator(task_id="t", prompts="p"), "either deployment_id or model"),
    ):
        with pytest.raises(ValueError, match=message):
            make()


def test_long_answers_are_cut_and_that_is_said(service: Service, key: str, logs: Logs) -> None:
    run = life("nugen", deployed(service, "nugen"), key, max_answer_length=10, expect="refunds take").run()
    assert (run.value["answers"], run.value["truncated"]) == (["As I was t"], True)
    assert logs.at("warning") == ["Answers longer than 10 characters are cut in the XComs."]


@pytest.mark.parametrize("log_answers", [True, False])
def test_prompts_and_answers_are_in_the_log_only_when_asked_for(
    service: Service, key: str, log_answers: bool, logs: Logs
) -> None:
    model = deployed(service, "nugen")
    service.fault("status", "chat_completion", status=502)
    life("nugen", model, key, log_answers=log_answers, expect="refunds").run()
    seen = [text for level in ("info", "warning", "error") for text in logs.at(level) if "refunds" in text]
    assert seen == ([f"Prompt 1: {PROMPT}\nAnswer: As I was taught: {PROMPT}"] if log_answers else [])


def test_mapped_over_prompts(service: Service, key: str, make_service: Callable[..., Service]) -> None:
    model = deployed(service, "seekr")
    answers = [life("seekr", model, key, prompts=prompt).run().value["answers"] for prompt in ("A?", "B?")]
    assert answers == [["As I was taught: A?"], ["As I was taught: B?"]]
