"""The URIs of assets, as Airflow and OpenLineage want them: ``nugen://<host>/models/<id>``, ``seekr://...``."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.sdk import Asset


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """
    Check a URI of the schemes ``nugen`` and ``seekr``; called by Airflow.

    :param uri: the URI.
    :raises ValueError: if it has no host, or no path.
    """
    if not uri.netloc or not uri.path.strip("/"):
        raise ValueError(f"A URI of a model is like {uri.scheme}://<host>/models/<id>, not {uri.geturl()!r}.")
    return uri


def convert_asset_to_openlineage(asset: Asset, lineage_context: object) -> Dataset:
    """
    Return an asset as a dataset of OpenLineage: the host is the namespace; called by Airflow.

    :param asset: an asset with a URI of the schemes ``nugen`` or ``seekr``.
    :param lineage_context: the hook or operator that is about it; not needed.
    """
    from airflow.providers.common.compat.openlineage.facet import Dataset

    parsed = urlsplit(asset.uri)
    return Dataset(namespace=f"{parsed.scheme}://{parsed.netloc}", name=parsed.path.lstrip("/"))
