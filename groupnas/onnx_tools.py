"""ONNX and ONNX Runtime, which are an extra: imported where they are used, and no earlier."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from groupnas.errors import InputError
from groupnas.extras import install_hint
from groupnas.files import read_bytes


def import_onnx() -> Any:
    """The ``onnx`` package; an :class:`InputError` that says how to get it where it is missing."""
    return _import("onnx")


def import_runtime() -> Any:
    """The ``onnxruntime`` package; an :class:`InputError` likewise."""
    return _import("onnxruntime")


def import_exporter() -> None:
    """See that torch can export: the ``onnxscript`` package; an :class:`InputError` likewise."""
    _import("onnxscript")


def open_session(model: bytes | str | os.PathLike[str], threads: int = 1) -> Any:
    """An ``onnxruntime.InferenceSession`` on the CPU, with all of its graph optimisations.

    Args:
        model: A serialised model, or the path of a file.
        threads: Of a single operator; operators run one after the other.

    Raises:
        InputError: a file that ONNX Runtime cannot read or run, or no ONNX Runtime.
    """
    runtime = import_runtime()
    if not isinstance(model, bytes) and not os.path.isfile(model):
        what = "is not a regular file" if os.path.exists(model) else "no such file"
        raise InputError(f"{os.fspath(model)}: {what}")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # errors: warnings are about the optimiser's own choices
    name = "the model" if isinstance(model, bytes) else os.fspath(model)
    content = model if isinstance(model, bytes) else _readable(name)
    try:
        with refusals(f"{name}: ONNX Runtime cannot run it"):
            session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        # What is asked for later: ONNX Runtime finds out only then that it is damaged.
        for port in (*session.get_inputs(), *session.get_outputs()):
            _ = port.name, port.shape
        _ = session.get_modelmeta().custom_metadata_map
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: is damaged: a text in it is not UTF-8") from error
    return session


@contextmanager
def refusals(said: str) -> Iterator[None]:
    """Make ONNX Runtime's exceptions an :class:`InputError` that begins with ``said``."""
    try:
        yield
    except Exception as error:  # onnxruntime's exceptions have no common base but this
        if not type(error).__module__.startswith("onnxruntime"):
            raise
        raise InputError(f"{said}: {str(error).strip().splitlines()[0]}") from error


def _readable(path: str) -> str | bytes:
    """The path, or the file's contents where its name is no text, which ONNX Runtime needs."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return read_bytes(path)
    return path


def _import(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(f"{name} is missing; get it with: {install_hint('onnx')}") from error
