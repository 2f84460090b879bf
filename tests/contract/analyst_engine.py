"""Run as an analyst on the embedded engine: `python -m tests.contract.analyst_engine CONFIG`.

The engine cannot make roles, but takes one user's grants, settings and row policies from its
configuration. Statements come in as a JSON list; out goes for each its rows, or its error's code.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import chdb

__all__ = ["answers"]


def answers(configuration: str, statements: list[str]) -> list[Any]:
    """Return the rows of each statement as lists, or the error code as an integer."""
    connection = chdb.connect(f"file:data?config-file={configuration}")
    try:
        return [_answer(connection, statement) for statement in statements]
    finally:
        connection.close()


def _answer(connection: Any, statement: str) -> Any:
    try:
        text = str(connection.query(statement, "JSONCompactEachRow"))
    except RuntimeError as error:
        code = re.search(r"Code: (\d+)", str(error))
        if code is None:
            raise
        return int(code[1])
    return [json.loads(line) for line in text.splitlines()]


if __name__ == "__main__":
    json.dump(answers(sys.argv[1], json.load(sys.stdin)), sys.stdout)
