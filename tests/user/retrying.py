"""A retry policy of a user: each error of this provider has its own way to be retried (Airflow 3.3 and later)."""

from datetime import timedelta

from airflow.sdk import DAG, ExceptionRetryPolicy, RetryAction, RetryRule

from airflow_provider_nugen.exceptions import JobCancelledError, JobFailedError, ServiceUnreachableError
from airflow_provider_nugen.operators.nugen import CreateAlignmentOperator

policy = ExceptionRetryPolicy(
    rules=[
        # The service is away: the job runs on, and a retry continues with it. Give the service time.
        RetryRule(ServiceUnreachableError, RetryAction.RETRY, retry_delay=timedelta(minutes=15)),
        # Somebody has stopped the job on purpose: do not start another one.
        RetryRule(JobCancelledError, RetryAction.FAIL, reason="Somebody cancelled the job"),
        # The job has failed: a retry buys a new one, at once.
        RetryRule(JobFailedError, RetryAction.RETRY, retry_delay=timedelta(0)),
    ]
)

with DAG(dag_id="retrying", schedule=None) as dag:
    CreateAlignmentOperator(
        task_id="align",
        base_model="nugen-flash-instruct",
        document_ids=["doc-demo-1"],
        wait_for_completion=True,
        retries=2,
        retry_policy=policy,
    )
