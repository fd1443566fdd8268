"""What simple models reach on the test rows, for the card."""

from dataclasses import asdict

import numpy as np

from model.artifact import BaselineRecord
from model.tasks import baselines, compared
from model.training.prepared import Prepared


def beside_baselines(
    data: Prepared, network: np.ndarray, *, refit: bool
) -> dict[str, BaselineRecord]:
    """Baselines fitted on the rows that fitted the weights, beside the network on the test rows.

    `network` has its means of the test rows. One row alone compares nothing.
    """
    learned, test = data.split.seen(refit=refit), data.split.test
    if len(test) < 2:
        return {}
    x = data.schema.plain(data.x)  # without the codes of numbers
    found = baselines(data.target, x[learned], data.y[learned], x[test])
    return {
        name: BaselineRecord(**asdict(compared(data.target, each, network, data.y[test])))
        for name, each in found.items()
    }
