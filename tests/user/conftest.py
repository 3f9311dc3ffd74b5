"""What a project with DAGs has: a metadata database, and the DAGs where Airflow looks for them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import airflow
import pytest
from airflow.utils.db import initdb


@pytest.fixture(autouse=True)
def project() -> None:
    if airflow.__version__ < "3.3":
        pytest.skip("dag.test() of Airflow before 3.3 does not wait for the API that it starts for itself")
    initdb()
    dags = Path(os.environ["AIRFLOW_HOME"], "dags")
    dags.mkdir(exist_ok=True)
    shutil.copy(Path(__file__).with_name("my_dag.py"), dags)
