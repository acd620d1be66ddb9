"""Tiny data sets in the layouts of the real ones; that of 300W is made of drawn faces."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from groupnas.deploy.export import OPSET
from groupnas.landmarks.data import aflw, cofw, cofw68, w300, wflw
from groupnas.landmarks.data.synthetic import draw_face
from groupnas.onnx_tools import open_session

FILES = {
    "afw": ["11_1.jpg", "11_2.jpg", "12_1.JPG"],
    "helen/trainset": ["21_1.jpeg", "22_1.png"],
    "lfpw/trainset": ["image_0001.png", "image_0002.png"],
    "helen/testset": ["31_1.jpg"],
    "lfpw/testset": ["image_0001.png"],
    "ibug": ["image_003_1.jpg"],
    "01_Indoor": ["indoor_001.png"],
    "02_Outdoor": ["outdoor_001.png"],
}
COUNTS = {folder: len(names) for folder, names in FILES.items()}


def write_face(image: Path, index: int) -> None:
    """A drawn face and, counted from 1, its landmarks."""
    image.parent.mkdir(parents=True, exist_ok=True)
    grey, points = draw_face(index)
    Image.fromarray(grey).convert("RGB").save(image, quality=95)
    rows = "\n".join(f"{x:.6f} {y:.6f}" for x, y in points + 1)
    image.with_suffix(".pts").write_text(f"version: 1\nn_points: 68\n{{\n{rows}\n}}\n")


@pytest.fixture(scope="session")
def _drawn_300w(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("drawn")
    names = [f"{folder}/{name}" for folder, names in FILES.items() for name in names]
    for index, name in enumerate(names):
        write_face(root / "300w" / name, index)
    return root


@pytest.fixture
def copy_300w(
    _drawn_300w: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Path]:
    """Call it for a data root with a complete copy, as far as the shrunken counts go."""
    import shutil

    counts = {
        split: {folder: COUNTS[folder] for folder in folders}
        for split, folders in w300.SPLITS.items()
    }
    monkeypatch.setattr(w300, "SPLITS", counts)
    monkeypatch.setenv("GROUPNAS_CACHE", str(tmp_path / "cache"))

    def copy() -> Path:
        return Path(shutil.copytree(_drawn_300w, tmp_path / "data"))

    return copy


@pytest.fixture
def face() -> tuple[np.ndarray, np.ndarray]:
    """A drawn face ``(160, 160)`` and its 68 landmarks."""
    return draw_face(0)


def some_points(count: int, index: int) -> np.ndarray:
    """Landmarks ``(count, 2)`` that differ from face to face; exact in six decimals."""
    return np.random.default_rng(index).integers(10, 900, (count, 2)) / 8


@pytest.fixture(name="some_points")
def _some_points() -> Callable[[int, int], np.ndarray]:
    """What the data sets below hold: called with the number of points and that of the face."""
    return some_points


def write_image(path: Path, shade: int) -> None:
    """A picture of 140 x 130 pixels, all of one grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((130, 140, 3), shade, np.uint8)).save(path)


def wflw_line(index: int, photo: str, attributes: str = "0 0 0 0 0 0") -> str:
    """A line of WFLW's lists: 98 points, a rectangle, six attributes, an image."""
    points = " ".join(f"{value:.6f}" for value in some_points(98, index).ravel())
    return f"{points} 10 20 {30 + index} 50 {attributes} {photo}"


@pytest.fixture
def wflw_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """WFLW with 3 training and 4 test faces; two of the six lists of subsets."""
    monkeypatch.setitem(wflw.SPLITS, "train", 3)
    monkeypatch.setitem(wflw.SPLITS, "test", 4)
    folder = tmp_path / "wflw"
    for photo in ("0--Parade/a.jpg", "0--Parade/b.jpg", "1--Handshaking/c.jpg"):
        write_image(folder / "WFLW_images" / photo, ord(photo[-5]))
    lists = folder / "WFLW_annotations/list_98pt_rect_attr_train_test"
    lists.mkdir(parents=True)
    train = [
        wflw_line(0, "0--Parade/a.jpg", "1 0 0 0 0 0"),
        wflw_line(1, "0--Parade/b.jpg"),
        wflw_line(2, "0--Parade/a.jpg"),
    ]
    test = [
        wflw_line(3, "1--Handshaking/c.jpg", "1 0 0 0 0 1"),
        wflw_line(4, "1--Handshaking/c.jpg"),
        wflw_line(5, "1--Handshaking/c.jpg", "0 1 1 1 1 0"),
        wflw_line(6, "0--Parade/b.jpg", "1 0 0 0 0 0"),
    ]
    for split, lines in (("train", train), ("test", test)):
        (lists / f"list_98pt_rect_attr_{split}.txt").write_text("\n".join(lines) + "\n")
    own = folder / "WFLW_annotations/list_98pt_test"
    own.mkdir()
    for name, members in (("largepose", (0, 3)), ("makeup", (2,))):
        rows = [test[index].split() for index in members]
        text = "".join(" ".join([*row[:196], row[-1]]) + "\n" for row in rows)
        (own / f"list_98pt_test_{name}.txt").write_text(text)
    return tmp_path


