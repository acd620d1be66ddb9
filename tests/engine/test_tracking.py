"""What TensorBoard and MLflow hold of a run, and what a run holds without them."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import groupnas
from groupnas.engine.observer import Observer
from groupnas.engine.tracking import MLflow, TensorBoard, Tracker, trackers
from groupnas.engine.tracking.tracker import leaves
from groupnas.errors import InputError
from groupnas.runs.folder import RunFolder


class Memory(Tracker):
    """Keeps what it is sent; fails where it is told to."""

    title = "Memory"

    def __init__(self, known: int = 0, fails_at: str = "") -> None:
        self.known, self.fails_at = known, fails_at
        self.told: list[Any] = []

    def begin(self, folder: RunFolder) -> int:
        self._fail("begin")
        return self.known

    def send(self, epoch: int, numbers: Mapping[str, float]) -> None:
        self._fail(f"epoch {epoch}")
        self.told.append((epoch, numbers))

    def end(self, result: Mapping[str, Any] | None) -> None:
        self._fail("end")
        self.told.append(result)

    def _fail(self, what: str) -> None:
        if what == self.fails_at:
            raise ConnectionError(f"no {what}\ntoday")


class Impatient(Observer):
    """Stops a run after an epoch, as Ctrl-C does."""

    def __init__(self, epoch: int = 2) -> None:
        self.epoch = epoch

    def epoch_ended(self, record: dict[str, Any]) -> None:
        if record["epoch"] == self.epoch:
            raise KeyboardInterrupt


@pytest.fixture
def search(
    shapes_space: Any, shapes: Any, brief: Any, tmp_path: Path
) -> Callable[..., groupnas.engine.search.Run]:
    """Three epochs in ``tmp_path / "run"``."""

    def run(*observers: Observer, resume: bool = False) -> Any:
        strategy = None if resume else brief()
        out = tmp_path / "run"
        return groupnas.search(
            shapes_space, shapes, strategy, out, resume=resume, observers=observers
        )

    return run


def stopped(search: Any, *observers: Observer) -> None:
    with pytest.raises(KeyboardInterrupt):
        search(*observers, Impatient())


# -- what all trackers do -----------------------------------------------------------------------


def test_every_number_of_an_epoch_is_sent_once(search: Any) -> None:
    memory = Memory()
    run = search(memory)
    *epochs, result = memory.told
    assert [epoch for epoch, _ in epochs] == [1, 2, 3] and result == run.result
    for (_, numbers), record in zip(epochs, run.history, strict=True):
        assert numbers["train_loss"] == record["train_loss"]
        assert numbers["macs/ring"] == record["macs"]["ring"]
        # Words, lists and gaps are no numbers: of the warm-up there is no mask loss.
        assert "phase" not in numbers and not any(name.startswith("sizes") for name in numbers)
        assert ("mask_loss" in numbers) == (record["phase"] == "search")


def test_leaves() -> None:
    record = {"epoch": 2, "macs": {"a": 1, "b": {"c": 2}}, "gap": None, "list": [1]}
    assert dict(leaves(record)) == {"epoch": 2, "macs/a": 1, "macs/b/c": 2, "list": [1]}


def test_a_resumed_run_sends_what_is_missing(search: Any) -> None:
    memory = Memory()
    stopped(search, memory)
    assert [entry and entry[0] for entry in memory.told] == [1, 2, None]  # None: it was stopped
    knows_one = Memory(known=1)
    search(knows_one, resume=True)
    assert [epoch for epoch, _ in knows_one.told[:-1]] == [2, 3]
    late = Memory()  # of a run that is finished
    search(late, resume=True)
    assert [epoch for epoch, _ in late.told[:-1]] == [1, 2, 3]


@pytest.mark.parametrize("at", ["begin", "epoch 2", "end"])
def test_a_run_goes_on_without_a_tracker_that_fails(
    search: Any, at: str, caplog: pytest.LogCaptureFixture
) -> None:
    memory = Memory(fails_at=at)
    with caplog.at_level(logging.WARNING):
        run = search(memory)
    assert len(run.history) == 3 and (run.folder / "result.json").exists()
    assert len(memory.told) == {"begin": 0, "epoch 2": 1, "end": 3}[at]
    [record] = caplog.records
    assert record.getMessage().startswith(f"Memory failed and gets no more of this run: no {at} ")


def test_faults_of_a_tracker_itself_are_not_hidden(search: Any) -> None:
    class Broken(Memory):
        def send(self, epoch: int, numbers: Mapping[str, float]) -> None:
            raise LookupError("a mistake in its code")

    with pytest.raises(LookupError):
        search(Broken())


def test_trackers_by_name() -> None:
    assert trackers([]) == []
    with pytest.raises(InputError, match="unknown tracker 'tensorbord'.*tensorboard"):
        trackers(["tensorbord"])


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_one_that_is_not_installed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    with pytest.raises(InputError, match=rf"'groupnas\[{name}\]'"):
        trackers([name])


# -- TensorBoard --------------------------------------------------------------------------------


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


def test_tensorboard(search: Any) -> None:
    pytest.importorskip("tensorboard")
    stopped(search, TensorBoard())
    run = search(TensorBoard(), resume=True)
    folder = run.folder / "tensorboard"
    for tag in ("train_loss", "entropy", "moved"):
        steps, values = zip(*scalars(folder, tag), strict=True)
        assert steps == (1, 2, 3)  # each once, though two processes wrote
        assert values == pytest.approx([record[tag] for record in run.history], rel=1e-6)
    ring = scalars(folder, "macs/ring")
    assert ring == [(record["epoch"], record["macs"]["ring"]) for record in run.history]
    assert [step for step, _ in scalars(folder, "mask_loss")] == [2, 3]


# -- MLflow -------------------------------------------------------------------------------------


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """MLflow's own, on files: its database needs all of MLflow, of which tests have the client."""
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")  # before the import, which sends
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.chdir(tmp_path)
    return mlflow.MlflowClient()


