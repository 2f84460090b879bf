"""The one oracle: every published id is in exactly one of {delivered, dead letters}.

`delivered` is what a store shows its readers, or what a destination acknowledged. Missing and
repeated are counted separately: missing is never allowed, repeated where at-least-once says so.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Verdict:
    """Ids by what is wrong with them; all empty means exactly once."""

    missing: set[str]
    both: set[str]
    unknown: set[str]
    repeated: dict[str, int] = field(default_factory=dict)

    @property
    def repeats(self) -> int:
        """How many copies too many there are."""
        return sum(count - 1 for count in self.repeated.values())

    def check_nothing_lost(self) -> None:
        """Assert at-least-once: no id missing, in two places, or out of nowhere."""
        assert not self.missing, f"{len(self.missing)} missing, such as {min(self.missing)}"
        assert not self.both, f"{len(self.both)} delivered and dead, such as {min(self.both)}"
        assert not self.unknown, f"{len(self.unknown)} never published: {min(self.unknown)}"

    def check_exactly_once(self) -> None:
        """Assert at-least-once, and no repeats."""
        self.check_nothing_lost()
        assert not self.repeated, f"{self.repeats} copies too many"


def judge(
    published: Iterable[str], delivered: Mapping[str, int], dead: Iterable[str] = ()
) -> Verdict:
    """Compare what was published with where it is; `delivered` counts copies by id."""
    expected, dead_ids = set(published), Counter(dead)
    return Verdict(
        missing=expected - delivered.keys() - dead_ids.keys(),
        both=delivered.keys() & dead_ids.keys(),
        unknown=(delivered.keys() | dead_ids.keys()) - expected,
        repeated={name: n for name, n in delivered.items() if n > 1},
    )
