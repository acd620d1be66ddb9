"""Times of kernels in ONNX Runtime: measured, fitted, and a cost that a search can descend."""

from __future__ import annotations

from groupnas.latency.kernel import Format, Kernel, kernel_format
from groupnas.latency.measure import measure_table
from groupnas.latency.table import LatencyFile, LatencyTable

__all__ = ["Format", "Kernel", "LatencyFile", "LatencyTable", "kernel_format", "measure_table"]
