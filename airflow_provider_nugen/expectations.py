"""
Is an answer of a model as expected?

Pure: an expectation is a text that the answer must contain, or a regular expression that must be found in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

#: What a regular expression begins with where it is text.
REGEX_PREFIX = "re:"
#: An expectation as a user writes it; ``None`` expects nothing.
Expected = str | re.Pattern[str] | None


class Expectation(NamedTuple):
    """
    What one answer is expected to contain.

    :param text: as written.
    :param pattern: what must be found in the answer.
    """

    text: str
    pattern: re.Pattern[str]

    @classmethod
    def parse(cls, expected: Expected) -> Expectation | None:
        """
        Read an expectation.

        :param expected: a text that must occur in the answer, in any case; a regular expression, compiled or as text
            that begins with ``re:``; or ``None``.
        :raises ValueError: if it is neither, or a regular expression that cannot be compiled.
        """
        if expected is None:
            return None
        if isinstance(expected, re.Pattern):
            return cls(f"{REGEX_PREFIX}{expected.pattern}", expected)
        if not isinstance(expected, str) or not expected.strip():
            raise ValueError(f"expect: {expected!r} is neither a text nor a regular expression")
        if not expected.startswith(REGEX_PREFIX):
            return cls(expected, re.compile(re.escape(expected), re.IGNORECASE))
        if expected == REGEX_PREFIX:
            raise ValueError(f"expect: {expected!r} is an empty regular expression, which is found in any answer")
        try:
            return cls(expected, re.compile(expected.removeprefix(REGEX_PREFIX)))
        except re.error as e:
            raise ValueError(f"expect: {expected!r} is not a regular expression: {e}") from None

    @classmethod
    def parse_all(cls, expected: Any, count: int) -> list[Expectation | None]:
        """
        Read the expectations of several answers.

        :param expected: one for each answer, or a single one that holds for all of them.
        :param count: how many answers there are.
        :raises ValueError: if one of them cannot be read, or there are more or fewer than answers.
        """
        if expected is None or isinstance(expected, (str, re.Pattern)):
            return [cls.parse(expected)] * count
        if not isinstance(expected, Sequence):
            raise ValueError(f"expect: {expected!r} is neither a text nor a list")
        if len(expected) != count:
            raise ValueError(f"expect has {len(expected)} items for {count} prompts: pass one for each, or None")
        return [cls.parse(one) for one in expected]


def shortfall(
    answer: str, confidence: float | None, expectation: Expectation | None, min_confidence: float | None
) -> str:
    """
    Return why an answer is not as expected; empty if it is.

    :param answer: the whole answer.
    :param confidence: the model's confidence, 0 to 100, where the service tells it.
    :param expectation: what it is expected to contain.
    :param min_confidence: the least confidence.
    """
    reasons = []
    if expectation is not None and not expectation.pattern.search(answer):
        reasons.append(f"{expectation.text!r} is not in it")
    if min_confidence is not None and confidence is None:
        reasons.append("it has no confidence_score, which only aligned models of Nugen have")
    elif min_confidence is not None and confidence is not None and confidence < min_confidence:
        reasons.append(f"confidence {confidence:g} is less than {min_confidence:g}")
    return "; ".join(reasons)
