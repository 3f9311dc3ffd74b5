"""The services: whatever is done for each of them starts here."""

from __future__ import annotations

from airflow_provider_nugen.api.nugen.service import NUGEN
from airflow_provider_nugen.api.seekr.service import SEEKR

SERVICES = (NUGEN, SEEKR)
