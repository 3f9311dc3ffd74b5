"""The error tree: what an error says, and what the waiter and the operators ask it."""

from __future__ import annotations

import pytest

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
