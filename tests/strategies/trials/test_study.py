"""The study as the truth about trials: whatever a kill leaves behind, and whoever joins."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from groupnas.budget import Budget
from groupnas.errors import InputError
from groupnas.strategies.trials import optuna_job, study
from groupnas.strategies.trials.job import TrialsJob
from groupnas.strategies.trials.optuna_job import JOURNAL, OptunaJob
from groupnas.strategies.trials.study import RESULT, SharedStudy, in_journal, open_study

Make = Callable[..., TrialsJob]
Finish = Callable[[TrialsJob], TrialsJob]
BRIEF: dict[str, Any] = {"trials": 6, "startup": 2}


class Killed(Exception):
    """Stands for the end of a process."""


def opened(path: Path) -> SharedStudy:
    return in_journal(path, "groupnas", 1, None)


def ask(trials: Sequence[FrozenTrial]) -> FrozenTrial:
    x = float(len(trials))
    return create_trial(
        state=TrialState.RUNNING, params={"x": x}, distributions={"x": FloatDistribution(0, 100)}
    )


def judge(shared: SharedStudy, number: int) -> None:
    shared.finish(number, [1.0], {"trial": number})


def test_a_trial_is_one_holders_at_a_time(tmp_path: Path) -> None:
    one, two = opened(tmp_path / "j"), opened(tmp_path / "j")
    with one.claimed(2, ask) as first, two.claimed(2, ask) as second:
        assert first is not None and second is not None
        assert (first.number, second.number) == (0, 1)
        with one.claimed(2, ask) as third:
            assert third is None  # all are in somebody's hands
        judge(two, 1)
    # The first was given up: whoever comes next has it, with the same parameters.
    with two.claimed(2, ask) as again:
        assert again is not None and (again.number, again.params) == (0, {"x": 0.0})
        judge(two, 0)
    with one.claimed(2, ask) as nothing:
        assert nothing is None
    assert list(one.finished()) == [1, 0]
    assert not list(tmp_path.glob("j.[0-9]*.lock"))


def test_the_first_to_finish_is_believed(tmp_path: Path) -> None:
    shared = opened(tmp_path / "j")
    with shared.claimed(1, ask):
        shared.finish(0, [1.0], {"trial": 0, "who": "first"})
        shared.finish(0, [2.0], {"trial": 0, "who": "second"})
    assert shared.finished() == {0: {"trial": 0, "who": "first"}}


def test_killed_between_the_result_and_the_end(tmp_path: Path, monkeypatch: Any) -> None:
    shared = opened(tmp_path / "j")

    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "tell", killed)
        with pytest.raises(Killed), shared.claimed(2, ask):
            judge(shared, 0)
    assert shared.finished() == {}
    with opened(tmp_path / "j").claimed(2, ask) as following:
        assert following is not None and following.number == 1  # the first needs no judge any more
    assert shared.finished() == {0: {"trial": 0}}


def test_a_line_written_by_half_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with opened(path).claimed(2, ask):
        judge(opened(path), 0)
    whole = path.read_bytes()
    path.write_bytes(whole + whole.splitlines()[-1][:20])
    shared = opened(path)
    with shared.claimed(2, ask) as trial:
        assert trial is not None and trial.number == 1
    assert path.read_bytes().startswith(whole)
    assert [t.number for t in opened(path).trials] == [0, 1]


def test_trials_of_others_are_left_alone(tmp_path: Path) -> None:
    """Failed ones do not count; complete ones without a record are no trials of ours."""
    shared = opened(tmp_path / "j")
    with study.quiet():
        theirs = optuna.load_study(study_name="groupnas", storage=shared._storage)
    theirs.add_trial(create_trial(state=TrialState.FAIL))
    theirs.add_trial(create_trial(value=0.0))
    with shared.claimed(2, ask) as trial:
        assert trial is not None and trial.number == 2
        judge(shared, 2)
    assert list(shared.finished()) == [2]


def test_a_run_folder_has_a_journal_that_may_be_ahead(
    make_job: Make, finish: Finish, judge: Any, tmp_path: Path
) -> None:
    whole = finish(make_job("optuna", **BRIEF))
    job = make_job("optuna", **BRIEF)
    assert isinstance(job, OptunaJob)
    job.open(tmp_path)
    saved = []
    for _ in range(3):
        saved.append(copy.deepcopy(job.state_dict()))
        job.run_epoch()
    # Killed behind the third trial, before its checkpoint.
    again = make_job("optuna", evaluate=_not_one_of(job.history, judge), **BRIEF)
    assert isinstance(again, OptunaJob)
    again.open(tmp_path)
    again.load_state_dict(saved[-1])
    assert len(again.history) == 2
    assert finish(again).history == whole.history
    assert len(opened(tmp_path / JOURNAL).trials) == 6


def _not_one_of(history: Sequence[dict[str, Any]], formula: Any) -> Any:
    seen = [record["errors"] for record in history]

    def evaluate(*arguments: Any) -> dict[str, float]:
        errors = formula(*arguments)
        assert errors not in seen, "judged twice"
        return errors

    return evaluate


def test_a_journal_that_was_removed_comes_back_from_the_checkpoint(
    make_job: Make, finish: Finish, tmp_path: Path
) -> None:
    whole = finish(make_job("optuna:pareto", trials=12, population=3))
    job = make_job("optuna:pareto", trials=12, population=3)
    for _ in range(7):
        job.run_epoch()
    again = make_job("optuna:pareto", trials=12, population=3)
    assert isinstance(again, OptunaJob)
    again.open(tmp_path)
    again.load_state_dict(job.state_dict())
    assert finish(again).history == whole.history


def test_a_shared_study_that_lost_trials(make_job: Make, tmp_path: Path) -> None:
    settings = {**BRIEF, "storage": str(tmp_path / "shared")}
    job = make_job("optuna", **settings)
    job.run_epoch()
    state = job.state_dict()
    (tmp_path / "shared").unlink()
    again = make_job("optuna", **settings)
    with pytest.raises(InputError, match="trial 0 of this run is missing"):
        again.load_state_dict(state)


def test_two_jobs_share_a_study(make_job: Make, finish: Finish, tmp_path: Path) -> None:
    settings = {**BRIEF, "storage": str(tmp_path / "new" / "shared")}
    one, two = make_job("optuna", **settings), make_job("optuna", **settings)
    for job in (one, one, two, two, two):
        job.run_epoch()
    # The second saw the first's two trials before it judged its own.
    assert [record["trial"] for record in two.history] == [0, 1, 2]
    assert finish(one).history == finish(two).history
    assert one.history == finish(make_job("optuna", **BRIEF)).history


def test_waits_for_what_others_are_at(
    make_job: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**BRIEF, "trials": 1, "storage": str(tmp_path / "shared")}
    one, two = make_job("optuna", **settings), make_job("optuna", **settings)
    waits = []

    def meanwhile(seconds: float) -> None:
        waits.append(seconds)
        raise Killed

    monkeypatch.setattr(optuna_job.time, "sleep", meanwhile)
    assert isinstance(one, OptunaJob)
    with one.study.claimed(1, one._ask), pytest.raises(Killed):
        two.run_epoch()
    assert len(waits) == 1


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [({"seed": 1}, "another seed"), ({"epochs": 1}, "another strategy")],
)
def test_another_search_is_refused(
    make_job: Make, tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    settings: dict[str, Any] = {**BRIEF, "storage": str(tmp_path / "shared")}
    make_job("optuna", **settings).run_epoch()
    make_job("optuna", **{**settings, "trials": 9})  # more of the same is welcome
    make_job("optuna", **settings, **changes, study="other")
    with pytest.raises(InputError, match=complaint):
        make_job("optuna", **settings, **changes)


def test_a_study_that_was_begun_before_is_the_same(make_job: Make, tmp_path: Path) -> None:
    budget = Budget(divisor=2, groups={"ring": 0.9}, tolerance=0.2)
    settings: dict[str, Any] = {**BRIEF, "storage": str(tmp_path / "shared"), "budget": budget}
    make_job("optuna", **settings).run_epoch()
    journal = (tmp_path / "shared").read_text()
    old = '"parts":{"ring":0.9},"tolerance":0.2,"multiple":2'
    assert old in journal  # what older versions wrote


@pytest.mark.parametrize(
    ("storage", "complaint"),
    [
        (
            "mysql://host/db",
            "expected the path of a journal file or a postgresql:// URL, got mysql",
        ),
        ("postgresql://host:x/db", "storage: is not a URL of a database"),
        ("postgresql+nothing://host/db", "storage: is not a URL of a database"),
        ("{folder}", "is no regular file; give another path"),
        ("{folder}/text", "text: is not a journal of Optuna"),
        ("{folder}/text/below", "cannot be written"),
    ],
)
def test_storages_that_cannot_be_used(tmp_path: Path, storage: str, complaint: str) -> None:
    (tmp_path / "text").write_text("Dear diary\n")
    with pytest.raises(InputError, match=complaint):
        open_study(storage.format(folder=tmp_path), "groupnas", 1, {})
    assert (tmp_path / "text").read_text() == "Dear diary\n"


@pytest.mark.parametrize("place", [1, None])
def test_a_damaged_journal(tmp_path: Path, place: int | None) -> None:
    """Optuna passes over the last line, and falls over it once there is another."""
    path = tmp_path / "j"
    with opened(path).claimed(1, ask):
        judge(opened(path), 0)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:place], b"?" * 20 + b"\n", *lines[place or 99 :]]))
    with pytest.raises(InputError, match="j: is damaged"):
        opened(path)


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InputError, match=r"'groupnas\[postgresql\]'"):
        open_study("postgresql://host/db", "groupnas", 1, {})


def test_optuna_is_named_where_it_is_missing(make_job: Make, monkeypatch: Any) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.delitem(sys.modules, "groupnas.strategies.trials.optuna_job", raising=False)
    with pytest.raises(InputError, match=r"'groupnas\[optuna\]'"):
        make_job("optuna")


def test_optuna_is_silent(
    make_job: Make, finish: Finish, capfd: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        finish(make_job("optuna", **BRIEF))
        finish(make_job("optuna:pareto", trials=6, population=2))
    assert capfd.readouterr() == ("", "")
    assert optuna.logging.get_verbosity() == optuna.logging.INFO  # the user's own studies may speak


@pytest.mark.skipif("GROUPNAS_POSTGRESQL" not in os.environ, reason="no database")
def test_postgresql(make_job: Make, finish: Finish) -> None:
    """GROUPNAS_POSTGRESQL: the URL of a database in which nothing matters."""
    name = f"test {os.getpid()} {os.urandom(4).hex()}"
    settings = {**BRIEF, "storage": os.environ["GROUPNAS_POSTGRESQL"], "study": name}
    one, two = make_job("optuna", **settings), make_job("optuna", **settings)
    for job in (one, two, two):
        job.run_epoch()
    assert isinstance(one, OptunaJob) and isinstance(two, OptunaJob)
    with one.study.claimed(6, one._ask) as first, two.study.claimed(6, two._ask) as second:
        assert first is not None and second is not None and first.number != second.number
    assert finish(one).history[:2] == finish(two).history[:2]
    assert finish(two).history == finish(make_job("optuna", **BRIEF)).history
    assert all(RESULT in trial.user_attrs for trial in one.study.trials)
