"""What must hold after each step: I1 … I8 of the specification of transactions, and four that follow from them.

The first breach is kept: it is raised after the step and not inside the keeper, which might survive it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

LAWS = {
    "I1": "journal before wire",
    "I2": "one preparer per wallet",
    "I3": "one nonce per intent until that nonce is dead",
    "I4": "any attempt may win",
    "I5": "success only with the event in a canonical block",
    "I6": "an effect at most once, and in the end once",
    "I7": "nothing leaves while halted, barred or in a dry run",
    "I8": "foreign use raises the alarm, and nothing else does",
    "GAP": "no gap in the nonces stays",
    "FEE": "a replacement satisfies the pool",
    "FUNDS": "what is signed fits the balance that is known",
    "TIME": "a deadline is the chain's: nothing is taken back before it, and nothing begun after it",
    "END": "every intent comes to an end, and what was told of it is what the chain shows",
    "RUN": "the sending side ends only when it is killed",
}


class Broken(AssertionError):
    """A law does not hold."""

    def __init__(self, law: str, words: str) -> None:
        super().__init__(f"{law} ({LAWS[law]}): {words}")
        self.law = law
        self.words = words


@dataclass(slots=True)
class Laws:
    breach: Broken | None = None

    def require(self, holds: bool, law: str, words: str) -> None:
        if not holds and self.breach is None:
            self.breach = Broken(law, words)

    def check(self) -> None:
        if self.breach is not None:
            raise self.breach


@dataclass(slots=True)
class Diary:
    """The last events of the keeper and steps of the world, for whoever reads a failure."""

    lines: list[str] = field(default_factory=list)
    alarms: int = 0

    def note(self, words: str) -> None:
        self.lines.append(words)
        if len(self.lines) > 4000:
            del self.lines[:2000]

    def debug(self, event: str, **keys: object) -> None:
        """Nothing that a failure needs."""

    def info(self, event: str, **keys: object) -> None:
        self.note(f"    {event} {_short(keys)}")

    warning = error = exception = info

    def critical(self, event: str, **keys: object) -> None:
        self.alarms += event == "wallet.used_elsewhere"
        self.info(event, **keys)


def _short(keys: dict[str, object]) -> str:
    return " ".join(f"{name}={str(value)[:40]}" for name, value in keys.items() if name not in {"wallet", "advice"})


class Unmetered:
    """A Meter that forgets."""

    def count(self, name: str, amount: float = 1, **labels: str) -> None: ...

    def gauge(self, name: str, value: float, **labels: str) -> None: ...

    def observe(self, name: str, value: float, **labels: str) -> None: ...