def aflw_variables() -> dict[str, np.ndarray]:
    """What ``AFLWinfo_release.mat`` holds, of five faces on three photos."""
    names = np.empty((5, 1), object)
    names[:, 0] = ["0/a.jpg", "0/b.jpg", "2/c.jpg", "2/c.jpg", "0/a.jpg"]
    visible = np.ones((5, 19), np.uint8)
    visible[3, 4] = 0
    return {
        "nameList": names,
        "bbox": np.array([[10 + i, 60 + i, 20, 70 + i] for i in range(5)]),
        "data": np.array([some_points(19, i).T.ravel() for i in range(5)]),
        "mask_new": visible,
        "ra": np.array([[5, 2, 1, 4, 3]]),
    }


@pytest.fixture
def aflw_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """AFLW with 3 training and 2 test faces."""
    from scipy.io import savemat

    monkeypatch.setitem(aflw.SPLITS, "train", 3)
    monkeypatch.setitem(aflw.SPLITS, "test", 2)
    for index, name in enumerate(("0/a.jpg", "0/b.jpg", "2/c.jpg")):
        write_image(tmp_path / "aflw/data/flickr" / name, 50 * index)
    savemat(tmp_path / "aflw/AFLWinfo_release.mat", aflw_variables(), do_compression=True)
    return tmp_path


def write_cofw(path: Path, count: int, suffix: str) -> None:
    """A file of COFW as Matlab 7.3 stores it; every second image is grey."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        references = file.create_dataset(f"Is{suffix}", (1, count), dtype=h5py.ref_dtype)
        for index in range(count):
            shape = (130, 140 + index) if index % 2 else (130, 140 + index, 3)
            image = np.random.default_rng(index).integers(0, 255, shape, dtype=np.uint8)
            stored = file.create_dataset(f"#refs#/{index}", data=image.T)
            references[0, index] = stored.ref
        rows = [
            np.r_[some_points(29, index).T.ravel() + 1, np.arange(29) == index]
            for index in range(count)
        ]
        file[f"phis{suffix}"] = np.array(rows).T
        file[f"bboxes{suffix}"] = np.array([[6, 8, 20 + i, 25] for i in range(count)], float).T


@pytest.fixture
def cofw_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """COFW with 3 training and 2 test faces, the latter with 68 points too."""
    from scipy.io import savemat

    monkeypatch.setitem(cofw.SPLITS, "train", 3)
    for splits in (cofw.SPLITS, cofw68.SPLITS):
        monkeypatch.setitem(splits, "test", 2)
    write_cofw(tmp_path / "cofw/COFW_train_color.mat", 3, "Tr")
    write_cofw(tmp_path / "cofw/COFW_test_color.mat", 2, "T")
    own = tmp_path / "cofw/cofw68"
    (own / "test_annotations").mkdir(parents=True)
    boxes = np.array([[5, 6, 20, 30], [7, 8, 21, 31]], np.int16)
    savemat(own / "cofw68_test_bboxes.mat", {"bboxes": boxes})
    for number in (1, 2):
        content = {
            "Points": some_points(68, number) + 1,
            "Occ": (np.arange(68) < number).astype(np.uint8)[None],
        }
        savemat(own / f"test_annotations/{number}_points.mat", content)
    return tmp_path


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Faces are drawn once for all tests of a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GROUPNAS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place to work in, with the files of ``small/`` where names are looked up."""
    import shutil

    source = Path(__file__).parent / "small"
    for folder, names in {
        "search_spaces": ("small_global.yaml", "small_local.yaml", "small_maps.yaml"),
        "strategies": ("quick.yaml",),
        "strategies/recipes": ("small.yaml", "maps.yaml"),
    }.items():
        (tmp_path / folder).mkdir()
        for name in names:
            shutil.copy(source / name, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def trained_maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training of five points and heatmaps, by the recipe ``small/maps.yaml``."""
    import shutil

    from groupnas.landmarks.recipe import load_recipe
    from groupnas.landmarks.train import train_cascade

    folder = tmp_path_factory.mktemp("trained")
    source = Path(__file__).parent / "small"
    spaces = folder / "search_spaces"
    spaces.mkdir()
    for name in ("small_global.yaml", "small_maps.yaml"):
        shutil.copy(source / name, spaces)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("GROUPNAS_CACHE", str(folder / "cache"))
        return train_cascade(
            load_recipe(source / "maps.yaml"), folder / "run", root=None, limit=24, quiet=True
        ).parent


@pytest.fixture
def in_onnx() -> Callable[..., tuple[Tensor, list[str]]]:
    """Calls a function of tensors as ONNX Runtime does: exported with opset 18, on the CPU."""
    pytest.importorskip("onnxscript", reason="needs the extra 'onnx'")
    pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")

    def call(function: Callable[..., Tensor], *inputs: Tensor) -> tuple[Tensor, list[str]]:
        class Module(nn.Module):
            def forward(self, *given: Tensor) -> Tensor:
                return function(*given)

        module = function if isinstance(function, nn.Module) else Module()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's, on its own deprecations
            program = torch.onnx.export(
                module.eval(), inputs, dynamo=True, opset_version=OPSET, verbose=False
            )
        assert program is not None
        model = program.model_proto
        session = open_session(model.SerializeToString())
        names = [port.name for port in session.get_inputs()]
        (found,) = session.run(
            None, {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
        )
        return torch.from_numpy(found), [node.op_type for node in model.graph.node]

    return call
