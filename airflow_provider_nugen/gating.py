"""
The gate: do the metrics of an evaluation meet conditions?

Pure: conditions are text such as ``accuracy >= 0.9`` or ``accuracy >= baseline + 0.02``.
"""

from __future__ import annotations

import io
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeGuard

from rich.console import Console
from rich.table import Table

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
    rf"\s*(?P<metric>[^\s<>=!]+)\s*(?P<op>>=|<=|==|!=|>|<)\s*"
    rf"(?:(?P<number>{_NUMBER})|(?P<baseline>baseline)\s*(?:(?P<sign>[-+])\s*(?P<margin>{_NUMBER}))?)\s*"
)
_SYNTAX = "a condition is a metric, one of >= > <= < == !=, and a number or 'baseline', optionally + or - a margin"


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
    def parse(cls, text: str) -> Condition:
        """
        Read a condition.

        :raises ValueError: if it is none.
        """
        match = _CONDITION.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f"condition {text!r} cannot be read: {_SYNTAX}; for example 'accuracy >= 0.9'")
        part = match.groupdict()
        if part["baseline"]:
            margin = float(part["margin"] or 0) * (-1 if part["sign"] == "-" else 1)
            return cls(text.strip(), part["metric"], part["op"], margin, True)
        return cls(text.strip(), part["metric"], part["op"], float(part["number"]), False)

    @classmethod
    def parse_all(cls, texts: str | Iterable[str]) -> list[Condition]:
        """
        Read conditions, or a single one.

        :raises ValueError: if one is none, or there are none.
        """
        conditions = [cls.parse(text) for text in ([texts] if isinstance(texts, str) else texts)]
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


def judge(
    conditions: Sequence[Condition], metrics: Mapping[str, Any], baseline: Mapping[str, Any] | None
) -> list[Verdict]:
    """
    Judge conditions.

    :param conditions: the conditions.
    :param metrics: the metrics of the model.
    :param baseline: the metrics of the model that it was compared with, if it was.
    :raises ValueError: if a metric that a condition needs is missing or no number.
    """
    verdicts = []
    for condition in conditions:
        value = _metric(metrics, condition, "the evaluation")
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


def _metric(metrics: Mapping[str, Any], condition: Condition, where: str) -> float:
    value = metrics.get(condition.metric)
    if not _is_number(value):
        known = ", ".join(sorted(name for name, v in metrics.items() if _is_number(v))) or "none"
        raise ValueError(
            f"condition {condition.text!r}: {where} has no metric {condition.metric!r} that is a number (there are: "
            f"{known})"
        )
    return float(value)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def table(verdicts: Sequence[Verdict]) -> str:
    """Show verdicts as a table for the log."""
    rich = Table("metric", "value", "condition", "threshold", "verdict")
    for v in verdicts:
        rich.add_row(
            v.condition.metric,
            f"{v.value:.10g}",
            v.condition.text,
            f"{v.threshold:.10g}",
            "met" if v.met else "NOT met",
        )
    console = Console(width=120, color_system=None, file=io.StringIO(), markup=False, emoji=False)
    with console.capture() as capture:
        console.print(rich)
    return capture.get()
