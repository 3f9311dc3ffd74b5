"""Functions of modules that are imported with their first call."""

from __future__ import annotations

from functools import reduce
from importlib import import_module
from typing import Any


class LazyModule:
    """
    Stands for a module whose functions and classes are declared now and called later.

    An endpoint names the model that reads its answers. Building the models takes longer than all other declarations
    together, and a DAG file reads no answer: so the module is imported when the first answer of its service is read.
    For type checkers the name is the module itself, imported under ``TYPE_CHECKING``.

    :param module: the name of the module.
    :param path: what of the module: ``("AlignmentStatus", "read")``.
    """

    def __init__(self, module: str, *path: str) -> None:
        self._module = module
        self._path = path

    def __getattr__(self, name: str) -> LazyModule:
        """Return what stands for an attribute; nothing of the module is loaded."""
        if name.startswith("_"):
            raise AttributeError(name)
        return LazyModule(self._module, *self._path, name)

    def __call__(self, *arguments: Any) -> Any:
        """Call what it stands for."""
        target: Any = reduce(getattr, self._path, import_module(self._module))
        return target(*arguments)

    def __repr__(self) -> str:
        """Name what it stands for."""
        return ".".join((self._module, *self._path))
