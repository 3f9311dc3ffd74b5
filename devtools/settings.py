"""What the private Airflow is told: its ``airflow.cfg`` and the environment of its processes."""

from __future__ import annotations

import base64
import configparser
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from devtools.network import LOCALHOST

USER = "admin"

Settings = dict[str, str]


def airflow_settings(
    *, home: Path, dags: Sequence[Path], port: int, database_url: str, triggerer_health_check_threshold: float
) -> Settings:
    """
    Return the settings under the names of their environment variables, ``AIRFLOW__SECTION__KEY``.

    :param home: the private AIRFLOW_HOME.
    :param dags: folders with DAG files; each becomes a bundle.
    :param port: port of the api-server.
    :param database_url: SQLAlchemy URL of the metadata database.
    :param triggerer_health_check_threshold: seconds without a heartbeat after which the triggers of a triggerer are
        given to another one.
    """
    url = f"http://{LOCALHOST}:{port}"
    bundles = [
        {
            "name": f"dags-{number}",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(folder), "refresh_interval": 5},
        }
        for number, folder in enumerate(dags)
    ]
    return {
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags[0]),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(home / "plugins"),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        # LocalExecutor forks all of its workers at the start, 32 by default.
        "AIRFLOW__CORE__PARALLELISM": "8",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(),
        # The default resolves the machine in DNS, which takes seconds where there is none.
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database_url,
        # The api-server starts while the database is being made. Nothing else starts before it is complete.
        "AIRFLOW__DATABASE__CHECK_MIGRATIONS": "False",
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__HOST": LOCALHOST,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(32),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(48),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        # No file changes while it runs, and every parsing takes a second of a processor.
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
        # The scheduler sees finished tasks and fired triggers once per loop, so this is the latency of every step.
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.25",
        # DAGs with a schedule, too, run only when they are triggered.
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
        "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "2",
        # A worker may see the end of its task one such interval late, and is not free until then.
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        # On a busy machine an import takes longer than the 30 s after which a worker gives up. It is tried again, but
        # not within seconds: a task that is due again before the scheduler has read that its worker left is failed.
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "240",
        "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "300",
        "AIRFLOW__WORKERS__MISSING_DAG_RETRY_DELAY": "15",
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": f"{triggerer_health_check_threshold:g}",
    }


def write_config(file: Path, settings: Mapping[str, str]) -> None:
    """
    Write settings as an ``airflow.cfg`` that only its owner can read.

    A file and not the environment, which a task that prints it would put into its log, with the fernet key; and with a
    file, ``AIRFLOW_HOME=... airflow ...`` works in another terminal.

    :param file: file to write.
    :param settings: settings named ``AIRFLOW__SECTION__KEY``.
    :raises ValueError: for a name that is not of this form.
    """
    config = configparser.RawConfigParser()
    for name, value in settings.items():
        try:
            prefix, section, key = name.split("__", 2)
        except ValueError:
            prefix = ""
        if prefix != "AIRFLOW":
            raise ValueError(f"{name} is not of the form AIRFLOW__SECTION__KEY")
        if not config.has_section(section.lower()):
            config.add_section(section.lower())
        # Airflow reads the file with interpolation.
        config.set(section.lower(), key.lower(), value.replace("%", "%%"))
    with open(file, "x", opener=_private) as stream:
        config.write(stream)


def write_passwords(file: Path) -> str:
    """
    Give the user of the simple auth manager a password, and return it.

    Airflow would generate one itself, but also print it into the log of the api-server.

    :param file: file to write, readable by its owner only.
    """
    password = secrets.token_urlsafe(9)
    with open(file, "x", opener=_private) as stream:
        json.dump({USER: password}, stream)
    return password


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
