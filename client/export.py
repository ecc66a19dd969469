"""A trained network written in a format that runs without PyTorch, held against PyTorch, with its model card."""

from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from bloodnet_model.errors import DataError, WeightsError
from bloodnet_model.files import make_folder, write_whole
from bloodnet_model.graphs import Graphs, Modules, graph_modules, on_cores, predict_by_graphs, runnable
from bloodnet_model.settings import ModelSettings
from bloodnet_model.weights import load_network
from client.exported import CARD, Manifest, checksum_of, format_module, write_manifest
from client.model_card import model_card
from client.run_record import record_of, validation_point
from client.worklist import refuse_other

LARGEST_DIFFERENCE: Final = 1e-3
"""In probability, from PyTorch in float32."""

_NOISE_SLICES: Final = 15


def export(model: Path, kind: str, out: Path, sensitivity: float) -> Manifest:
    """Write `model`, a model.safetensors, in the format `kind` to the folder `out`: whole, or not at all.

    The threshold of its operating point is the one that reaches `sensitivity` on the run's validation patients.
    Raises WeightsError where the exported graphs give other probabilities than PyTorch, and whatever reading the
    model or its run raises, or finding what the format needs.
    """
    refuse_other(out)
    format_module(kind)
    make_folder(out.absolute().parent)
    try:
        with TemporaryDirectory(prefix=f".{out.name}.", dir=out.absolute().parent) as scratch:
            folder = Path(scratch) / out.name
            folder.mkdir()
            manifest = _write(model, kind, folder, sensitivity)
            if out.exists():  # and empty, or it would have been refused
                out.rmdir()
            folder.rename(out)
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error.strerror}); choose another folder.") from None
    return manifest


def _write(model: Path, kind: str, folder: Path, sensitivity: float) -> Manifest:
    network, settings = load_network(model)
    record, module, modules = record_of(model, settings), format_module(kind), graph_modules(network, settings)
    point = validation_point(record, sensitivity) if record else None
    module.write(modules, folder)
    manifest = Manifest(
        schema=1,
        format=kind,
        preset=settings.preset,
        link=settings.network.link,
        preprocessing=settings.preprocessing,
        neighbours=settings.network.neighbours,
        weights=checksum_of(model),
        data=record.run.data if record else None,
        operating_point=point,
        difference=_difference(module.load(folder, 1), _in_float32(modules), settings),
        files={path.name: checksum_of(path) for path in sorted(folder.iterdir())},
    )
    write_manifest(folder, manifest)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    card = model_card(manifest, settings, parameters, record, version("bloodnet-federation"))
    write_whole(folder / CARD, card)
    return manifest


def _in_float32(modules: Modules) -> Graphs:
    return Graphs(on_cores(runnable(modules.slices), 1), runnable(modules.study), 1)


def _difference(exported: Graphs, reference: Graphs, settings: ModelSettings) -> float:
    """Largest difference of a probability, of the study or a slice, on a study of noise; raises WeightsError."""
    grid = settings.preprocessing
    shape = (_NOISE_SLICES, len(grid.windows_hu), grid.rows, grid.columns)
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    ours, theirs = (predict_by_graphs(graphs, noise, settings.network.neighbours) for graphs in (exported, reference))
    difference = max(
        float(np.abs(ours.probabilities - theirs.probabilities).max()),
        float(np.abs(ours.slice_probabilities - theirs.slice_probabilities).max()),
    )
    if not difference <= LARGEST_DIFFERENCE:  # NaN compares false
        raise WeightsError(
            f"The exported network's probabilities differ from PyTorch's by {difference:.2g}, more than "
            f"{LARGEST_DIFFERENCE:g}; nothing was written: export another format, and report this."
        )
    return difference
