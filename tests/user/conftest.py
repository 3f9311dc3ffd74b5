"""What a project with DAGs has: a metadata database, and the DAGs where Airflow looks for them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import airflow.sdk
import pytest
from airflow.utils.db import initdb

#: What needs a newer Airflow than this one.
collect_ignore = [] if hasattr(airflow.sdk, "RetryPolicy") else ["test_retrying.py"]


@pytest.fixture(autouse=True)
def project() -> None:
    initdb()
    dags = Path(os.environ["AIRFLOW_HOME"], "dags")
    dags.mkdir(exist_ok=True)
    for name in ("my_dag.py", "rest_dag.py"):
        shutil.copy(Path(__file__).with_name(name), dags)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is here: ``dag.test()`` of Airflow before 3.3 does not wait for the API that it starts for itself."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker("newest")
