"""The features and targets of a card in words: kinds, ranges, categories and fills."""

from collections.abc import Iterator

from model import Card
from model.artifact import FeatureRecord
from model.messages import readable

MOST_FEATURES = 40  # with a line of their own
MOST_CATEGORIES = 12  # of one feature
WIDEST_NAME = 30


def features_in_words(card: Card) -> Iterator[str]:
    """A line for each feature: its kind, its range or categories, and what fills a gap."""
    shown = card.features[:MOST_FEATURES]
    width = min(WIDEST_NAME, max(len(feature.name) for feature in shown))
    yield f"  features   {len(card.features)}"
    for feature in shown:
        yield f"    {feature.name:{width}}  {_kind(feature)}{_fill(feature)}"
    rest = len(card.features) - len(shown)
    if rest:
        yield f"    and {rest} more"


def targets_in_words(card: Card) -> Iterator[str]:
    """The classes, or a line for each number that is predicted."""
    target = card.target
    if target.classes:
        yield f"  classes    {', '.join(target.classes)}"
        return
    units = target.units or (None,) * len(target.names)
    columns = zip(target.names, target.means, target.scales, units, strict=True)
    for name, mean, scale, unit in columns:
        of = "logarithm learned, with mean" if name in target.logs else "number, with mean"
        said = f"{of} {readable(mean)} and std {readable(scale)} in training"
        yield f"  target     {name}: {said}" + (f", in {unit}" if unit else "")


def _kind(feature: FeatureRecord) -> str:
    if feature.kind == "categorical":
        names = feature.categories[:MOST_CATEGORIES]
        rest = len(feature.categories) - len(names)
        return f"text: {', '.join(names)}" + (f" and {rest} more" if rest else "")
    if feature.range is None:
        return "number, of unknown range"
    low, high = feature.range
    return f"number, {readable(low)} to {readable(high)}"


def _fill(feature: FeatureRecord) -> str:
    if feature.fill is None:
        return ""
    fill = feature.fill if isinstance(feature.fill, str) else readable(feature.fill)
    return f"; a gap is filled in with {fill}"
