"""Asking a model: a smoke test after a deployment, or a small batch of prompts."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_nugen.api.chat import is_not_ready
from airflow_provider_nugen.api.endpoint import Endpoint
from airflow_provider_nugen.api.errors import ApiError, NotFoundError, retry_after_seconds
from airflow_provider_nugen.api.safe import safe_text
from airflow_provider_nugen.arguments import check_flags, seconds
from airflow_provider_nugen.exceptions import (
    InvalidArgumentError,
    NotReadyError,
    UnexpectedAnswerError,
    final,
)
from airflow_provider_nugen.expectations import Expectation, shortfall
from airflow_provider_nugen.operators.base import ServiceOperator, invalid, text
from airflow_provider_nugen.operators.scalars import number, whole_number
from airflow_provider_nugen.table import text_table
from airflow_provider_nugen.waiting.schedule import MIN_INTERVAL

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_provider_nugen.api.completion import ChatCompletion

#: For this many seconds a model that the service does not find may be one that it does not find yet.
NOT_FOUND_GRACE = 60.0
#: Characters of a prompt, and of an answer, in the table of what was not as expected.
MAX_CELL = 200
MAX_CONFIDENCE = 100
#: Fields of the request that are not among ``parameters``.
_OWN_FIELDS = frozenset({"model", "messages"})
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


class AskModelOperator(ServiceOperator):
    """
    Asks a model, and checks what it answers; the base of the chat operators of both services.

    A model that is deployed but does not answer yet, a service that is busy (429) or unwell (5xx, no connection): the
    question is asked again every ``poke_interval`` seconds, until ``timeout``. If ``deferrable``, the task waits for
    that in the triggerer, with what was answered so far.

    An answer that is not as expected fails the task when all were asked; the log has a table of prompt, answer and
    verdict. Else prompts and answers are in the log only at DEBUG, or with ``log_answers``.

    XComs: ``return_value`` = ``{"answers": [...], "confidence": [...], "usage": {...}, "truncated": ...}``, and each of
    the first three as a key of its own. Answers that are longer than ``max_answer_length`` are cut, and ``truncated``
    is true.

    :param prompts: questions, each asked on its own.
    :param messages: one conversation instead: ``[{"role": "user", "content": "..."}, ...]``; its last message is the
        question.
    :param system_prompt: a system message before each prompt.
    :param expect: what each answer must contain: a text (in any case), or a regular expression, compiled or as text
        that begins with ``re:``. A list has one for each prompt, ``None`` where anything is right; a single one holds
        for all.
    :param min_confidence: the least ``confidence_score`` of each answer, 0 to 100. Only aligned models of Nugen have
        one; an answer without it does not meet this.
    :param max_tokens: the most tokens of an answer.
    :param temperature: the temperature; 0 for the answers that vary least.
    :param parameters: further fields of the request, by the service's names.
    :param timeout: seconds to wait at the most for the model to answer all.
    :param poke_interval: seconds between two attempts.
    :param deferrable: wait in the triggerer, without holding a worker.
    :param max_answer_length: the most characters of an answer in XComs.
    :param log_answers: write prompts and answers to the log at INFO.
    :raises ValueError: if an expectation cannot be read, or arguments contradict each other; at parse time unless one
        is a template.
    :raises InvalidArgumentError: final, if another argument is wrong; at parse time unless one is a template.
    """

    chat: ClassVar[Endpoint[ChatCompletion]]
    template_fields: Sequence[str] = (
        "prompts",
        "messages",
        "system_prompt",
        "expect",
        "min_confidence",
        "max_tokens",
        "temperature",
        "parameters",
        "poke_interval",
    )

    def __init__(
        self,
        *,
        prompts: Sequence[str] | str | XComArg | None = None,
        messages: Sequence[Mapping[str, Any]] | XComArg | None = None,
        system_prompt: str | None = None,
        expect: Sequence[str | re.Pattern[str] | None] | str | re.Pattern[str] | None = None,
        min_confidence: float | str | None = None,
        max_tokens: int | str | None = None,
        temperature: float | str | None = None,
        parameters: Mapping[str, Any] | None = None,
        timeout: timedelta | float = 300,
        poke_interval: timedelta | float | str = 10,
        deferrable: bool = True,
        max_answer_length: int = 4000,
        log_answers: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        whole_number(max_answer_length, "max_answer_length")
        check_flags(deferrable=deferrable, log_answers=log_answers)
        self.prompts = prompts
        self.messages = messages
        self.system_prompt = system_prompt
        self.expect = expect
        self.min_confidence = min_confidence
        self.max_tokens = max_tokens
        self.temperature = temperature
        self.parameters = parameters
        self.timeout = seconds(timeout, "timeout")
        self.poke_interval = poke_interval
        self.deferrable = deferrable
        self.max_answer_length = max_answer_length
        self.log_answers = log_answers
        if (prompts is None) == (messages is None):
            raise ValueError("pass either prompts or messages")
        if messages is not None and system_prompt is not None:
            raise ValueError("system_prompt is for prompts: messages bring their own, with the role 'system'")
        self._check_what_is_known()

    def _check_what_is_known(self) -> None:
        """Check the arguments that neither a template nor an XCom brings: not only after hours of training."""
        if _is_known(self.poke_interval):
            seconds(self.poke_interval, "poke_interval")
        if _is_known(self.min_confidence):
            self._min_confidence()
        if all(map(_is_known, (self.parameters, self.max_tokens, self.temperature))):
            self._fields()
        for one in self.expect if isinstance(self.expect, (list, tuple)) else [self.expect]:
            if one is None or isinstance(one, re.Pattern) or (isinstance(one, str) and _is_known(one)):
                Expectation.parse(one)
        asked = self.prompts if self.messages is None else self.messages
        if isinstance(asked, (str, list, tuple)) and _is_known(asked):
            conversations = self._conversations()
            if self.expect is not None and _is_known(self.expect):
                self._expectations(len(conversations))

    def asked_model(self) -> str:
        """Return the model, as the request names it."""
        raise NotImplementedError

    def execute(self, context: Context) -> dict[str, Any]:
        """Ask, and check the answers."""
        return self.ask(context, answers=[], since=time.time())

    def ask(
        self, context: Context, event: Any = None, *, answers: list[dict[str, Any]], since: float
    ) -> dict[str, Any]:
        """
        Ask what is not answered yet.

        :param context: the context of the running task.
        :param event: what the trigger yielded, if the task was deferred.
        :param answers: what was answered so far.
        :param since: when the first question was asked, in epoch seconds.
        """
        seconds(self.poke_interval, "poke_interval")
        self._fields()
        conversations = self._conversations()
        expectations = self._expectations(len(conversations))
        least = self._min_confidence()
        with self.session():
            for index in range(len(answers), len(conversations)):
                completion = self._answer(conversations[index], answers, since)
                answers.append(self._judged(index, conversations[index], completion, expectations[index], least))
        return self._finish(context, conversations, answers)

    # Arguments.

    def _conversations(self) -> list[list[Mapping[str, Any]]]:
        if self.messages is not None:
            messages: Any = self.messages
            is_list = isinstance(messages, Sequence) and not isinstance(messages, (str, bytes))
            if not is_list or not messages or not all(isinstance(one, Mapping) for one in messages):
                raise invalid(f"messages is {messages!r:.200}; it must be a list of dicts with role and content.")
            for index, one in enumerate(messages):
                if not isinstance(one.get("role"), str) or not one.keys() & {"content", "tool_calls"}:
                    raise invalid(f"messages[{index}] is {one!r:.200}; it must have role and content.")
            return [list(messages)]
        prompts = [self.prompts] if isinstance(self.prompts, str) else self.prompts
        if not isinstance(prompts, Sequence) or not prompts:
            raise invalid(f"prompts is {prompts!r:.200}; it must be a list of texts.")
        for index, prompt in enumerate(prompts):
            if not isinstance(prompt, str) or not prompt.strip():
                raise invalid(f"prompts[{index}] is {prompt!r:.200}; it must be text that is not blank.")
        system_prompt = text(self.system_prompt, "system_prompt", optional=True, number=True)
        system = [{"role": "system", "content": system_prompt}] if system_prompt else []
        return [[*system, {"role": "user", "content": prompt}] for prompt in prompts]

    def _expectations(self, count: int) -> list[Expectation | None]:
        try:
            return Expectation.parse_all(self.expect, count)
        except ValueError as e:
            raise invalid(f"{e}.") from None

    def _min_confidence(self) -> float | None:
        if self.min_confidence is None:
            return None
        least = number(self.min_confidence, "min_confidence")
        if not 0 <= least <= MAX_CONFIDENCE:
            raise invalid(f"min_confidence is {self.min_confidence!r}; it must be from 0 to {MAX_CONFIDENCE}.")
        return least

    def _fields(self) -> dict[str, Any]:
        if not isinstance(self.parameters, (Mapping, type(None))):
            raise invalid(f"parameters is {self.parameters!r:.200}; it must be a dict.")
        parameters = dict(self.parameters or {})
        if own := sorted(parameters.keys() & _OWN_FIELDS):
            raise invalid(f"parameters has {', '.join(map(repr, own))}, which has an argument of its own.")
        if unknown := sorted(parameters.keys() - self.chat.body.keys()):
            raise final(InvalidArgumentError)(
                f"parameters has {', '.join(map(repr, unknown))}; {self.chat.service.name} takes "
                f"{', '.join(sorted(self.chat.body.keys() - _OWN_FIELDS))}."
            )
        if self.max_tokens is not None:
            parameters["max_tokens"] = whole_number(self.max_tokens, "max_tokens")
        if self.temperature is not None:
            parameters["temperature"] = number(self.temperature, "temperature")
        return parameters

    # Asking.

    def _answer(
        self, messages: Sequence[Mapping[str, Any]], answers: list[dict[str, Any]], since: float
    ) -> ChatCompletion:
        """Ask one question until it is answered, here or in the triggerer."""
        call = self.chat.call(**{**self._fields(), "model": self.asked_model(), "messages": list(messages)})
        while True:
            try:
                return self.hook.send(call)
            except ApiError as e:
                pause = self._pause_after(e, since)
            self.pause(pause, "ask", {"answers": answers, "since": since}, deferrable=self.deferrable)

    def _pause_after(self, error: ApiError, since: float) -> float:
        """
        Return how many seconds to wait before the question is asked again.

        :raises ProviderError: if that cannot help, or the time is up.
        """
        now = time.time()
        waited = now - since
        if not is_not_ready(error) or (isinstance(error, NotFoundError) and waited >= NOT_FOUND_GRACE):
            raise self.failed(error) from None
        left = self.timeout - waited
        if left <= 0:
            raise NotReadyError(
                f"{error} The model has not answered for {self.timeout:g} s (timeout). A retry asks again.",
                service=self.chat.service.name,
                conn_id=self.conn_id,
                job_id=self.asked_model(),
            ) from None
        interval = seconds(self.poke_interval, "poke_interval")
        pause = min(max(retry_after_seconds(error.retry_after, now) or 0.0, interval, MIN_INTERVAL), left)
        self.log.info("The model does not answer yet; asking again in %.0f s: %s", pause, error)
        return pause

    def _judged(
        self,
        index: int,
        messages: Sequence[Mapping[str, Any]],
        completion: ChatCompletion,
        expectation: Expectation | None,
        least: float | None,
    ) -> dict[str, Any]:
        """Return what is kept of an answer: JSON values, cut to a size that can be stored."""
        answer, confidence = safe_text(completion.content), completion.confidence_score
        reason = shortfall(answer, confidence, expectation, least)
        usage = {name: count for name in _COUNTS if isinstance(count := (completion.usage or {}).get(name), int)}
        self.log.info(
            "Answer %d: %d characters%s%s, %s.",
            index + 1,
            len(answer),
            f", {usage['total_tokens']} tokens" if "total_tokens" in usage else "",
            "" if confidence is None else f", confidence {confidence:g}",
            f"NOT as expected: {reason}" if reason else "as expected" if expectation or least is not None else "kept",
        )
        level = logging.INFO if self.log_answers else logging.DEBUG
        self.log.log(level, "Prompt %d: %s\nAnswer: %s", index + 1, messages[-1].get("content"), answer)
        return {
            "answer": answer[: self.max_answer_length],
            "truncated": len(answer) > self.max_answer_length,
            "confidence": confidence,
            "usage": usage,
            "reason": reason,
        }

    def _finish(
        self, context: Context, conversations: Sequence[Sequence[Mapping[str, Any]]], answers: Sequence[dict[str, Any]]
    ) -> dict[str, Any]:
        usage = {name: sum(one["usage"].get(name, 0) for one in answers) for name in _COUNTS}
        result = {
            "answers": [one["answer"] for one in answers],
            "confidence": [one["confidence"] for one in answers],
            "usage": usage,
            "truncated": any(one["truncated"] for one in answers),
        }
        if result["truncated"]:
            self.log.warning("Answers longer than %d characters are cut in the XComs.", self.max_answer_length)
        self.push_xcoms(context, {name: result[name] for name in ("answers", "confidence", "usage")})
        if missed := [place for place, one in enumerate(answers, 1) if one["reason"]]:
            rows = [
                (
                    safe_text(str(messages[-1].get("content")), MAX_CELL),
                    safe_text(one["answer"], MAX_CELL),
                    f"NOT as expected: {one['reason']}" if one["reason"] else "as expected",
                )
                for messages, one in zip(conversations, answers, strict=True)
            ]
            self.push_xcoms(context, {"return_value": result})
            self.log.error("Model %r:\n%s", self.asked_model(), text_table(("prompt", "answer", "verdict"), rows))
            raise UnexpectedAnswerError(
                f"{len(missed)} of {len(answers)} answers of model {self.asked_model()!r} are not as expected: "
                + "; ".join(f"answer {place}: {answers[place - 1]['reason']}" for place in missed)
                + ". The log has them in a table.",
                service=self.chat.service.name,
                conn_id=self.conn_id,
                job_id=self.asked_model(),
            )
        return result


def _is_known(value: object) -> bool:
    """Decide whether an argument is what it will be when the task runs: neither a template nor what a task returns."""
    if isinstance(value, str):
        return not ("{{" in value or "{%" in value)
    if isinstance(value, Mapping):
        return all(map(_is_known, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(_is_known, value))
    return value is None or isinstance(value, (bool, int, float, timedelta, re.Pattern))
