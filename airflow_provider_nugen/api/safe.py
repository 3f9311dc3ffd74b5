"""
Values that can leave the provider: what comes from a service, made safe for Airflow.

Airflow encodes a trigger's event, an XCom and a stored state as JSON in UTF-8 with msgspec. Text with a lone surrogate
and an integer of more than 64 bits cannot be encoded: in an event they end the triggerer itself, and each one that is
started after it, since the trigger is still in the database. A NUL does the same where that is PostgreSQL, whose JSON
columns refuse it. They write numbers in their own way, too: what went in as ``1e+20`` comes out with 21 digits, an
integer that no worker can be started with any more. All are legal in JSON as Python reads it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

#: What is nested more deeply than this becomes text.
MAX_DEPTH = 100
_MIN_INT, _MAX_INT = -(2**63), 2**63 - 1
#: A body that has none of these is safe as it is parsed: an escaped surrogate or NUL, a surrogate encoded in UTF-8,
#: many digits, or a number with an exponent (which a byte order mark may precede).
_SUSPICIOUS = re.compile(rb"\\u(?:[dD]|0000)|\xed|[0-9]{19}|(?:^|[\s:,\[\xbf])-?[0-9][0-9.]*[eE]\+?[0-9]|NaN|Infinity")
_UNSAFE = re.compile("[\0\ud800-\udfff]")


def is_suspicious(body: bytes) -> bool:
    """
    Decide whether a JSON text may hold a value that Airflow cannot carry.

    :param body: the JSON text.
    :return: ``False`` only if :func:`safe_json` would change nothing of its parsed value but its depth.
    """
    return _SUSPICIOUS.search(body) is not None


def safe_text(text: str, limit: int | None = None) -> str:
    """
    Replace what UTF-8 cannot encode and PostgreSQL cannot hold, and cut a long text.

    :param text: any text.
    :param limit: the most characters to keep.
    """
    if _UNSAFE.search(text):
        text = _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text)
    if limit is not None and len(text) > limit:
        text = f"{text[:limit]}… ({len(text)} characters)"
    return text


def safe_json(value: Any, *, max_text: int | None = None, max_depth: int = MAX_DEPTH) -> Any:
    """
    Return a JSON value that msgspec, UTF-8 and PostgreSQL can carry; the argument stays as it is.

    Lone surrogates and NULs are replaced, a number that no integer of 64 bits reaches becomes text, one that is not
    finite becomes null, and what is nested too deeply becomes text.

    :param value: a JSON value, as parsed.
    :param max_text: the most characters of each text; ``None`` keeps all.
    :param max_depth: how deep lists and objects may be nested.
    """
    if isinstance(value, str):
        return safe_text(value, max_text)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if _MIN_INT <= value <= _MAX_INT else _big_number(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return float(value) if _MIN_INT <= value <= _MAX_INT else repr(float(value))
    if isinstance(value, Mapping) and max_depth > 0:
        return {
            safe_text(str(key), max_text): safe_json(item, max_text=max_text, max_depth=max_depth - 1)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)) and max_depth > 0:
        return [safe_json(item, max_text=max_text, max_depth=max_depth - 1) for item in value]
    if isinstance(value, (Mapping, list, tuple)):
        return f"({type(value).__name__} nested too deeply)"
    return safe_text(str(value), max_text)


def _big_number(value: int) -> str:
    try:
        return repr(float(value))
    except OverflowError:
        # Python refuses to write very long integers in decimal.
        return f"0x{value:x}"[:100]
