"""
A form with files, read while it is sent.

requests reads the files of a form into memory, and quotes their names in a way that neither service undoes. A
package that does better would be one more dependency for these lines.
"""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO, Self

from airflow_provider_nugen.api.endpoint import Upload
from airflow_provider_nugen.api.errors import InvalidInputError
from airflow_provider_nugen.api.safe import safe_text


class Multipart:
    """
    The body of a ``multipart/form-data`` request (RFC 7578): what :mod:`http.client` reads in blocks.

    A context manager, which closes the files.

    :param form: the fields that are not files.
    :param uploads: the files.
    :raises InvalidInputError: for a file that cannot be read.
    """

    def __init__(self, form: Mapping[str, str | Sequence[str]], uploads: Sequence[Upload]) -> None:
        boundary = secrets.token_hex(16)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._files: list[BinaryIO] = []
        #: What is to be sent: a file, how many bytes of it, and its name (empty for what is between the files).
        self._parts: list[tuple[BinaryIO, int, str]] = []
        for name, value in form.items():
            for item in [value] if isinstance(value, str) else value:
                self._add(f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n{item}\r\n')
        try:
            for upload in uploads:
                file_name = f'name="{_quoted(upload.field)}"; filename="{_quoted(upload.name)}"'
                self._add(
                    f"--{boundary}\r\nContent-Disposition: form-data; {file_name}\r\n"
                    "Content-Type: application/octet-stream\r\n\r\n"
                )
                self._add_file(upload)
                self._add("\r\n")
        except BaseException:
            self.__exit__()
            raise
        self._add(f"--{boundary}--\r\n")
        self._length = sum(size for _, size, _ in self._parts)

    def _add(self, text: str) -> None:
        data = safe_text(text).encode()
        self._parts.append((io.BytesIO(data), len(data), ""))

    def _add_file(self, upload: Upload) -> None:
        try:
            file = upload.open()
            self._files.append(file)
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
        except OSError as e:
            raise InvalidInputError(
                f"the file {upload.name!r} cannot be read ({e.strerror or type(e).__name__}).",
                hint="Check its path, and that the worker may read it.",
            ) from None
        self._parts.append((file, size, upload.name))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        for file in self._files:
            file.close()

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        """Yield the body in blocks; that there is such a method tells requests that the body is a stream."""
        while block := self.read(2**16):
            yield block

    def read(self, size: int = -1) -> bytes:
        """
        Read the next bytes of the body.

        :param size: the most bytes to read; fewer come at the end of a part, none at the end of the body.
        :raises InvalidInputError: if a file has become shorter since it was opened.
        """
        while self._parts:
            source, left, name = self._parts[0]
            data = source.read(left if size < 0 else min(size, left))
            if len(data) == left:
                del self._parts[0]
            else:
                self._parts[0] = source, left - len(data), name
            if data:
                return data
            if left:
                raise InvalidInputError(f"the file {name!r} has become shorter while it was sent.")
        return b""


def _quoted(name: str) -> str:
    """Quote a name as RFC 7578, section 4.2, wants it: as it is, in UTF-8, but for what would end it."""
    name = name.replace("\\", "\\\\").replace('"', '\\"')
    return "".join(f"%{ord(char):02X}" if ord(char) < 32 or ord(char) == 127 else char for char in name)
