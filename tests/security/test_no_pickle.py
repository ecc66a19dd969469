"""No pickle, nor anything else that runs what it reads: not in the code, and not where a file or an answer is read."""

import ast
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from bloodnet_model.errors import BloodNetError, UnusableAnswer
from bloodnet_model.settings import ModelSettings
from bloodnet_model.weights import load_network
from client.egress import clipped
from client.label_table import read_labels
from client.scorer import load_scorer
from client.site_settings import SITE_FILE, read_site
from client.state import SiteState
from client.store import Store, StoreWriter
from server.coordinator.home import CONFIG, read_home
from server.coordinator.launching import launched_settings
from server.journal import Journal
from strategies import records
from strategies.records import RoundPlan, Update
from strategies.update_gate import Expected, checked_update
from strategies.vectors import stored
from tests.conftest import MakeStudy

ROOT = Path(__file__).parent.parent.parent
ROOMS = ("bloodnet_model", "strategies", "client", "server", "simulation", "benchmarks")
MODULES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle"}
CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.load", "yaml.load_all"}
CALLS |= {"yaml.unsafe_load", "yaml.full_load"}
FOUND = {
    "import pickle": "pickle",
    "from dill import loads": "dill",
    "import joblib.numpy_pickle": "joblib",
    "torch.load(path)": "torch.load",
    "torch.load(path, weights_only=False)": "torch.load",
    "np.load(path, allow_pickle=True)": "allow_pickle",
    "np.lib.format.read_array(file, allow_pickle=chosen)": "allow_pickle",
    "yaml.load(text, Loader=yaml.Loader)": "yaml.load",
    "eval(text)": "eval",
    "exec(text)": "exec",
    "subprocess.run(line, shell=True)": "shell",
    "pd.read_pickle(path)": "read_pickle",
}
HARMLESS = (
    "torch.load(path, weights_only=True)",
    "np.load(path, allow_pickle=False)",
    "network.eval()",
    "re.compile(text)",
    "yaml.safe_load(text)",
)


def dangers(code: str) -> Iterator[str]:
    """Names of all in `code` that may run what it reads."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [str(node.module)]
            yield from MODULES & {name.split(".")[0] for name in names}
        elif isinstance(node, ast.Call):
            yield from _dangers_of_call(ast.unparse(node.func), {word.arg: word.value for word in node.keywords})


def _dangers_of_call(name: str, words: dict[str | None, ast.expr]) -> Iterator[str]:
    said = {word: value.value if isinstance(value, ast.Constant) else "?" for word, value in words.items()}
    if name in CALLS:
        yield name
    if name == "torch.load" and said.get("weights_only") is not True:
        yield name
    if name.endswith("read_pickle"):
        yield "read_pickle"
    yield from (word for word in ("allow_pickle", "shell") if said.get(word, False) is not False)


@pytest.mark.parametrize("room", ROOMS)
def test_no_code_runs_what_it_reads(room: str) -> None:
    files = sorted(path for path in (ROOT / room).rglob("*.py") if ".venv" not in path.parts)  # the benchmarks make one
    assert files
    assert {path.relative_to(ROOT): found for path in files if (found := list(dangers(path.read_text())))} == {}


def test_the_search_finds_each_of_them_and_nothing_harmless() -> None:
    assert {code: next(dangers(code), "") for code in FOUND} == FOUND
    assert not [code for code in HARMLESS if list(dangers(code))]


class Writes:
    """Where a pickle of it is read, the file `it-ran` is written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.write_text, (self.path, "a pickle was read")


@pytest.fixture
def ran(tmp_path: Path) -> Iterator[Path]:
    """The file that is there if a pickle was read; at the end of each test it is not."""
    path = tmp_path / "it-ran"
    yield path
    assert not path.exists()


@pytest.fixture(params=["plain", "of torch", "of numpy"])
def pickled(request: pytest.FixtureRequest, ran: Path, tmp_path: Path) -> bytes:
    """A pickle, as three libraries write one."""
    if request.param == "plain":
        return pickle.dumps(Writes(ran))
    path = tmp_path / "made.npy"
    if request.param == "of torch":
        torch.save({"weights": Writes(ran)}, path)
    else:
        np.save(path, np.array([Writes(ran)], object), allow_pickle=True)
    return path.read_bytes()


