"""
The gate: do the metrics of an evaluation meet conditions?

Pure: conditions are text such as ``answer_relevance_mean >= 0.8`` or ``"a metric of mine" >= baseline + 0.02``.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeGuard

from airflow_provider_nugen.table import text_table

if TYPE_CHECKING:
    from airflow_provider_nugen.api.nugen.results import ModelMetrics


_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_CONDITION = re.compile(
    rf"\s*(?:\"(?P<quoted>[^\"]+)\"|(?P<metric>[^\s<>=!\"]+))\s*(?P<op>>=|<=|==|!=|>|<)\s*"
    rf"(?:(?P<number>{_NUMBER})|(?P<baseline>baseline)\s*(?:(?P<sign>[-+])\s*(?P<margin>{_NUMBER}))?)\s*"
)
_SYNTAX = (
    "a condition is a metric (in double quotes if its name has blanks), one of >= > <= < == !=, and a number or "
    "'baseline', optionally + or - a margin; for example 'answer_relevance_mean >= 0.8'"
)


@dataclass(frozen=True)
class Condition:
    """
    One condition.

    :param text: as written.
    :param metric: the metric that it is about.
    :param op: how it is compared.
    :param number: what it is compared with; with ``baseline`` the margin.
    :param baseline: compare with the same metric of the baseline model.
    """

    text: str
    metric: str
    op: str
    number: float
    baseline: bool

    @classmethod
    def parse(cls, text: object) -> Condition:
        """
        Read a condition.

        :raises ValueError: if it is not a condition.
        """
        match = _CONDITION.fullmatch(text) if isinstance(text, str) else None
        if match is None or not isinstance(text, str):
            raise ValueError(f"condition {text!r} cannot be read: {_SYNTAX}")
        part = match.groupdict()
        metric = part["quoted"] or part["metric"]
        if part["baseline"]:
            margin = float(part["margin"] or 0) * (-1 if part["sign"] == "-" else 1)
            return cls(text.strip(), metric, part["op"], margin, True)
        return cls(text.strip(), metric, part["op"], float(part["number"]), False)

    @classmethod
    def parse_all(cls, texts: object) -> list[Condition]:
        """
        Read conditions, or a single one.

        :raises ValueError: if one is not a condition, or there are none.
        """
        many = texts if isinstance(texts, Iterable) and not isinstance(texts, str) else [texts]
        conditions = [cls.parse(text) for text in many]
        if not conditions:
            raise ValueError("conditions is empty: a gate without conditions lets everything pass")
        return conditions


@dataclass(frozen=True)
class Verdict:
    """
    What became of one condition.

    :param condition: the condition.
    :param value: the metric's value.
    :param threshold: what it was compared with.
    :param met: whether the condition holds.
    """

    condition: Condition
    value: float
    threshold: float
    met: bool


def judge(conditions: Sequence[Condition], model: ModelMetrics, baseline: ModelMetrics | None) -> list[Verdict]:
    """
    Judge conditions.

    :param conditions: the conditions.
    :param model: the metrics of the model.
    :param baseline: the metrics of the model that it was compared with, if it was.
    :raises ValueError: if a metric that a condition needs is missing or not a number.
    """
    verdicts = []
    for condition in conditions:
        value = _metric(model, condition, "the evaluated model")
        threshold = condition.number
        if condition.baseline:
            if baseline is None:
                raise ValueError(
                    f"condition {condition.text!r} needs a baseline: evaluate with model_id_2 to compare two models"
                )
            # In decimals, as people write them: 0.1 + 0.2 is 0.3.
            threshold = float(Decimal(str(_metric(baseline, condition, "the baseline"))) + Decimal(str(threshold)))
        verdicts.append(Verdict(condition, value, threshold, _OPERATORS[condition.op](value, threshold)))
    return verdicts


def _metric(model: ModelMetrics, condition: Condition, role: str) -> float:
    value = model.metrics.get(condition.metric)
    if _is_number(value):
        return float(value)
    known = sorted(name for name, v in model.metrics.items() if _is_number(v))
    alike = {_normal(name): name for name in known}
    near = [repr(alike[name]) for name in get_close_matches(_normal(condition.metric), alike, n=4)]
    raise ValueError(
        f"condition {condition.text!r}: {role} {model.model_id!r} has no metric {condition.metric!r} that is a number"
        + (f"; did you mean {' or '.join(near)}?" if near else ".")
        + f" There are: {', '.join(known) or 'none'}"
    )


def _normal(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().lower())


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


_COLUMNS = ("metric", "value", "baseline", "condition", "threshold", "verdict")


def _rows(verdicts: Sequence[Verdict], baseline: ModelMetrics | None) -> Iterator[tuple[str, ...]]:
    for v in verdicts:
        other = baseline.metrics.get(v.condition.metric) if baseline else None
        yield (
            v.condition.metric,
            f"{v.value:.10g}",
            f"{other:.10g}" if _is_number(other) else "",
            v.condition.text,
            f"{v.threshold:.10g}",
            "met" if v.met else "NOT met",
        )


def markdown(verdicts: Sequence[Verdict], model: ModelMetrics, baseline: ModelMetrics | None) -> str:
    """Return the same table in Markdown, for an approval, a mail or a page."""
    passed = all(verdict.met for verdict in verdicts)
    lines = [_COLUMNS, ("---", "---:", "---:", "---", "---:", "---"), *_rows(verdicts, baseline)]
    table_lines = ("| " + " | ".join(map(_cell, line)) + " |" for line in lines)
    return f"**{'Passed' if passed else 'Not passed'}**: {_cell(versus(model, baseline))}\n\n" + "\n".join(table_lines)


def _cell(text: str) -> str:
    """Return text that a table shows as it is: names are the service's."""
    return re.sub(r"([\\`*<\[\]|])", r"\\\1", text).replace("\n", " ")


def table(verdicts: Sequence[Verdict], model: ModelMetrics, baseline: ModelMetrics | None) -> str:
    """Return a table of the verdicts for the log, which names the models."""
    return f"{versus(model, baseline)}\n{text_table(_COLUMNS, list(_rows(verdicts, baseline)))}"


def versus(model: ModelMetrics, baseline: ModelMetrics | None) -> str:
    """Return which model was judged, and against which: ``model 'm-1' against baseline 'm-0'``."""
    return f"model {model.model_id!r}" + (f" against baseline {baseline.model_id!r}" if baseline else "")
