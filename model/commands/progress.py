"""The progress of a command, on a terminal, if tqdm is installed."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any

from model import Epoch


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
    """A bar of the epochs, which ends early if training does."""

    def __init__(self) -> None:
        self._bar = _bar("epoch")
        self.show: Callable[[Epoch], None] = (
            (lambda _: None) if self._bar is None else self._advance
        )

    def _advance(self, epoch: Epoch) -> None:
        with suppress(OSError):  # a terminal that is gone does not end the training
            self._draw(epoch)

    def _draw(self, epoch: Epoch) -> None:
        if epoch.number == 1:
            self._bar.reset(total=epoch.of)
        said = {"train": f"{epoch.training_loss:.4f}", "best": epoch.best_epoch}
        if epoch.rate is not None:
            said = {"dropout": f"{epoch.rate:g}", **said}
        if epoch.decay is not None:
            said = {"weight decay": f"{epoch.decay:g}", **said}
        if epoch.validation_loss is None:
            said = {"refit": said["train"]}
        else:
            said["validation"] = f"{epoch.validation_loss:.4f}"
        self._bar.set_postfix(said, refresh=False)
        self._bar.update()

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):
            if self._bar is not None:
                self._bar.close()


def _bar(unit: str, *, scale: bool = False) -> Any:
    """A tqdm bar of no total yet, of thousands or millions with `scale`; None without tqdm."""
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(unit=unit, unit_scale=scale, leave=False, disable=None if sys.stderr else True)
