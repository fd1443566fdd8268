"""Import a network that was trained elsewhere: turn specification and weights into an artifact."""

from collections.abc import Sequence
from pathlib import Path

from model.artifact import Card, check_destination, checked_name, save
from model.errors import InputError
from model.importing.building import Origin, built, refused
from model.importing.specification import read_spec
from model.importing.state_dict import read_weights
from model.passes import MOST_MEMBERS


def import_model(
    architecture: str | Path,
    weights: str | Path | Sequence[str | Path],
    folder: str | Path,
    *,
    name: str | None = None,
    ignore: Sequence[str] = (),
) -> Card:
    """The card of a network trained elsewhere, saved in `folder` as a model like any other.

    `architecture` is a JSON file, see `Spec`; `weights` is a safetensors file or a checkpoint from
    `torch.save`, or one such file for each member of an ensemble of networks of this architecture,
    which share the passes. `ignore` has patterns of keys that are left out of the weights, such as
    `loss_fn.*`, in addition to the specification's. The model is not calibrated. If the
    specification has no noise or no temperature, `calibrate` fits it. Raises InputError naming a
    field of the specification, or an example with another output, and ArtifactError naming a
    tensor, or a folder that cannot be written.
    """
    folder = Path(folder).absolute()
    check_destination(folder)
    described = read_spec(architecture)
    files = [weights] if isinstance(weights, str | Path) else list(weights)
    if not 1 <= len(files) <= MOST_MEMBERS:
        raise refused("weights", f"from 1 to {MOST_MEMBERS} files are needed, not {len(files)}")
    states = [read_weights(file, described.spec.prefixes) for file in files]
    name = checked_name(name or described.spec.name or folder.name)
    origin = Origin(described.name, described.sha256)
    try:
        artifact = built(described.spec, states, name, ignore=ignore, origin=origin)
    except InputError as error:
        raise InputError(f"{architecture}: {error}", error.details) from error
    return save(folder, artifact)
