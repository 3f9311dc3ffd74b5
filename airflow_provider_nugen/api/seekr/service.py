"""SeekrFlow: the service."""

from __future__ import annotations

from airflow_provider_nugen.api.service import Extra, Service

SEEKR = Service(
    name="SeekrFlow",
    conn_type="seekr",
    base_url="https://flow.seekr.com",
    authorization=lambda key: key,
    own_extras=(
        Extra(
            "team_id",
            "Team id",
            "The team to work in; without it calls work on the personal workspace of the key's owner.",
            header="x-team-id",
        ),
    ),
    hints={
        400: "Check the arguments against what the service says.",
        401: "Check the API key (password) of the connection: the bare key, without 'Bearer'.",
        402: "Check the credit of the SeekrFlow account that the key belongs to.",
        403: "Check the extra 'team_id' of the connection: the key must belong to a member of that team.",
        404: "Check the id, and the extra 'team_id' of the connection: a job is visible only to its own team.",
        422: "Correct the argument that the service names.",
    },
    wrong_route_hint="The service has no such path: check the base URL (Host) of the connection.",
    key_check="/v1/flow/alignment",
)
