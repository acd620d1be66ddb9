"""``groupnas export``: a cascade, or one network, as an ONNX file that runs fast."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from groupnas.cli.options import AllowPartial, CountOption, DataRoot, Flag, SeveralOption
from groupnas.cli.output import courtesy, tell_caveat, working
from groupnas.errors import InputError
from groupnas.files import nearest
from groupnas.formats import MODEL, check_suffix
from groupnas.writing import atomic_path

if TYPE_CHECKING:
    from groupnas.deploy.plan import LayoutPlan
    from groupnas.deploy.planner import LayoutPlanner
    from groupnas.landmarks.data.face import BoxPolicy
    from groupnas.landmarks.located import FacePair
    from groupnas.spaces.network import GroupedNetwork


@dataclass(frozen=True)
class _Calibration:
    """The faces that an int8 model is calibrated on."""

    data: str
    root: Path | None
    allow_partial: bool
    limit: int | None

    def faces(self, box: BoxPolicy) -> Iterable[FacePair]:
        from groupnas.landmarks.dataset import face_set
        from groupnas.landmarks.deploy.calibration import FACES, training_faces
        from groupnas.tasks import require_root

        data = face_set(self.data)
        root = require_root(data, self.root)
        limit = FACES if self.limit is None else self.limit
        return training_faces(data, root, box, limit=limit, allow_partial=self.allow_partial)


def export(
    model: Path | None = None,
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    stage: str | None = None,
    parts: SeveralOption = None,
    space: str | None = None,
    grouping: Path | None = None,
    batch: CountOption = None,
    table: Path | None = None,
    plain: Flag = False,
    plan: Flag = False,
    int8: Flag = False,
    data: str | None = None,
    data_root: DataRoot = None,
    allow_partial: AllowPartial = False,
    limit: CountOption = None,
) -> None:
    """Write a cascade as one ONNX file: an image and a face's box in, its landmarks out.

    Uneven groups are laid out for speed: channels permuted and padded so that each layer is the
    cheapest of one grouped convolution, one of fewer groups, a dense one or several, by measured
    times; BatchNorm goes into the weights. --stage or --space write one network alone. --int8 is
    faster on processors with int8 instructions, and a little less exact; it uses no groups.

    Args:
        model: A model card, or the folder that holds model.json.
        out: The ONNX file to write.
        stage: Only the network of this stage (global, local), not the whole cascade.
        parts: Only these groups of the network, e.g. mouth.
        space: Instead of a model: a fresh network of this space, to measure its speed.
        grouping: Its grouping.json; even groups by default.
        batch: Samples of a call, fixed; any number by default.
        table: Lay it out by this latency table (`groupnas bench --table`); by default by the one
            that groupnas comes with.
        plain: Leave it as it was trained: do not lay it out.
        plan: Print how every layer is laid out, and what it takes.
        int8: In 8-bit integers, calibrated on training faces of --data.
        data: Of --int8: a data set of faces, or a data file; `groupnas data list` names sets.
        limit: Of --int8: calibrate on so many faces; 200 by default.
    """
    if model is None and space is None:
        raise InputError("export needs a model, or else --space")
    if space is not None:
        _refuse("does not go with --space", {"a model": model, "--stage": stage})
    if plain and (plan or table is not None):
        raise InputError("--plain: nothing is laid out then; leave out --plan and --table")
    whole = space is None and stage is None
    _refuse(
        "goes with --stage or --space, not with a whole cascade",
        {"--parts": whole and parts, "--batch": whole and batch},
    )
    _refuse("goes with --space; a model has its own", {"--grouping": space is None and grouping})
    if int8:
        no = {"--space": space, "--parts": parts, "--table": table, "--plan": plan}
        _refuse("does not go with --int8", no)
        if data is None:
            raise InputError("--int8 needs --data: faces to calibrate on, e.g. --data 300w")
    else:
        faces = {"--data": data, "--data-root": data_root, "--limit": limit}
        _refuse("goes with --int8", {**faces, "--allow-partial": allow_partial})

    check_suffix(out, MODEL, "an ONNX file")

    from groupnas.onnx_tools import import_onnx, import_runtime

    import_onnx(), import_runtime()
    plans: dict[str, LayoutPlan] = {}
    if int8:
        assert model is not None and data is not None
        calibration = _Calibration(data, data_root, allow_partial, limit)
        _export_int8(model, stage, out, calibration, plain, batch)
    else:
        planner = None
        if not plain:
            from groupnas.deploy.planner import LayoutPlanner

            planner = LayoutPlanner(table)
            tell_caveat(planner.table)
        if whole:
            assert model is not None
            plans = _export_cascade(model, out, planner)
        else:
            network = _network(model, stage, space, grouping)
            network = network if parts is None else _only(network, parts)
            plans = _export_network(network, stage or str(space), out, planner, batch)
    with courtesy("how it is laid out was not printed", out):
        for name, made in plans.items():
            _tell(name, made, plan)
        print(out)


def _refuse(why: str, options: Mapping[str, object]) -> None:
    """An :class:`InputError` that names the first option that was given."""
    for option, given in options.items():
        if given not in (None, False):
            raise InputError(f"{option} {why}")


def _export_network(
    network: GroupedNetwork,
    name: str,
    out: Path,
    planner: LayoutPlanner | None,
    batch: int | None,
) -> dict[str, LayoutPlan]:
    from groupnas.deploy.export import export_onnx

    if planner is None:
        with working("Exporting"):
            export_onnx(network, out, batch=batch)
        return {}
    with working("Laying out and exporting"):
        deployed = planner(network)
        export_onnx(deployed, out, batch=batch)
    return {name: deployed.plan}


def _export_int8(
    model: Path,
    stage: str | None,
    out: Path,
    calibration: _Calibration,
    plain: bool,
    batch: int | None,
) -> None:
    from groupnas.deploy.dense import DensePlanner
    from groupnas.deploy.export import export_onnx
    from groupnas.deploy.quantise import quantise_onnx
    from groupnas.landmarks.deploy.calibration import batched, crops_shown
    from groupnas.landmarks.deploy.export import export_cascade
    from groupnas.landmarks.model import load_cascade

    cascade = load_cascade(model)
    faces = calibration.faces(cascade.box)
    planner = None if plain else DensePlanner()
    with working("Calibrating and exporting"):
        if stage is None:
            export_cascade(model, out, planner=planner, calibration=faces)
            return
        network = _network(model, stage, None, None)
        crops = crops_shown(cascade, faces)[stage]
        with atomic_path(out) as temporary:
            export_onnx(network if planner is None else planner(network), temporary, batch=batch)
            quantise_onnx(temporary, temporary, batched(crops, batch or 1))


def _export_cascade(model: Path, out: Path, planner: LayoutPlanner | None) -> dict[str, LayoutPlan]:
    from groupnas.landmarks.deploy.export import export_cascade, passes
    from groupnas.landmarks.model import load_networks

    plans: list[LayoutPlan] = []

    def laid_out(network: GroupedNetwork) -> object:
        assert planner is not None
        deployed = planner(network)
        plans.append(deployed.plan)
        return deployed

    with working("Exporting" if planner is None else "Laying out and exporting"):
        export_cascade(model, out, planner=None if planner is None else laid_out)
    if not plans:
        return {}
    card, networks = load_networks(model)
    alone = [
        name
        for name, passed in passes(card).items()
        if len(passed) == 1 and not networks[name].module.joint
    ]
    return dict(zip(alone, plans, strict=True))


def _only(network: GroupedNetwork, parts: list[str]) -> GroupedNetwork:
    try:
        return network.only(parts)
    except InputError as error:
        raise InputError(f"--parts: {str(error).removeprefix('groups: ')}") from error


def _network(
    model: Path | None, stage: str | None, space: str | None, grouping: Path | None
) -> GroupedNetwork:
    """A trained stage, or a fresh network; in evaluation mode."""
    if model is not None and stage is not None:
        from groupnas.landmarks.model import load_networks

        networks = load_networks(model)[1]
        if stage not in networks:
            raise InputError(f"--stage {stage}: {nearest(stage, networks)}")
        return networks[stage].module.eval()

    from groupnas.spaces import Allocation, load_space

    assert space is not None
    found = load_space(space)
    chosen = Allocation.load(grouping, found) if grouping else Allocation.even(found)
    return chosen.build().eval()


def _tell(name: str, plan: LayoutPlan, everything: bool) -> None:
    if everything:
        print(f"{name}\n\n{plan}\n")
        return
    forms = Counter(layer.form for layer in plan.layers)
    told = ", ".join(f"{count} {form}" for form, count in forms.most_common())
    table = f"expected by the latency table {plan.table}"
    print(f"{name}: {1000 * plan.ms:.0f} µs {table}; layers: {told}")
