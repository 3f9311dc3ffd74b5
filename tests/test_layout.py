"""How the package is laid out: a module has one idea, and can be read at once."""

from __future__ import annotations

from pathlib import Path

import airflow_provider_nugen

PACKAGE = Path(airflow_provider_nugen.__file__).parent
#: What a module may have, except those of operators, whose arguments are documented one by one.
MAX_LINES = 400


def test_no_module_is_longer_than_can_be_read_at_once() -> None:
    lines = {
        path.relative_to(PACKAGE).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in PACKAGE.rglob("*.py")
    }
    long = {path: count for path, count in lines.items() if count > MAX_LINES and not path.startswith("operators/")}
    assert not long, "split it by its ideas"
