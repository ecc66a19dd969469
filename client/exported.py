"""A folder that `bloodnet-client export` writes: `model.json`, two graphs, and a model card."""

import hashlib
import json
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final, Literal

from pydantic import Field

from bloodnet_model.errors import SettingsError, WeightsError
from bloodnet_model.files import write_whole
from bloodnet_model.graphs import Predict, predictor
from bloodnet_model.operating_point import OperatingPoint
from bloodnet_model.settings import Link, PreprocessingSettings, Preset, Settings, validated
from client.run_record import MODEL

MANIFEST: Final = "model.json"
CARD: Final = "model-card.md"
FORMATS: Final = {"onnx": "ONNX Runtime", "openvino": "OpenVINO", "torchscript": "TorchScript"}
"""What runs each; its module is `bloodnet_model.graphs_…`, and an extra of its name installs what that needs."""


class Manifest(Settings):
    """`model.json`: all that is needed to score a study from the graphs beside it.

    weights:         SHA-256 of the model.safetensors that was exported
    data:            what the run called its data; None where no run lay beside the model
    operating_point: chosen on the run's validation patients; None where they are unknown
    difference:      largest of the study probabilities from PyTorch's in float32, on noise
    files:           SHA-256 of each of the graphs' files
    """

    version: Literal[1] = Field(1, alias="schema")
    format: Literal["onnx", "openvino", "torchscript"]
    preset: Preset
    link: Link
    preprocessing: PreprocessingSettings
    neighbours: int
    weights: str
    data: str | None
    operating_point: OperatingPoint | None
    difference: float
    files: dict[str, str]


def format_module(name: str) -> ModuleType:
    """What writes and reads a format; raises SettingsError where it is unknown or not installed."""
    if name not in FORMATS:
        raise SettingsError(f"--format {name}: is unknown; choose one of {', '.join(FORMATS)}.")
    try:
        return import_module(f"bloodnet_model.graphs_{name}")
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"{name}: needs {error.name}, which is not installed; pip install 'bloodnet-federation[{name}]'."
        ) from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    write_whole(folder / MANIFEST, json.dumps(manifest.model_dump(mode="json", by_alias=True), indent=1) + "\n")


def load_exported(folder: Path, cores: int) -> tuple[Manifest, Predict]:
    """The manifest of a folder, and its graphs ready to score; raises WeightsError where a file is damaged."""
    manifest = _manifest(folder)
    for name, checksum in manifest.files.items():
        if checksum_of(folder / name) != checksum:
            raise WeightsError(f"{folder / name}: is not the file that was exported; export again, or copy all of it.")
    module = format_module(manifest.format)
    try:
        graphs = module.load(folder, cores)
        return manifest, predictor(graphs, manifest.preprocessing, manifest.neighbours)
    except Exception as error:  # each runtime raises its own kind
        raise WeightsError(
            f"{folder}: {FORMATS[manifest.format]} cannot run its graphs ({type(error).__name__}); export again with "
            "the versions that are installed here."
        ) from None


def checksum_of(path: Path) -> str:
    """SHA-256 in hexadecimal; raises WeightsError where there is no such file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}); export again, or copy all of it.") from None


def _manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        hint = f"give {folder / MODEL}" if (folder / MODEL).exists() else "give what `bloodnet-client export` wrote"
        raise WeightsError(f"{folder}: holds no {MANIFEST}, so it is no export; {hint}.") from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: is damaged ({type(error).__name__}); export again, or copy all of it.") from None
    return validated(Manifest, raw, where=path.name)
