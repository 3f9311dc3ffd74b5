"""The connection of a DAG that is tested may be in the database, too."""

import json

from airflow.models import Connection
from airflow.utils.session import create_session
from my_dag import dag

from airflow_provider_nugen.simulator import run_simulator


def test_a_connection_in_the_database() -> None:
    with run_simulator(speed=300) as simulator:
        with create_session() as session:
            session.add(Connection.from_json(json.dumps(simulator.seekr_connection()), conn_id="seekr_default"))
        try:
            assert dag.test().state == "success"
        finally:
            with create_session() as session:
                session.query(Connection).delete()
