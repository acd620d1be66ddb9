"""TensorBoard (extra ``tensorboard``)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from groupnas.engine.tracking.tracker import Tracker
from groupnas.errors import InputError
from groupnas.extras import install_hint
from groupnas.files import read_text
from groupnas.runs.folder import CONFIG, RunFolder

FOLDER = "tensorboard"


class TensorBoard(Tracker):
    """Scalars, and settings and result as text, in the run folder's ``tensorboard``.

    Raises:
        InputError: TensorBoard is not installed.
    """

    title = "TensorBoard"

    def __init__(self) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise InputError(
                f"TensorBoard is not installed; {install_hint('tensorboard')}"
            ) from error
        self._open = SummaryWriter

    def begin(self, folder: RunFolder) -> int:
        # Takes back what an earlier process sent: that may end in the middle of a record.
        self._writer = self._open(os.fspath(folder / FOLDER), purge_step=0)
        self._writer.add_text("config", _block("yaml", read_text(folder / CONFIG)), 0)
        return 0

    def send(self, epoch: int, numbers: Mapping[str, float]) -> None:
        for name, number in numbers.items():
            self._writer.add_scalar(name, number, epoch)
        self._writer.flush()

    def end(self, result: Mapping[str, Any] | None) -> None:
        if result is not None:
            self._writer.add_text("result", _block("json", json.dumps(result, indent=2)), 0)
        self._writer.close()


def _block(language: str, text: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```"
