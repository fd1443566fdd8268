"""The progress of a command: a bar on a terminal if tqdm is installed, and otherwise lines."""

import sys
import time
from contextlib import AbstractContextManager, suppress
from typing import Any

from model import Epoch

SECONDS_APART = 5.0  # of two lines


class CountBar(AbstractContextManager["CountBar"]):
    """A bar of how many of a number are done."""

    def __init__(self, unit: str, *, scale: bool = False) -> None:
        self._bar = _bar(unit, scale=scale)
        self._started = False

    def show(self, done: int, of: int | None) -> None:
        """Draw the bar; a terminal that is gone does not end the work.

        What the first call says to be done was done before, and is not in the rate.
        """
        if self._bar is None:
            return
        with suppress(OSError):
            if not self._started:
                self._bar.initial = self._bar.n = self._bar.last_print_n = done
                self._started = True
            self._bar.total = of
            self._bar.update(done - self._bar.n)

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):
            if self._bar is not None:
                self._bar.close()


class ProgressBar(AbstractContextManager["ProgressBar"]):
    """The epochs of each phase of a training: a bar on a terminal, elsewhere lines."""

    def __init__(self) -> None:
        self._bar: Any = _bar("epoch") if sys.stderr and sys.stderr.isatty() else None
        self._phase, self._said_at = "", 0.0

    def show(self, epoch: Epoch) -> None:
        """Show an epoch; a terminal that is gone does not end the training."""
        with suppress(OSError):
            if self._bar is None:
                self._say(epoch)
            else:
                self._draw(epoch)

    def _say(self, epoch: Epoch) -> None:
        """Print a line at the start of a phase, and every SECONDS_APART."""
        now = time.monotonic()
        if sys.stderr is None or (
            epoch.phase == self._phase and now - self._said_at < SECONDS_APART
        ):
            return
        self._phase, self._said_at = epoch.phase, now
        print(_line(epoch), file=sys.stderr, flush=True)  # noqa: T201

    def _draw(self, epoch: Epoch) -> None:
        if epoch.number == 1:
            self._bar.reset(total=epoch.of)
            self._bar.set_description(epoch.phase, refresh=False)
        self._bar.set_postfix_str(_losses(epoch), refresh=False)
        self._bar.update()

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):
            if self._bar is not None:
                self._bar.close()


def _line(epoch: Epoch) -> str:
    return f"{epoch.phase}: epoch {epoch.number} of {epoch.of}, {_losses(epoch)}"


def _losses(epoch: Epoch) -> str:
    """The losses with the metric's name."""
    found = f"{epoch.metric} {epoch.training_loss:.4f} on training rows"
    if epoch.validation_loss is None:
        return found
    return f"{found}, {epoch.validation_loss:.4f} on validation rows"


def _bar(unit: str, *, scale: bool = False) -> Any:
    """A tqdm bar of no total yet, of thousands or millions with `scale`; None without tqdm."""
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(unit=unit, unit_scale=scale, leave=False, disable=None if sys.stderr else True)
