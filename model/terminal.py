"""What a terminal shows: a card in words, progress, and mistakes in the words of the command line.

No console stops a command. A character that the console's encoding does not have is written as an
escape. A reader that closes the pipe, as `head` does, has seen enough.
"""

import argparse
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, Literal, NoReturn, TextIO, cast

from model.artifact import CalibrationRecord, Card, ImportRecord, TrainingRecord
from model.errors import ModelError
from model.messages import in_command, nearest, readable
from model.training import Epoch

MOST_CLASSES = 20  # with a line of their own
_CHOICE = re.compile(r"invalid choice: '(.*?)' \(choose from (.*)\)", re.DOTALL)


def describe(card: Card) -> str:
    """The card in words, for a terminal."""
    shape = card.architecture
    names = ", ".join(card.target.names)
    lines = [
        f"{card.name} (version {card.version}): {card.task} of {names}",
        f"  features   {', '.join(feature.name for feature in card.features)}",
        f"  network    {'-'.join(map(str, shape.hidden))} {shape.activation}, dropout "
        f"{', '.join(f'{rate:g}' for rate in shape.dropout)} (input first)"
        + (f", input noise {shape.input_noise:g}" if shape.input_noise else "")
        + (", norms before or after the activations" if shape.before or shape.after else ""),
        *_origin(card),
        *_total_variance(card),
        *_served(card),
    ]
    if card.calibration:
        made = card.calibration
        tuned = f", tuned on {made.tuning_rows} other rows" if made.tuning_rows else ""
        own_part = "class" if made.by_class else made.by
        each = f", each {own_part} by itself" if own_part else ""
        own = ", own masks for every row" if made.masks == "per_row" else ""
        lines.append(f"  calibrated on {made.rows} rows of {made.data}{tuned}{each}{own}")
        lines += _certified(made)
    if card.target.classes:
        lines.insert(2, f"  classes    {', '.join(card.target.classes)}")
    notices = (*card.training.notices, *(card.calibration.notices if card.calibration else ()))
    lines += [f"  note       {notice}" for notice in notices]
    return "\n".join(lines)


def _origin(card: Card) -> list[str]:
    """The origin of the weights, and the metrics if they were trained here."""
    record = card.training
    if isinstance(record, ImportRecord):
        return [f"  imported   from {record.weights}, described by {record.specification}"]
    return [
        f"  trained    on {record.data}, seed {record.seed}, best epoch {record.best_epoch} of "
        f"{record.epochs}" + (", then refit with the validation rows" if record.refitted else ""),
        "  rows       " + ", ".join(f"{part} {count}" for part, count in record.rows.items()),
        *_searched(record),
        "  held out   "
        + ", ".join(f"{name} {readable(value)}" for name, value in card.metrics.items()),
        *_by_class(card, record),
    ]


def _by_class(card: Card, record: TrainingRecord) -> list[str]:
    """The rows of each class by part, and its recall; of many classes, the rarest."""
    parts = record.class_rows
    totals = {
        name: sum(rows[name] for rows in parts.values()) for name in card.target.classes if parts
    }
    names = sorted(totals, key=lambda name: totals[name])[:MOST_CLASSES]
    lines = []
    for name in (each for each in totals if each in names):
        rows = ", ".join(f"{part} {of_part[name]}" for part, of_part in parts.items())
        recall = f"recall {card.recall[name]:.4g}" if name in card.recall else "recall not known"
        lines.append(f"  class      {name}: {rows}; {recall}")
    rest = len(totals) - len(names)
    return [*lines, f"  class      and {rest} with more rows"] if rest else lines


def _served(card: Card) -> list[str]:
    """The passes, estimator and masks that the model is served with, if they are not the usual."""
    own = card.serving
    without = "" if own.controls else "the control variates gain too little and are left out"
    why = [reason for reason in (own.reason, own.plain_because, without) if reason]
    said = f"  serves     {own.passes} passes, {own.estimator}, {own.masks} masks"
    return [f"{said}: {'; '.join(why)}"] if why else []


