"""What no statement may do: reach files, the network or programs, or break the store.

Two layers. The engine's user has no grants on sources (`configuration`), which stops most table
functions and engines whatever the spelling. This guard refuses, by tokens and before anything runs,
what this engine does not check in its embedded form, and everything in that family that a later
engine adds:

* table functions and engines: all that the engine itself lists, but for the harmless
  ones in `allowed`;
* the scalar function `file()`, also handed to `arrayMap(file, …)` or `APPLY file`;
* `INTO OUTFILE`, `FROM INFILE`, and every statement whose verb is not in a list;
* dictionaries on any source but this engine's own tables (`EXECUTABLE` runs programs as this user);
* `disk(…)` in a table's settings, which opens object stores;
* `input()`: an INSERT … SELECT from it reports success and stores nothing in chDB.

What this refuses although harmless: a table or alias named like a table function right before a
bracket (`INSERT INTO url (a)`; write it with another name). Columns of such names are free, and so
are strings.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from auditbus.deploy.local.store import allowed
from auditbus.deploy.local.store.errors import BadRequest, ErrorCode, Refused
from auditbus.deploy.local.store.statements import Statement
from auditbus.deploy.local.store.tokens import Kind, Token, tokenize

__all__ = ["StatementGuard"]

_SCALAR_FILE = "file"
_DENIED_CALLS = frozenset({_SCALAR_FILE, "disk", "executable", "python"})

_DICTIONARY_SOURCES = frozenset({"clickhouse", "null"})
# A dictionary on another server would be a way out: HOST is what makes it one.
_LOCAL_SOURCE_KEYS = frozenset(
    {
        "QUERY",
        "TABLE",
        "DB",
        "USER",
        "PASSWORD",
        "WHERE",
        "UPDATE_FIELD",
        "UPDATE_LAG",
        "INVALIDATE_QUERY",
    }
)


@dataclass(frozen=True, slots=True)
class StatementGuard:
    """Names in lower case: calls and engines to refuse, functions that take another function."""

    denied_calls: frozenset[str]
    denied_engines: frozenset[str]
    higher_order: frozenset[str]

    @classmethod
    def of_engine(
        cls, *, table_functions: Iterable[str], engines: Iterable[str], higher_order: Iterable[str]
    ) -> StatementGuard:
        """Deny by default: whatever this engine lists and nobody here has looked at."""
        return cls(
            _DENIED_CALLS | (_lower(table_functions) - allowed.TABLE_FUNCTIONS),
            _lower(engines) - allowed.ENGINES,
            _lower(higher_order),
        )

    def check(self, statement: Statement) -> None:
        """Let the statement pass or raise Refused; the reason names what is not allowed.

        Of an INSERT's data only Values are read: they alone may hold expressions.
        """
        tokens = statement.tokens
        if statement.verb not in allowed.VERBS:
            raise _refused(f"statements that begin with {statement.verb or tokens[0].text!r}")
        self._check_tokens(tokens)
        if statement.data is not None:
            self._check_tokens(statement.data.expressions)
        if statement.verb == "CREATE" and any(token.is_word("DICTIONARY") for token in tokens[1:4]):
            self._check_dictionary(tokens)

    def _check_tokens(self, tokens: Sequence[Token]) -> None:
        for index, token in enumerate(tokens):
            if token.kind is Kind.WORD:
                self._check_keyword(tokens, index)
            if token.is_name:
                self._check_call(tokens, index)
            if token.is_sign("{"):
                self._check_substitution(tokens, index)

    def _check_keyword(self, tokens: Sequence[Token], index: int) -> None:
        before = tokens[index - 1] if index else None
        after = tokens[index + 1 : index + 3]
        match tokens[index].text.upper():
            case "OUTFILE" if before is not None and before.is_word("INTO"):
                raise _refused("INTO OUTFILE")
            case "INFILE" if before is not None and before.is_word("FROM"):
                raise _refused("FROM INFILE")
            case "INSERT" if before is not None and any(
                token.is_word("INTO") for token in after[:1]
            ):
                # `WITH … INSERT … VALUES`: chDB would look for further statements in its data.
                raise _refused("INSERT INTO within another statement")
            case "WITH" if before is not None and before.is_word("PARALLEL"):
                raise _refused("PARALLEL WITH")
            case "ENGINE":
                name = next((token for token in after if not token.is_sign("=")), None)
                if name is not None and name.is_name and name.text.lower() in self.denied_engines:
                    raise _refused(f"the engine {name.text}")

    def _check_dictionary(self, tokens: Sequence[Token]) -> None:
        for index, (token, following) in enumerate(pairwise(tokens)):
            if token.is_word("SETTINGS"):
                # The engine applies these past its own constraints.
                raise _refused("SETTINGS in a dictionary")
            if token.is_word("SOURCE") and following.is_sign("("):
                self._check_source(_bracketed(tokens, index + 1))

    def _check_source(self, source: Sequence[Token]) -> None:
        """Check `CLICKHOUSE(QUERY '…' …)`: its strings may be SQL, which the engine runs later."""
        if not source or source[0].text.lower() not in _DICTIONARY_SOURCES:
            raise _refused(f"the dictionary source {source[0].text if source else ''}")
        for key, value in pairwise(source[1:]):
            named = key.is_word(*_LOCAL_SOURCE_KEYS)
            if value.is_name and not named and not value.is_word(*_LOCAL_SOURCE_KEYS):
                raise _refused(f"{value.text} in a dictionary's source")
            if value.kind is Kind.STRING:
                self._check_tokens(tuple(tokenize(value.text.encode())))

    def _check_call(self, tokens: Sequence[Token], index: int) -> None:
        name = tokens[index].text.lower()
        following = tokens[index + 1] if index + 1 < len(tokens) else None
        if name in self.denied_calls and following is not None and following.is_sign("("):
            raise _refused(f"the function {tokens[index].text}()")
        if name == _SCALAR_FILE and self._is_function_argument(tokens[:index]):
            raise _refused("the function file as an argument (qualify a column: t.file)")

    def _check_substitution(self, tokens: Sequence[Token], index: int) -> None:
        """Refuse `arrayMap({f:Identifier}, …)`: the parameter may name a function."""
        names_something = any(
            token.is_word("IDENTIFIER") for token in tokens[index + 1 : index + 4]
        )
        if names_something and self._is_function_argument(tokens[:index]):
            raise _refused("a parameter as a function")

    def _is_function_argument(self, before: Sequence[Token]) -> bool:
        """Whether a name here is taken for a function, as in `arrayMap(file` or `APPLY file`."""
        if not before:
            return False
        if before[-1].is_sign("("):
            before = before[:-1]
            if before and before[-1].is_name and before[-1].text.lower() in self.higher_order:
                return True
        return bool(before) and before[-1].is_word("APPLY")


def _bracketed(tokens: Sequence[Token], opening: int) -> Sequence[Token]:
    depth = 0
    for index in range(opening, len(tokens)):
        depth += tokens[index].is_sign("(") - tokens[index].is_sign(")")
        if depth == 0:
            return tokens[opening + 1 : index]
    raise BadRequest(ErrorCode.SYNTAX_ERROR, "a bracket is never closed")


def _lower(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.lower() for name in names)


def _refused(what: str) -> Refused:
    return Refused(ErrorCode.ACCESS_DENIED, f"the embedded store does not allow {what}")
