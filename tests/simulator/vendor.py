"""SeekrFlow's own client: its pins clash with Airflow's, so it has an environment of its own, made when missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

VERSION = "0.35.1"
ENVIRONMENT = Path(__file__).parents[2] / ".venv-seekrai"


def python() -> Path:
    """Return a Python that has the client."""
    python = ENVIRONMENT / "bin" / "python"
    if not any(ENVIRONMENT.glob(f"lib/*/site-packages/seekrai-{VERSION}.dist-info")):
        subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, f"seekrai=={VERSION}"], check=True)
    return python


def run(program: Path, url: str, key: str, **more: str) -> dict[str, Any]:
    """
    Run a program that uses the client, and return the JSON that it prints.

    :param program: the program.
    :param url: the service.
    :param key: the API key.
    :param more: further environment variables.
    """
    env = {name: value for name, value in os.environ.items() if "proxy" not in name.lower() and name != "PYTHONPATH"}
    result = subprocess.run(
        [python(), program],
        env=env | {"SEEKR_BASE_URL": url, "SEEKR_API_KEY": key, **more},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    said: dict[str, Any] = json.loads(result.stdout)
    return said
