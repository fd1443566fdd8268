"""A figure of an attack."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """A figure, and the most that it may be."""

    attack: str
    figure: str
    seen: float
    limit: float

    @property
    def met(self) -> bool:
        return self.seen <= self.limit

    def row(self) -> str:
        verdict = "met" if self.met else "MISSED"
        cells = (self.attack, self.figure, f"{self.seen:,.4g}", f"{self.limit:,.4g}", verdict)
        return f"| {' | '.join(cells)} |"
