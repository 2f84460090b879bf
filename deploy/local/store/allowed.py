"""What statements may use: names that somebody has looked at and found harmless.

Everything else that the engine lists is refused, so a later engine's new way out is closed.
"""

from __future__ import annotations

__all__ = ["ENGINES", "TABLE_FUNCTIONS", "VERBS"]

# First words of statements.
VERBS = frozenset(
    {
        "ALTER",
        "CHECK",
        "CREATE",
        "DELETE",
        "DESC",
        "DESCRIBE",
        "DROP",
        "EXCHANGE",
        "EXISTS",
        "EXPLAIN",
        "FROM",
        "INSERT",
        "KILL",
        "OPTIMIZE",
        "RENAME",
        "SELECT",
        "SET",
        "SHOW",
        "SYSTEM",
        "TRUNCATE",
        "UPDATE",
        "USE",
        "WITH",
    }
)

# They read tables of this engine, or nothing. Lower case, as are the engines.
TABLE_FUNCTIONS = frozenset(
    {
        "dictionary",
        "format",
        "generate_series",
        "generaterandom",
        "generateseries",
        "loop",
        "merge",
        "mergetreeindex",
        "mergetreeprojection",
        "mergetreetextindex",
        "null",
        "numbers",
        "numbers_mt",
        "primes",
        "sqlstandardvalues",
        "values",
        "view",
        "viewexplain",
        "viewifpermitted",
        "zeros",
        "zeros_mt",
    }
)

# Of tables and of databases. They keep data here, or nowhere; no background thread reads elsewhere.
ENGINES = frozenset(
    {
        "aggregatingmergetree",
        "alias",
        "atomic",
        "buffer",
        "coalescingmergetree",
        "collapsingmergetree",
        "dictionary",
        "generaterandom",
        "graphitemergetree",
        "join",
        "log",
        "materializedview",
        "memory",
        "merge",
        "mergetree",
        "null",
        "replacingmergetree",
        "set",
        "stripelog",
        "summingmergetree",
        "tinylog",
        "versionedcollapsingmergetree",
        "view",
    }
)
