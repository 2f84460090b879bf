"""Dead letters as an operator sees them: read back, filtered, published again."""

from auditbus.console.dead_letters.reading import LetterFilter, StoredLetter, read_letters
from auditbus.console.dead_letters.replay import Replay, ReplayPlan

__all__ = ["LetterFilter", "Replay", "ReplayPlan", "StoredLetter", "read_letters"]
