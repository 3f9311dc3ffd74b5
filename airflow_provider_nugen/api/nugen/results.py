"""What an evaluation measured, and of which model (``docs/nugen-api.rst``, "Evaluation results")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import AliasChoices, Field

from airflow_provider_nugen.api.models import Timestamp
from airflow_provider_nugen.api.nugen.models import NugenModel


@dataclass(frozen=True)
class ModelMetrics:
    """
    What an evaluation measured of one model.

    :param model_id: the model, where the answer names it.
    :param metrics: its metrics.
    """

    model_id: str | None
    metrics: Mapping[str, Any]


class EvaluationResults(NugenModel):
    """
    What an evaluation measured.

    A single evaluation (``method: "eval"``) has ``metrics``. A comparison (``"eval-compare"``) has two slots,
    ``base_model`` and ``eval_model``, and ``comparison``. The names of the slots say nothing about which model is in
    which: :meth:`compared` tells.
    """

    evaluation_id: str | None = None
    model_id: str | None = None
    benchmark_id: str | None = None
    status: str | None = None
    method: str | None = None
    raw_answers_count: int | None = None
    completed_at: Timestamp | None = None
    metrics: dict[str, Any] | None = None
    model_id_2: str | None = Field(
        default=None, validation_alias=AliasChoices("model_id_2", "baseline_model_id", "modelId2", "baselineModelId")
    )
    base_model: dict[str, Any] | None = None
    eval_model: dict[str, Any] | None = None
    comparison: dict[str, Any] | None = None
    #: The parts of the answer that hold the metrics of one model, in recorded order.
    slots: list[dict[str, Any]] = Field(default_factory=list, exclude=True)

    @classmethod
    def flatten(cls, payload: dict[str, Any]) -> dict[str, Any]:
        """Gather the slots of a comparison. Revision C's names of them are not known, so what they hold tells."""
        slots = [slot for name in ("base_model", "eval_model") if isinstance(slot := payload.get(name), dict)]
        if not slots:
            parts = [part for value in payload.values() for part in (value if isinstance(value, list) else [value])]
            slots = [p for p in parts if isinstance(p, dict) and _slot_id(p) and isinstance(p.get("metrics"), dict)]
        return {**payload, "slots": slots}

    def compared(self) -> tuple[ModelMetrics, ModelMetrics | None]:
        """
        Return what was measured of the evaluated model, and of the model that it was compared with, if it was.

        The evaluated model is in the slot that names ``model_id``, the other one in the slot that names
        ``model_id_2``. Only slots without ids are told by their recorded order: in ``base_model`` is the evaluated
        model, in ``eval_model`` the other one (``docs/nugen-api.rst``, "Evaluation results").

        :raises ValueError: if the ids of the slots contradict those of the evaluation.
        """
        evaluated, other = self._slots_of_models()
        measured = ModelMetrics(self.model_id, self.metrics or {} if evaluated is None else _metrics(evaluated))
        if other is None:
            return measured, None
        return measured, ModelMetrics(_slot_id(other) or self.model_id_2, _metrics(other))

    def _slots_of_models(self) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """Return the slot of the evaluated model, and that of the other one."""
        named = [slot for slot in self.slots if _slot_id(slot)]
        if not named and self.model_id_2 is None and len(self.slots) == 1:
            return self.slots[0], None  # there is only one model, whatever its slot is called
        if not named:
            compared = self.base_model is not None or self.eval_model is not None
            return (self.base_model or {}, self.eval_model or {}) if compared else (None, None)
        evaluated = [slot for slot in named if _slot_id(slot) == self.model_id]
        if len(evaluated) == 2 and self.model_id == self.model_id_2:
            return evaluated[0], evaluated[1]  # a model compared with itself
        if len(evaluated) > 1:
            raise self._contradiction(named)
        rest = [slot for slot in self.slots if slot not in evaluated]
        # Without ids of its own a slot can be either model's; with ids it must be the one that they name.
        other = [slot for slot in rest if _slot_id(slot) and _slot_id(slot) == self.model_id_2]
        if not other and evaluated:
            other = [slot for slot in rest if not (_slot_id(slot) and self.model_id_2)]
        if not evaluated and other:
            left = [slot for slot in rest if slot not in other]
            evaluated = [slot for slot in left if not (_slot_id(slot) and self.model_id)]
            if not left and self.metrics:
                return None, other[0]
        if len(evaluated) != 1 or len(other) > 1 or len(evaluated) + len(other) < len(self.slots):
            raise self._contradiction(named)
        return evaluated[0], other[0] if other else None

    def _contradiction(self, named: list[dict[str, Any]]) -> ValueError:
        compared = f" and compares it with {self.model_id_2!r}" if self.model_id_2 else ""
        return ValueError(
            f"the results hold metrics of {' and '.join(repr(_slot_id(slot)) for slot in named)}, but the evaluation "
            f"is of model {self.model_id!r}{compared}, so it is not certain which metrics are whose"
        )


def _slot_id(slot: Mapping[str, Any]) -> str | None:
    """Return the model that a slot names, be it by another name or as a number: only then its place tells nothing."""
    for name in ("model_id", "modelId", "id", "model"):
        found = slot.get(name)
        if isinstance(found, int) and not isinstance(found, bool):
            return str(found)
        if isinstance(found, str) and found.strip():
            return found
    return None


def _metrics(slot: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the metrics of a slot: under ``metrics``, or bare."""
    nested = slot.get("metrics")
    return nested if isinstance(nested, Mapping) else slot