def _total_variance(card: Card) -> list[str]:
    """The formula of a regression's total variance, for each target."""
    tuning, names = card.tuning, card.target.names
    if card.task != "regression" or not tuning.noise_scales:
        return []
    learned = tuning.noise == "heteroscedastic"
    noise = "the network's noise variance" if learned else "the target's variance"
    factors = tuning.variance_factors or (1.0,) * len(names)
    each = [
        (f"{name}: " if len(names) > 1 else "")
        + f"{readable(factor, 3)} x variance + {readable(scale, 3)} x {noise}"
        for name, factor, scale in zip(names, factors, tuning.noise_scales, strict=True)
    ]
    return [f"  total      {'; '.join(each)}"]


def _searched(record: TrainingRecord) -> list[str]:
    """The rates and weight decays that were tried, with the validation rows' log-likelihood."""
    kinds = {"dropout": record.searched, "weight decay": record.decays}
    found = []
    for kind, values in kinds.items():
        tried = ", ".join(f"{kind} {number}: {readable(value)}" for number, value in values.items())
        found += [f"  searched   {tried} (mean log-likelihood of validation rows)"] if tried else []
    return found


def _certified(calibration: CalibrationRecord) -> list[str]:
    """The certified bound on the risk at each share of accepted rows."""
    found = calibration.abstention
    if found is None:
        return []
    risk = "RMSE" if found.risk == "rmse" else "error rate"
    levels = ", ".join(
        f"{readable(level.bound)} for {level.accepted:.0%}" for level in found.levels
    )
    return [f"  certified  {risk} at {found.confidence:.0%} confidence, by accepted rows: {levels}"]


def run(command: Callable[[argparse.Namespace], str], options: argparse.Namespace) -> int:
    """The exit code of a command, whose output is written to standard output."""
    try:
        with in_command():
            output = command(options)
    except ModelError as error:
        complain(f"error: {in_flags(error, vars(options))}")
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return write(output)


def write(text: str) -> int:
    """The exit code after the text is written to standard output: 1 if the disk is full.

    The code is 0 if the reader has closed the pipe.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        _print(text, sys.stdout)
    except BrokenPipeError:
        return 0
    except OSError as error:
        complain(f"error: the output cannot be written: {error.strerror}")
        return 1
    return 0


def complain(message: str) -> None:
    """Write a line to standard error, if anyone reads it."""
    with suppress(OSError):
        _print(message, sys.stderr)


def drop_unwritten() -> None:
    """Drop what nobody reads; otherwise Python reports a broken pipe when it ends."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            _discard(stream)


def _print(line: str, stream: TextIO) -> None:
    if stream:  # None if it is closed; `print` would take standard output instead
        stream.write(f"{line}\n")
        stream.flush()


def _discard(stream: TextIO) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


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


class CommandParser(argparse.ArgumentParser):
    """A parser whose refusal of a choice asks whether the nearest one was meant."""

    def error(self, message: str) -> NoReturn:
        """Write usage and message to standard error, and exit with code 2."""
        found = _CHOICE.search(message)
        like = nearest(found[1], re.findall(r"[\w-]+", found[2])) if found else ""
        super().error(message + like)


def refuse_unknown(parser: argparse.ArgumentParser, unknown: Sequence[str]) -> NoReturn:
    """Exit with code 2, naming the unknown arguments, and the option that the first is like."""
    flags = re.findall(r"--[\w-]+", parser.format_usage())
    parser.error(f"unrecognized arguments: {' '.join(unknown)}{nearest(unknown[0], flags)}")


def in_flags(error: ModelError, known: Collection[str]) -> str:
    """The message of an error; an option has the form that one types: --learning-rate."""
    message, field = str(error), error.details[0].field if error.details else ""
    option = "calibrate_by" if field == "by" and "calibrate_by" in known else field
    if option in known and message.startswith(f"{field}: "):
        return f"--{option.replace('_', '-')}{message.removeprefix(field)}"
    return message


def widths(text: str) -> tuple[int, ...]:
    """The numbers in an argument such as 64,64."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of widths like 64,64") from None


def rates(text: str) -> tuple[float, ...] | Literal["search", "learn"]:
    """The numbers in an argument such as 0.1,0.2, or how to find them."""
    if text in ("search", "learn"):
        return cast(Literal["search", "learn"], text)
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        message = f"{text!r} is no list of rates like 0.1,0.2, nor 'search' or 'learn'"
        raise argparse.ArgumentTypeError(message) from None
