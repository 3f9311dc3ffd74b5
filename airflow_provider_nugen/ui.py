"""How Airflow's web interface shows the tasks of this provider: one table of colours, and one of arguments."""

from __future__ import annotations

from enum import StrEnum


class Color(StrEnum):
    """The colour of a task, by what it does; each with black text on it."""

    #: Starts a job, which costs money.
    STARTING = "#cfe8cf"
    #: Waits for a job.
    WAITING = "#d6e4f5"
    #: Ends what costs money: undeploys, demotes, cancels.
    CLEANING = "#f5d9c8"
    #: Sends a request and is done: fetches results, asks a model, sends files.
    ASKING = "#eeeeee"


#: What is no plain text, and how it is shown among the rendered templates; the same names mean the same in all tasks.
RENDERERS: dict[str, str] = {
    **dict.fromkeys(
        (
            "categories",
            "conditions",
            "custom_metrics",
            "document_ids",
            "expect",
            "file_ids",
            "files",
            "infrastructure_config_extra",
            "messages",
            "parameters",
            "prompts",
            "training_config_extra",
            "training_files",
            "validation_files",
        ),
        "json",
    ),
    **dict.fromkeys(("instructions", "system_prompt"), "md"),
}
