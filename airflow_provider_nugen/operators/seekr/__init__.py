"""Operators for SeekrFlow."""

from __future__ import annotations

from airflow_provider_nugen.operators.seekr.alignment import (
    SeekrCancelAlignmentOperator,
    SeekrCreateAlignmentOperator,
    SeekrCreateDataJobOperator,
    SeekrGetAlignmentOutputsOperator,
)
from airflow_provider_nugen.operators.seekr.chat import SeekrChatCompletionOperator
from airflow_provider_nugen.operators.seekr.deployment import (
    SeekrCreateDeploymentOperator,
    SeekrDemoteDeploymentOperator,
)
from airflow_provider_nugen.operators.seekr.files import SeekrUploadFilesOperator
from airflow_provider_nugen.operators.seekr.fine_tune import (
    SeekrCancelFineTuneOperator,
    SeekrCreateFineTuneOperator,
)

__all__ = [
    "SeekrCancelAlignmentOperator",
    "SeekrCancelFineTuneOperator",
    "SeekrChatCompletionOperator",
    "SeekrCreateAlignmentOperator",
    "SeekrCreateDataJobOperator",
    "SeekrCreateDeploymentOperator",
    "SeekrCreateFineTuneOperator",
    "SeekrDemoteDeploymentOperator",
    "SeekrGetAlignmentOutputsOperator",
    "SeekrUploadFilesOperator",
]
