"""The progress of a command, on a terminal."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

from model import Epoch


class ProgressBar(AbstractContextManager["ProgressBar"]):
    """A tqdm bar over the epochs, which ends early if training does."""

    def __init__(self) -> None:
        try:
            from tqdm import tqdm
        except ImportError:
            self._bar: Any = nullcontext()
            self.show: Callable[[Epoch], None] = lambda _: None
        else:
            self._bar = tqdm(unit="epoch", leave=False, disable=None if sys.stderr else True)
            self.show = self._advance

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
            self._bar.__exit__(*error)
