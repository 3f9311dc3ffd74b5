"""
How much memory the upload of a large file takes: ``python -m benchmarks.upload``.

A sparse file, which takes no room on the disk, goes through ``SeekrUploadFilesOperator`` to a local server that throws
it away. Server and upload are processes of their own, so that the peak is that of the upload alone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

#: Bytes that the server reads at once.
BLOCK = 2**20
#: What the issue of large uploads allows, in MiB.
LIMIT = 64


class Discard(BaseHTTPRequestHandler):
    """Answers like SeekrFlow, and keeps nothing of what it is sent."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer that there are no files."""
        self._answer({"object": "list", "data": []})

    def do_PUT(self) -> None:
        """Read a file, and answer with an id."""
        left = int(self.headers["Content-Length"])
        while left:
            left -= len(self.rfile.read(min(left, BLOCK)))
        self._answer({"id": "file-1", "object": "file"})

    def _answer(self, payload: Any) -> None:
        body = json.dumps(payload).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Log nothing."""


def serve() -> None:
    """Serve on a free port until the end of the input, and say which."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Discard) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


def memory(field: str) -> float:
    """Return how much memory this process has (``VmRSS``), or has had at its peak (``VmHWM``), in MiB."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) / 1024


def upload(path: str, port: int) -> None:
    """Upload a file, and say how much memory that took."""
    connection = {"conn_type": "seekr", "host": f"http://127.0.0.1:{port}", "password": "benchmark-key"}
    os.environ["AIRFLOW_CONN_SEEKR_DEFAULT"] = json.dumps(connection)
    from airflow_provider_nugen.operators.seekr import SeekrUploadFilesOperator

    # A small one first, so that everything is loaded.
    small = Path(path).with_name("small.pt")
    small.write_bytes(b"x" * 1000)
    began, before = 0.0, 0.0
    for file in (str(small), path):
        operator = SeekrUploadFilesOperator(task_id="upload", files=[file], purpose="pre-train")
        identity = {"dag_id": "benchmark", "run_id": "run", "task_id": "upload", "map_index": -1}
        ti = SimpleNamespace(**identity, try_number=1, max_tries=0, task=operator, xcom_push=lambda **xcom: None)
        Path("/proc/self/clear_refs").write_text("5")  # what was the peak before does not count
        before, began = memory("VmRSS"), time.monotonic()
        context: Any = {"ti": ti, "dag_run": SimpleNamespace(start_date=datetime.now(UTC))}
        assert operator.execute(context)
    print(json.dumps({"before": before, "peak": memory("VmHWM"), "seconds": time.monotonic() - began}))


def measure(size: int) -> dict[str, float]:
    """
    Upload a file of a size in bytes.

    :return: memory before and at its peak in MiB, and how many seconds it took.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-upload-") as folder:
        path = Path(folder) / "large.pt"
        with path.open("wb") as file:
            file.truncate(size)
        env = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        env |= {"AIRFLOW_HOME": folder, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        command = [sys.executable, "-m", "benchmarks.upload"]
        with subprocess.Popen([*command, "--serve"], stdout=subprocess.PIPE, text=True, env=env) as server:
            try:
                assert server.stdout is not None
                port = server.stdout.readline().strip()
                run = subprocess.run(
                    [*command, "--upload", str(path), "--port", port],
                    capture_output=True,
                    text=True,
                    env=env,
                    check=False,
                )
            finally:
                server.terminate()
    if run.returncode:
        raise SystemExit(run.stdout + run.stderr)
    measured: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return measured


def main() -> None:
    """Measure, and say whether it is within the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--upload", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve()
    elif arguments.upload:
        upload(arguments.upload, arguments.port)
    else:
        measured = measure(int(arguments.gigabytes * 10**9))
        growth = measured["peak"] - measured["before"]
        rate = 1000 * arguments.gigabytes / measured["seconds"]
        print(
            f"{arguments.gigabytes:g} GB in {measured['seconds']:.1f} s ({rate:.0f} MB/s): "
            f"{measured['before']:.0f} MiB of memory before, {measured['peak']:.0f} MiB at the peak, "
            f"so {growth:.1f} MiB for the upload (limit {LIMIT} MiB)."
        )
        if growth > LIMIT:
            raise SystemExit("More than the limit.")


if __name__ == "__main__":
    main()