def mlflow_runs(client: Any, experiment: str = "groupnas") -> list[Any]:
    return client.search_runs([client.get_experiment_by_name(experiment).experiment_id])


def test_mlflow(search: Any, client: Any) -> None:
    run = search(MLflow())
    [found] = mlflow_runs(client)
    assert (found.info.run_name, found.info.status) == ("run", "FINISHED")
    assert found.data.params["strategy/algorithm"] == "masks"
    assert found.data.params["seed"] == "0"
    sent = client.get_metric_history(found.info.run_id, "macs/ring")
    assert {m.step: m.value for m in sent} == {r["epoch"]: r["macs"]["ring"] for r in run.history}
    uploaded = {file.path for file in client.list_artifacts(found.info.run_id)}
    assert uploaded == {"config.yaml", "initial_grouping.json", "grouping.json", "result.json"}


def test_a_resumed_run_is_one_run_of_mlflow(search: Any, client: Any) -> None:
    stopped(search, MLflow())
    [found] = mlflow_runs(client)
    assert found.info.status == "KILLED"
    search(MLflow(), resume=True)
    [found] = mlflow_runs(client)
    assert found.info.status == "FINISHED"
    steps = [m.step for m in client.get_metric_history(found.info.run_id, "train_loss")]
    assert sorted(steps) == [1, 2, 3]


@pytest.mark.parametrize("how", ["deleted", "elsewhere"])
def test_a_run_that_mlflow_does_not_have_begins_anew(
    search: Any, client: Any, how: str, tmp_path: Path
) -> None:
    run = search(MLflow())
    [before] = mlflow_runs(client)
    if how == "deleted":
        client.delete_run(before.info.run_id)
    else:
        (run.folder / "mlflow.json").write_text('{"run_id": "0123456789abcdef0123456789abcdef"}')
    search(MLflow(), resume=True)
    runs = {found.info.run_id for found in mlflow_runs(client)} - {before.info.run_id}
    assert len(runs) == 1
    recorded = json.loads((run.folder / "mlflow.json").read_text())["run_id"]
    assert runs == {recorded}
    steps = [m.step for m in client.get_metric_history(recorded, "train_loss")]
    assert sorted(steps) == [1, 2, 3]


def test_a_damaged_record_of_the_run(search: Any, client: Any) -> None:
    run = search()
    (run.folder / "mlflow.json").write_text("[]")
    with pytest.raises(InputError, match=r"mlflow\.json: is damaged: .*; remove it"):
        search(MLflow(), resume=True)


def test_the_experiment_is_the_users(
    search: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    search(MLflow())
    assert len(mlflow_runs(client, "mine")) == 1


def test_no_server_is_told_before_anything_runs(client: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(InputError, match="MLflow cannot be used.*127.0.0.1"):
        MLflow()
