"""Uploading files to SeekrFlow, each once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_nugen.api.endpoint import Upload
from airflow_provider_nugen.api.errors import ApiError, ResponseError
from airflow_provider_nugen.api.seekr import endpoints
from airflow_provider_nugen.api.seekr.uploads import (
    CLOCK_SKEW,
    MAX_BYTES,
    MIN_SAMPLES,
    TYPES,
    OwnFile,
    assign,
    batches,
    check_samples,
    check_type,
    match_files,
)
from airflow_provider_nugen.compat import task_state_store, task_state_survives_clear
from airflow_provider_nugen.exceptions import InvalidArgumentError, PossibleDuplicateJobError, UploadError, final
from airflow_provider_nugen.operators.files import LocalOrRemote, exists, file_list, file_name, open_file
from airflow_provider_nugen.operators.identity import TaskIdentity
from airflow_provider_nugen.operators.scalars import whole_number
from airflow_provider_nugen.operators.seekr.base import SeekrOperator
from airflow_provider_nugen.operators.upload_progress import UploadProgress

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_provider_nugen.api.seekr.models import File

#: Where the task state store keeps what was uploaded (Airflow 3.3 and later).
STORE_KEY = "airflow_provider_nugen.files"
#: A file is listed within this many seconds after the request for it, or was not stored.
VISIBLE_AFTER = 60.0


class SeekrUploadFilesOperator(SeekrOperator):
    """
    Upload files, for a data job, an alignment or a fine-tune.

    Purpose, types, sizes and, of JSONL files for fine-tuning, the number of samples are checked before anything is
    sent. Small files go together, to save requests; a large file is read while it is sent.

    The service takes the same file twice without a word. So after a crash or a lost answer the task searches the list
    for files of its names, sizes and purpose that were created since its first request, and uploads only what is
    missing. Ids so far survive a failure half-way (Airflow 3.3 and later). Before Airflow 3.3 a retry searches for
    files created since the DAG run began. If several files fit, the task fails and lists them. Clearing the task
    uploads everything anew (Airflow 3.3 and later).

    XComs: ``return_value`` = the list of file ids in the order of the files, and the same as ``file_ids``.

    :param files: local paths, URLs such as ``s3://conn@bucket/key``, or ``ObjectStoragePath`` objects; at most 4 GB
        each. Their names must differ.
    :param purpose: ``"alignment"`` (the default), ``"fine-tune"``, ``"preference-fine-tune"``,
        ``"reinforcement-fine-tune"`` or ``"pre-train"``.
    :param min_samples: the fewest samples of a JSONL file with the purpose ``"fine-tune"``.
    :param seekr_conn_id: the Airflow connection.
    :raises InvalidArgumentError: final, if an argument or a file is wrong.
    :raises UploadError: if a file could not be uploaded; final if the service refuses it.
    """

    template_fields: Sequence[str] = ("files", "purpose", "seekr_conn_id")
    #: Seconds before each search for files that an earlier request may have stored.
    lookup_delays: Sequence[float] = (0.0, 2.0, 5.0, 8.0, 10.0, 15.0, 22.0)

    def __init__(
        self,
        *,
        files: Sequence[LocalOrRemote] | LocalOrRemote | XComArg,
        purpose: str = "alignment",
        min_samples: int = MIN_SAMPLES,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.files = files
        self.purpose = purpose
        self.min_samples = min_samples
        whole_number(min_samples, "min_samples", 0)
        if not (isinstance(purpose, str) and "{" in purpose):
            self._check_purpose()

    def _check_purpose(self) -> None:
        if not isinstance(self.purpose, str) or self.purpose not in TYPES:
            raise final(InvalidArgumentError)(f"purpose is {self.purpose!r}; it must be one of {', '.join(TYPES)}.")

    def execute(self, context: Context) -> list[str]:
        """Upload the files that are not there yet; return the ids of all."""
        self._check_purpose()
        record = SeekrUploadRecord(context, self.purpose)
        files, uploads = self._checked(record)
        with self.session():
            if record.may_have_sent:
                self._adopt(record, files)
            missing = [file for file in files if file.key not in record.file_ids]
            if gone := [file for file in missing if file not in uploads]:
                raise final(InvalidArgumentError)(
                    f"files: there is no file {_names(gone)} any more, and no earlier try has uploaded it."
                )
            if missing:
                self._upload(record, uploads, missing)
        ids = [record.file_ids[file.key] for file in files]
        self.push_xcoms(context, {"file_ids": ids})
        return ids

    def _checked(self, record: SeekrUploadRecord) -> tuple[list[OwnFile], dict[OwnFile, Upload]]:
        """
        Check the files, and return them, and what opens each that is there.

        One that an earlier try has sent need not be there any more.
        """
        files, own = file_list(cast("Sequence[LocalOrRemote]", self.files), "files"), list[OwnFile]()
        uploads: dict[OwnFile, Upload] = {}
        for file in files:
            sent = record.sent(file_name(file, "files"))
            if sent is not None and not exists(file, "files"):
                own.append(sent)
                continue
            upload = open_file(file, "files", limit=MAX_BYTES)
            try:
                check_type(upload.name, self.purpose)
                if self.purpose == "fine-tune" and upload.name.lower().endswith(".jsonl"):
                    with upload.open() as opened:
                        check_samples(upload.name, opened, self.min_samples)
            except ValueError as e:
                raise final(InvalidArgumentError)(f"files: {e}.") from None
            own.append(OwnFile(upload.name, upload.size))
            uploads[own[-1]] = upload
        if len({file.name for file in own}) < len(files):
            raise final(InvalidArgumentError)(
                "files: several have the same name, so they could not be told apart at the service: rename them."
            )
        return own, uploads

    def _upload(self, record: SeekrUploadRecord, uploads: dict[OwnFile, Upload], missing: Sequence[OwnFile]) -> None:
        progress = UploadProgress(sum(file.size for file in missing), self.log)
        if record.listed_before is None:
            record.record_listed([file.id for file in self._list(since=None)])
        for batch in batches(missing):
            with_progress = [progress.watch(uploads[file]) for file in batch]
            endpoint = endpoints.UPLOAD_FILE if len(batch) == 1 else endpoints.UPLOAD_FILES
            record.record_sending(batch)
            try:
                answered = self.hook.request(endpoint.upload(with_progress, purpose=self.purpose))
                ids = assign(batch, answered)
            except ApiError as e:
                if not e.maybe_processed:
                    record.record_answered({})
                    raise self._failed(e, batch) from None
                self.log.warning("It is not known whether the service stored the files: %s", e)
                self._adopt(record, batch)
                if lost := [file for file in batch if file.key not in record.file_ids]:
                    raise self._failed(e, lost) from None
                continue
            except ValueError as e:
                raise final(UploadError)(
                    f"SeekrFlow (connection {self.conn_id!r}) answered an upload of {_names(batch)}, but {e}. A retry "
                    "would upload them again: find them in the list of files, and pass their ids on.",
                    service=self.hook.service.name,
                    conn_id=self.conn_id,
                ) from None
            record.record_answered(ids)
            for file in batch:
                self.log.info("Uploaded %r (%d bytes): file %r.", file.name, file.size, ids[file.key])

    def _failed(self, error: ApiError, files: Sequence[OwnFile]) -> UploadError:
        cls = UploadError if error.transient else final(UploadError)
        then = " A retry uploads what is missing." if error.transient else ""
        return cls(
            f"{error} Not uploaded: {_names(files)}.{then}",
            service=self.hook.service.name,
            conn_id=self.conn_id,
            status=error.status if isinstance(error, ResponseError) else None,
        )

    # What an earlier request has stored.

    def _adopt(self, record: SeekrUploadRecord, files: Sequence[OwnFile]) -> None:
        """
        Search for files that an earlier request may have stored, until all are found or would be visible.

        :raises PossibleDuplicateJobError: if several fit.
        """
        found: dict[str, list[File]] = {}
        for delay in self.lookup_delays:
            time.sleep(delay)
            missing = [file for file in files if file.key not in record.file_ids]
            listed = self._list(since=record.not_before)
            found = match_files(
                missing,
                listed,
                self.purpose,
                not_before=record.not_before,
                others={*(record.listed_before or ()), *record.file_ids.values()},
            )
            if len(found) == len(missing) or record.seconds_since_sent() > VISIBLE_AFTER:
                break
        if unclear := [file for candidates in found.values() if len(candidates) > 1 for file in candidates]:
            raise final(PossibleDuplicateJobError)(
                "An earlier request of this task may have stored some of these files, and it is not certain which: "
                + ", ".join(f"{file.id!r} ({file.filename}, created {file.created_at})" for file in unclear)
                + ". Delete those that are not wanted, or clear the task to upload all files again.",
                service=self.hook.service.name,
                conn_id=self.conn_id,
            )
        ids = {key: candidates[0].id for key, candidates in found.items()}
        for key, file_id in ids.items():
            self.log.info("Found file %r (%s), which an earlier request of this task stored.", file_id, key)
        record.record_answered(ids)

    def _list(self, since: float | None) -> list[File]:
        """List the files of the purpose, the newest first, back to a time in epoch seconds; all without one."""
        listed: dict[str, File] = {}
        while True:
            call = endpoints.LIST_FILES.call(
                purpose=self.purpose,
                sort_by="created_at",
                sort_order="desc",
                limit=endpoints.FILES_PAGE,
                offset=len(listed),
            )
            try:
                page = self.hook.request(call)
            except ApiError as e:
                raise self.failed(e) from None
            known = len(listed)
            listed |= {file.id: file for file in page}
            oldest = min((file.created_at.timestamp() for file in page if file.created_at), default=None)
            is_old = since is not None and oldest is not None and oldest < since - CLOCK_SKEW
            # A page that is shorter than asked for may be one that the service has cut: the end is a page without news.
            if len(listed) == known or is_old:
                return list(listed.values())


def _names(files: Sequence[OwnFile]) -> str:
    return ", ".join(repr(file.name) for file in files)


class SeekrUploadRecord:
    """
    What is known of the files of a task; kept in the task state store where there is one.

    :param context: the context of the running task.
    :param purpose: the purpose that they are uploaded for: the same file for another one is another file.
    """

    def __init__(self, context: Context, purpose: str) -> None:
        identity = TaskIdentity(context)
        self._store = task_state_store(context)
        self._store_key = STORE_KEY if identity.loop_index is None else f"{STORE_KEY}.{identity.loop_index}"
        stored = None if self._store is None else self._store.get(self._store_key)
        whose = {"identity": identity.key, "purpose": purpose}
        if isinstance(stored, dict) and not task_state_survives_clear():
            whose["identity"] = stored.get("identity", "")  # what is kept in spite of a clear is meant to be used
        is_own = isinstance(stored, dict) and whose.items() <= stored.items()
        self._entry: dict[str, Any] = {**stored} if is_own and stored else whose
        #: No earlier try can have sent anything.
        self._is_first = identity.is_first_try
        self._run_started = identity.run_started

    @property
    def file_ids(self) -> dict[str, str]:
        """The ids so far, by the keys of the files."""
        return dict(self._entry.get("file_ids") or {})

    @property
    def may_have_sent(self) -> bool:
        """An earlier request may have stored files without having been answered."""
        return bool(self._entry.get("sending")) if self._store is not None else not self._is_first

    @property
    def not_before(self) -> float | None:
        """When the first request was sent, or else when the run began, in epoch seconds."""
        first: float | None = self._entry.get("first_sent")
        return self._run_started if first is None else first

    @property
    def listed_before(self) -> list[str] | None:
        """The ids of the files that were there before the first request, if they are known."""
        return self._entry.get("listed")

    def seconds_since_sent(self) -> float:
        """Return how many seconds ago the last request was sent, at the least."""
        sent: float | None = self._entry.get("last_sent")
        return 0.0 if sent is None else time.time() - sent

    def record_listed(self, ids: Sequence[str]) -> None:
        """Record what is there before the first request."""
        self._keep(listed=list(ids))

    def sent(self, name: str) -> OwnFile | None:
        """Return the file of a name that an earlier request was to store, if there was one."""
        keys = {*self.file_ids, *(self._entry.get("sent") or ())}
        files = [OwnFile.of(key) for key in keys]
        return next((file for file in files if file.name == name), None)

    def record_sending(self, files: Sequence[OwnFile]) -> None:
        """Record, before sending, that the request for files may arrive without an answer."""
        now = time.time()
        self._keep(
            sending=True,
            sent=[file.key for file in files],
            last_sent=now,
            first_sent=self._entry.get("first_sent") or now,
        )

    def record_answered(self, ids: dict[str, str]) -> None:
        """Record the ids of files; what is still missing is not there."""
        self._keep(sending=False, file_ids=self.file_ids | ids)

    def _keep(self, **changes: Any) -> None:
        self._entry |= changes
        if self._store is not None:
            self._store.set(self._store_key, self._entry)
