"""The error tree: what an error says, and what the waiter and the operators ask it."""

from __future__ import annotations

from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_nugen.api import errors


@pytest.mark.parametrize(
    ("context", "hint", "text"),
    [
        ("", None, "It broke."),
        ("Nugen: get it", None, "Nugen: get it: It broke."),
        ("", "Mend it.", "It broke. Mend it."),
        ("Nugen: get it", "Mend it.", "Nugen: get it: It broke. Mend it."),
    ],
)
def test_an_error_says_context_problem_and_hint(context: str, hint: str | None, text: str) -> None:
    error = errors.ApiError("It broke.", context=context, hint=hint)
    assert str(error) == text
    assert error.advice == text.removeprefix(f"{context}: ")


@pytest.mark.parametrize(
    ("error", "transient", "maybe_processed"),
    [
        (errors.ApiError("x"), False, False),
        (errors.InvalidInputError("x"), False, False),
        (errors.ConnectionSettingsError("x"), False, False),
        (errors.CertificateError("x"), False, False),
        (errors.TransportError("x"), True, True),
        (errors.TransportError("x", sent=False), True, False),
        (errors.UnreadableResponseError("x"), True, True),
    ],
)
def test_an_error_says_whether_to_ask_again_and_whether_the_service_may_have_acted(
    error: errors.ApiError, transient: bool, maybe_processed: bool
) -> None:
    assert (error.transient, error.maybe_processed) == (transient, maybe_processed)
    assert error.retry_after is None


def test_an_input_error_is_a_value_error_too() -> None:
    with pytest.raises(ValueError, match="bad id"):
        raise errors.InvalidInputError("bad id")


def test_an_error_can_be_shown_whatever_it_says() -> None:
    error = errors.ApiError("cut \ud83d", context="of '\udcff'", hint="Read \ud800.")
    assert str(error) == "of '\ufffd': cut \ufffd Read \ufffd."
    str(error).encode()
    assert error.args == ("cut \ufffd",)


@given(st.text() | st.dates().map(str) | st.datetimes().map(format_datetime), st.floats(0, 4e9))
def test_any_retry_after_is_seconds_or_nothing(header: str, now: float) -> None:
    seconds = errors.retry_after_seconds(header, now)
    assert seconds is None or 0 <= seconds < 1e12


@pytest.mark.parametrize("header", ["Mon, 01 Jan 0001 00:00:00 +1400", "Fri, 31 Dec 9999 23:59:59 -1400"])
def test_a_date_at_the_end_of_time_is_seconds_or_nothing(header: str) -> None:
    seconds = errors.retry_after_seconds(header, 0.0)
    assert seconds is None or seconds >= 0
