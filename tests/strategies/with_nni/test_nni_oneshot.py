"""Parts as NNI's layer choices; its one-shot strategies where pytorch-lightning is, too."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch

pytest.importorskip("nni", reason="needs the extra nni")

from groupnas.accountant import flops
from groupnas.grouping import Grouping
from groupnas.spaces import Allocation, SearchSpace
from groupnas.strategies.nni.oneshot import PartModelSpace

import nni  # isort: skip
from nni.nas.execution import SequentialExecutionEngine  # isort: skip
from nni.nas.space import RawFormatModelSpace  # isort: skip


def test_a_sample_is_a_grouping_and_its_network(shapes_space: SearchSpace) -> None:
    space = PartModelSpace(shapes_space, scales=(0.5, 1.0, 2.0))
    usual = space.allocation(dict.fromkeys(shapes_space.groups, 1))
    assert usual == Allocation.even(shapes_space)
    sample = {"disc": 0, "square": 1, "ring": 2}
    frozen, found = space.freeze(sample), space.allocation(sample)
    even = Grouping.even(shapes_space).counts()
    for unit, row in found.grouping.counts().items():
        assert row == {
            "disc": max(1, round(0.5 * even[unit]["disc"])),
            "square": even[unit]["square"],
            "ring": 2 * even[unit]["ring"],
        }
    parameters = sum(p.numel() for p in frozen.parameters())
    assert parameters == flops(found).total_params
    x = torch.randn(2, 3, 16, 16)
    before = frozen.eval()(x)
    x[:, 0] += 1  # the disc's input
    changed = (frozen(x) != before).any(dim=0)
    assert changed.tolist() == [True] * 3 + [False] * 6


@pytest.mark.filterwarnings("ignore")  # of Lightning
@pytest.mark.parametrize("strategy", ["RandomOneShot", "DARTS", "GumbelDARTS", "Proxyless"])
def test_one_shot_strategies_choose_a_size_for_each_part(
    shapes_space: SearchSpace, shapes: Any, strategy: str
) -> None:
    pytest.importorskip("pytorch_lightning", reason="needs pytorch-lightning")
    from nni.nas import strategy as strategies
    from nni.nas.evaluator.pytorch import Lightning, LightningModule, Trainer
    from torch.utils.data import DataLoader, TensorDataset

    class Fit(LightningModule):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.model(x)

        def training_step(self, batch: Any, _: int) -> torch.Tensor:
            return shapes.loss(self(batch[0]), batch[1])

        def validation_step(self, batch: Any, _: int) -> None:
            self.log("error", shapes.errors(self(batch[0]), batch[1]).mean())

        def on_validation_epoch_end(self) -> None:
            nni.report_intermediate_result(-self.trainer.callback_metrics["error"].item())

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=0.01)

    for name in ("nni", "pytorch_lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    data = DataLoader(TensorDataset(*shapes.batch(torch.arange(60))), batch_size=20)
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    evaluator = Lightning(Fit(), trainer, train_dataloaders=data, val_dataloaders=data)
    space = PartModelSpace(shapes_space, scales=(0.5, 1.0))
    search = getattr(strategies, strategy)()
    search(RawFormatModelSpace.from_model(space, evaluator), SequentialExecutionEngine())
    (best,) = search.list_models(limit=1)
    assert set(best.sample) == set(shapes_space.groups)
    space.allocation(best.sample)
