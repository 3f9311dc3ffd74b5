"""The retry policy that ``docs/errors.rst`` shows tells the errors apart."""

from datetime import timedelta

import pytest
from airflow.sdk import ExceptionRetryPolicy, RetryAction
from retrying import policy

from airflow_provider_nugen import exceptions
from airflow_provider_nugen.exceptions import ProviderError, final


@pytest.mark.parametrize(
    ("error", "action", "delay"),
    [
        (exceptions.ServiceUnreachableError, RetryAction.RETRY, timedelta(minutes=15)),
        (exceptions.JobCancelledError, RetryAction.FAIL, None),
        (exceptions.JobFailedError, RetryAction.RETRY, timedelta(0)),
        (exceptions.JobTimeoutError, RetryAction.DEFAULT, None),
        (exceptions.NotReadyError, RetryAction.DEFAULT, None),
        (ValueError, RetryAction.DEFAULT, None),
    ],
)
def test_the_policy_tells_the_errors_apart(
    error: type[Exception], action: RetryAction, delay: timedelta | None
) -> None:
    # It is used where the task runs, and also read back from the serialized DAG.
    for one in (policy, ExceptionRetryPolicy.deserialize(policy.serialize())):
        decision = one.evaluate(error("x"), try_number=1, max_tries=2)
        assert (decision.action, decision.retry_delay) == (action, delay)


def test_a_rule_matches_the_final_form_too() -> None:
    decision = policy.evaluate(final(exceptions.JobCancelledError)("x"), try_number=1, max_tries=2)
    assert decision.action is RetryAction.FAIL


def test_the_page_lists_every_error(request: pytest.FixtureRequest) -> None:
    page = (request.config.rootpath / "docs" / "errors.rst").read_text(encoding="utf-8")
    names = [name for name in exceptions.__all__ if isinstance(getattr(exceptions, name), type)]
    assert [name for name in names if f"``{name}``" not in page and name != ProviderError.__name__] == []
