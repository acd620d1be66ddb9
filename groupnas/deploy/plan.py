"""The layout of a whole network, which a planner decides and a deployed network is built by."""

from __future__ import annotations

from dataclasses import dataclass, field

from groupnas.deploy.layout import Form, Layout
from groupnas.spaces.layer import Layer


@dataclass(frozen=True, kw_only=True)
class LayerPlan:
    """The way that one layer is computed.

    Attributes:
        layer: Its shape as it was derived.
        form: See :data:`groupnas.deploy.layout.FORMS`.
        groups: Of the convolution; pieces of a split one.
        inputs: Where its input's channels are.
        outputs: Where its output's are.
        ms: What the cost model expects, changes of the memory format included.
    """

    layer: Layer
    form: Form
    groups: int
    inputs: Layout
    outputs: Layout
    ms: float


@dataclass(frozen=True)
class LayoutPlan:
    """The layout of a network.

    Attributes:
        layers: Every layer, input to output.
        table: Name of the latency table that decided.
    """

    layers: tuple[LayerPlan, ...] = field(repr=False)
    table: str

    @property
    def ms(self) -> float:
        """Milliseconds that the cost model expects the whole network to take, for one image."""
        return sum(layer.ms for layer in self.layers)

    def to_markdown(self) -> str:
        """A table of all choices."""
        rows = ["| layer | channels | laid out | form | groups | µs |", "|---|---|---|---|---|---|"]
        for plan in self.layers:
            had = f"{plan.layer.in_channels} → {plan.layer.out_channels}"
            has = f"{plan.inputs.channels} → {plan.outputs.channels}"
            rows.append(
                f"| {plan.layer.name} | {had} | {has} | {plan.form} | {plan.groups} "
                f"| {1000 * plan.ms:.1f} |"
            )
        rows.append(f"| all | | | | | {1000 * self.ms:.1f} |")
        return "\n".join(rows)

    __str__ = to_markdown