def test_such_a_pickle_does_run_where_it_is_read(tmp_path: Path) -> None:
    """What the tests below would see."""
    path = tmp_path / "it-ran"
    pickle.loads(pickle.dumps(Writes(path)))
    assert path.read_text() == "a pickle was read"


def refused(read: Callable[[], object]) -> str:
    """The one sentence by which `read` refuses."""
    with pytest.raises(BloodNetError) as caught:
        read()
    said = str(caught.value)
    assert "\n" not in said
    assert said.endswith(".")
    return said


@pytest.mark.parametrize("name", ["model.safetensors", "model.pt", "model.onnx", "model.xml"])
def test_a_model_that_is_a_pickle_is_refused(name: str, pickled: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(pickled)
    assert "safetensors" in refused(lambda: load_network(path))
    refused(lambda: load_scorer(path))


def test_an_update_that_is_a_pickle_is_refused(pickled: bytes, small: ModelSettings) -> None:
    plan = RoundPlan(run="r", seed=0, round=1, total_rounds=1, local_epochs=1, model=small)
    before = np.zeros(3, np.float32)
    answer = records.pack_update(Update(before + 1, 10, 3, (1.0, 0.5, 0.3, 0.2), 0.1, 1))
    for stype in ("numpy.ndarray", "torch.pickle"):
        answer["arrays"] = ArrayRecord({"weights": Array("float32", (3,), stype, pickled)})
        with pytest.raises(UnusableAnswer):
            checked_update(answer, Expected(plan, before, 10, 60.0))


def test_weights_from_a_coordinator_that_are_a_pickle_are_refused(pickled: bytes) -> None:
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 0, 1
    for stype in ("numpy.ndarray", "torch.pickle"):
        asked = RecordDict({"arrays": ArrayRecord({"weights": Array("float32", (3,), stype, pickled)})})
        with pytest.raises((ValueError, TypeError)):  # the app answers it with a code: tests/client/test_app.py
            records.unpack_weights(records.arrays_of(asked))
        with pytest.raises((ValueError, TypeError)):
            clipped(asked, asked, 1.0)


def test_state_at_a_site_that_is_a_pickle_is_none(pickled: bytes, tmp_path: Path) -> None:
    state = SiteState(tmp_path, "r")
    state.save(1, {"optimiser": {"exp_avg": torch.ones(2)}}, 0)
    (file,) = state.folder.iterdir()
    assert state.after(1)
    file.write_bytes(pickled)
    assert state.after(1) == {}


def test_a_journals_weights_that_are_a_pickle_are_refused(
    pickled: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the journal's log has its digest."""
    monkeypatch.setattr("server.journal.save", lambda tensors: pickled)
    journal = Journal.begin(tmp_path, "r", {}, np.zeros(3, np.float32))
    assert "is damaged" in refused(lambda: journal.aggregate(0))
    (file,) = (tmp_path / "journal").glob("*.safetensors")
    assert "cannot be read" in refused(lambda: stored(file, "weights"))


def test_a_cache_that_is_a_pickle_is_prepared_anew(
    pickled: bytes, tmp_path: Path, small: ModelSettings, make_study: MakeStudy
) -> None:
    store = Store(tmp_path, small.preprocessing)
    with StoreWriter(store) as writer:
        writer.append("a", make_study(1))
        writer.settle({"a": "train"}, "s")
    for file in store.folder.iterdir():
        file.write_bytes(pickled)
    assert not store.is_sound()


def test_labels_that_are_a_pickle_are_refused(pickled: bytes, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(pickled)
    refused(lambda: read_labels(path))


def test_settings_that_would_run_something_are_refused(ran: Path, tmp_path: Path) -> None:
    evil = f"hosts: !!python/object/apply:os.system ['touch {ran}']\nname: a\ndicom: [d]\n"
    for name in (SITE_FILE, CONFIG, "run.yaml"):
        (tmp_path / name).write_text(evil)
    assert "cannot be read" in refused(lambda: read_site(tmp_path))
    assert "cannot be read" in refused(lambda: read_home(tmp_path))
    (tmp_path / CONFIG).write_text("hosts: [fl.example.org]\n")
    home = read_home(tmp_path)
    assert "cannot be read" in refused(lambda: launched_settings(home, tmp_path / "run.yaml", (), ()))
