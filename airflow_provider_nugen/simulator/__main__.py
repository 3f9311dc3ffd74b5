"""``python -m airflow_provider_nugen.simulator``."""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
from pathlib import Path

from airflow_provider_nugen.simulator.app import create_app
from airflow_provider_nugen.simulator.server import Simulator, listen, make_server
from airflow_provider_nugen.simulator.state import DEFAULT_KEY, PROFILES

#: The key that the environment gives.
KEY_VARIABLE = "AIRFLOW_PROVIDER_NUGEN_SIMULATOR_KEY"

DESCRIPTION = """\
Nugen and SeekrFlow as one local server, to try the provider without an account and to test your own DAGs.

Jobs progress by themselves through the status words of the real services. Some ids are there from the beginning:
documents doc-demo-1 and doc-demo-2, and benchmark-demo-1; SeekrFlow takes any file id. Base models:
nugen-flash-instruct, nugen-pro-instruct; nugen-frozen and nugen-broken cannot be aligned: the first is refused, an
alignment of the second fails half-way.
"""
EPILOG = f"""\
Without --api-key the key is taken from the environment variable {KEY_VARIABLE}, else it is {DEFAULT_KEY}.

What tests can see and do, without a key (all routes: URL/docs):
  curl URL/_simulator/requests                                   the requests that came
  curl URL/_simulator/jobs                                       all jobs
  curl -X POST URL/_simulator/jobs/ID/fail -H 'Content-Type: application/json' -d '{{"reason": "out of memory"}}'
  curl -X PATCH URL/_simulator/jobs/ID -H 'Content-Type: application/json' -d '{{"status": "DREAMING"}}'
  curl -X POST URL/_simulator/faults -H 'Content-Type: application/json' \\
       -d '{{"action": "status", "status": 429, "retry_after": "5", "operation": "alignment_status", "times": 3}}'
  curl -X DELETE URL/_simulator/faults                           the end of all faults
  curl -X PUT URL/_simulator/revision -H 'Content-Type: application/json' -d '{{"revision": "C"}}'
"""


def _speed(text: str) -> float:
    speed = float(text)
    if not 0 < speed < math.inf:
        raise argparse.ArgumentTypeError("must be more than 0")
    return speed


def main() -> None:
    """Run the simulator until SIGINT (Ctrl-C) or SIGTERM; both are the ordinary way to end it, with exit code 0."""
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_nugen.simulator",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8765, help="port to listen on; 0 = any free one (%(default)s)")
    parser.add_argument("--api-key", help="the key that both services accept")
    parser.add_argument("--speed", type=_speed, default=60.0, help="simulated seconds per second (%(default)s)")
    parser.add_argument("--nugen-revision", choices=["A", "B", "C"], default="B", help="Nugen's API (%(default)s)")
    parser.add_argument("--profile", choices=PROFILES, default="plain", help="strict: as unkind as they may be")
    parser.add_argument("--flat", action="store_true", help="send alignment status without its envelope")
    parser.add_argument("--plain-timestamps", action="store_true", help="let Nugen write times without a zone")
    parser.add_argument("--seekr-team", action="append", metavar="ID", help="a team of the key; default: any")
    parser.add_argument("--state-file", type=Path, help="keep the jobs in this file over a restart")
    args = parser.parse_args()
    api_key = args.api_key or os.environ.get(KEY_VARIABLE)
    app = create_app(
        api_key=api_key or DEFAULT_KEY,
        seekr_team_ids=args.seekr_team,
        nugen_revision=args.nugen_revision,
        enveloped=not args.flat,
        plain_timestamps=args.plain_timestamps,
        speed=args.speed,
        state_file=args.state_file,
        profile=args.profile,
    )
    server = make_server(app)

    def stop(*_: object) -> None:
        server.should_exit = True

    # The server takes the signals over while it runs, and afterwards raises them again for whoever had them before.
    for sig in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sig, stop)
    try:
        sock = listen(args.host, args.port)
    except OSError as e:
        sys.exit(f"Cannot listen on {args.host}, port {args.port}: {e.strerror}")
    with sock:
        host = f"[{args.host}]" if ":" in args.host else args.host
        simulator = Simulator(f"http://{host}:{sock.getsockname()[1]}", app.state.world)
        print(f"Simulating Nugen and SeekrFlow at {simulator.url} (Ctrl-C stops it). Airflow connections:")
        for conn_id, fields in (
            ("nugen_default", simulator.nugen_connection()),
            ("seekr_default", simulator.seekr_connection()),
        ):
            # A key that was given is known to the one who gave it, and not to the log.
            shown = {**fields, "password": "<the key>" if api_key else fields["password"]}
            print(f"  export AIRFLOW_CONN_{conn_id.upper()}='{json.dumps(shown)}'", flush=True)
        server.run(sockets=[sock])


if __name__ == "__main__":
    main()
