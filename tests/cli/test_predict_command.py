"""``groupnas predict``, with a cascade and a detector that are made up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers import caller
from PIL import Image

from groupnas.cli.predict import predict
from groupnas.errors import InputError
from groupnas.landmarks import mirrored, model
from groupnas.landmarks.deploy.graph import Graph
from groupnas.landmarks.deploy.runtime import FORMAT, KIND, OnnxCascade
from groupnas.landmarks.located import check_faces
from groupnas.landmarks.markup import MARKUPS
from groupnas.landmarks.predict import detect, frames, prediction
from groupnas.landmarks.predict.frames import Still, read_video, write_video
from groupnas.landmarks.predict.prediction import DrawingNames, until_stopped

GREY = np.full((100, 160, 3), 128, np.uint8)
WHITE = np.full((100, 160, 3), 255, np.uint8)
BOX = [40.0, 20.0, 80.0, 70.0]
# A made-up shape that fills its box, for 68 points
SHAPE = np.stack([np.linspace(0, 1, 68), np.linspace(0, 1, 68) ** 2], axis=1)


class Cascade:
    markup = MARKUPS[68]

    def __init__(self) -> None:
        self.boxes: list[Any] = []

    def locate(self, image: np.ndarray, boxes: np.ndarray) -> SimpleNamespace:
        self.boxes.append(boxes.tolist())
        if image.max() == 7:
            return SimpleNamespace(points=np.full((len(boxes), 68, 2), np.nan))
        points = boxes[:, None, :2] + SHAPE * (boxes[:, None, 2:] - boxes[:, None, :2])
        return SimpleNamespace(points=points)


@pytest.fixture
def cascade(monkeypatch: pytest.MonkeyPatch) -> Cascade:
    """The made-up cascade, and a detector that sees a face in pictures that are not white."""
    made = Cascade()

    def find(image: np.ndarray) -> np.ndarray:
        return np.array([BOX]) if image.mean() < 250 else np.zeros((0, 4))

    monkeypatch.setattr(model, "load_cascade", lambda path, device: made)
    monkeypatch.setattr(detect, "load_detector", lambda _: find)
    return made


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return save(tmp_path / "in" / "a.png", GREY)


def save(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(image).save(path)
    return path


def run(*arguments: object, model: str = "m.json") -> int:
    code: int = caller(predict)(*arguments, "--model", model)
    return code


def records(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_photo(cascade: Cascade, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(photo) == 0
    (record,) = records(capsys)
    assert record["path"] == str(photo) and record["frame"] is None and record["overlay"] is None
    assert (record["width"], record["height"]) == (160, 100)
    assert record["markup"] == {"name": "300W", "points": 68} and record["model"] == "m.json"
    assert "centre of the top left pixel" in record["units"]
    (face,) = record["faces"]
    assert face["box"] == BOX
    assert face["points"][0] == [40, 20] and face["points"][-1] == [80, 70]
    assert len(face["points"]) == 68
    assert cascade.boxes == [[BOX], [BOX]]  # the second pass, at the extent of the first's points


def test_given_boxes(cascade: Cascade, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(photo, "--box", "-5,1.5,30,40", "--box=50,50,90,90") == 0
    (record,) = records(capsys)
    assert [face["box"] for face in record["faces"]] == [[-5, 1.5, 30, 40], [50, 50, 90, 90]]
    assert len(cascade.boxes) == 1  # one pass, unless said otherwise
    assert run(photo, "--box", "50,50,90,90", "--passes", "3") == 0
    assert len(cascade.boxes) == 4


@pytest.mark.parametrize(
    ("box", "problem"),
    [
        ("1,2,3", "expected four numbers"),
        ("1,2,3,x", "expected four numbers"),
        ("1,2,3,nan", "expected four numbers"),
        ("30,2,3,40", "expected X0 < X1"),
        ("150,2,180,40", "its centre lies outside .*a.png, which has 160 x 100 pixels"),
    ],
)
def test_boxes_that_are_wrong(cascade: Cascade, photo: Path, box: str, problem: str) -> None:
    with pytest.raises(InputError, match=f"--box {box}: {problem}"):
        run(photo, "--box", box)


def test_what_does_not_go_together(cascade: Cascade, photo: Path) -> None:
    with pytest.raises(InputError, match="or else --webcam"):
        run()
    with pytest.raises(InputError, match="or else --webcam"):
        run(photo, "--webcam", "0")
    with pytest.raises(InputError, match="drawn.jpg: is to be a folder for the drawings"):
        run(photo, "--out", "drawn.jpg")
    with pytest.raises(InputError, match="found.csv: the name of a file of JSON lines must end in"):
        run(photo, "--json", "found.csv")
    for sources in ([photo.parent], [photo, photo]):
        with pytest.raises(InputError, match="--box goes with one photo"):
            run(*sources, "--box", "1,2,30,40")


def test_no_face(cascade: Cascade, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blank = save(photo.parent / "blank.png", WHITE)
    assert run(blank) == 1
    output = capsys.readouterr()
    assert json.loads(output.out)["faces"] == []
    assert output.err == f"groupnas: {blank}: no face found; --box X0,Y0,X1,Y1 says where one is\n"
    assert run(blank, photo) == 0


def test_drawings_and_json_file(cascade: Cascade, photo: Path, tmp_path: Path) -> None:
    other = save(tmp_path / "other" / "A.png", GREY)
    out, lines = tmp_path / "out", tmp_path / "found.jsonl"
    for _ in range(2):  # again gives the same names
        assert run(photo, other, "--out", out, "--json", lines) == 0
    found = [json.loads(line) for line in lines.read_text().splitlines()]
    drawings = [Path(record["overlay"]) for record in found]
    assert sorted(out.iterdir()) == sorted(drawings) and len(set(drawings)) == 2
    with Image.open(drawings[0]) as image:
        pixels = np.asarray(image).astype(int)
    assert pixels.shape == GREY.shape
    assert np.abs(pixels - 128)[20:70, 40:80].max() > 80 > 20 > np.abs(pixels - 128)[:, 90:].max()


def test_names_never_meet(tmp_path: Path) -> None:
    source = tmp_path / "x_landmarks.jpg"
    names = DrawingNames(tmp_path, [source])
    taken = [names.take(stem, ".jpg").name for stem in ("x", "x", "X")]
    assert taken == ["x_landmarks-2.jpg", "x_landmarks-3.jpg", "X_landmarks-4.jpg"]


def test_damage_does_not_stop_the_rest(
    cascade: Cascade, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("0.png", "b.png"):
        (photo.parent / name).write_bytes(b"nonsense")
    lines = tmp_path / "found.jsonl"
    with pytest.raises(InputError, match="0.png: damaged.*; 1 more could not be read"):
        run(photo.parent, "--json", lines)
    assert [json.loads(line)["path"] for line in lines.read_text().splitlines()] == [str(photo)]
    assert capsys.readouterr().err.count("\n") == 2
    with pytest.raises(InputError, match="no such file"):
        run(photo.parent, tmp_path / "nowhere")


ODD = ("-dash.png", "12:30.png", "%d.png", "two\nlines.png", "\U0001f642.png", "http:x.png")


def test_photos_of_any_name(
    cascade: Cascade, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their names come back from the JSON as they are; those of drawings are names of files."""
    names = [*ODD, "x" * 251 + ".png", os.fsdecode(b"caf\xe9.png")]
    for name in names:
        save(tmp_path / "in" / name, GREY)
    assert run(tmp_path / "in", "--out", tmp_path / "out") == 0
    output = capsys.readouterr().out
    assert output.isascii()
    found = [json.loads(line) for line in output.splitlines()]
    assert {record["path"] for record in found} == {str(tmp_path / "in" / name) for name in names}
    drawings = {record["overlay"] for record in found}
    assert drawings == set(map(str, (tmp_path / "out").iterdir())) and len(drawings) == len(names)


def test_whatever_is_wrong_with_one_the_others_are_done(
    cascade: Cascade, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is no photo, one without a face, one that the model fails on, and three good ones."""
    place = tmp_path / "in"
    for name in ("a.png", "m.png", "z.png"):
        save(place / name, GREY)
    save(place / "blank.png", WHITE)
    save(place / "astray.png", np.full((100, 160, 3), 7, np.uint8))
    (place / "folder.jpg").mkdir()
    os.mkfifo(place / "pipe.jpg")
    (place / "gone.png").symlink_to("nowhere")
    (place / "loop.png").symlink_to("loop.png")
    odd = os.fsdecode(b"caf\xe9.jpg")
    (place / odd).write_bytes(b"nonsense")
    Image.fromarray(np.zeros((2, 2), np.float32)).save(place / "floats.tif")
    with pytest.raises(InputError, match="; 6 more could not be read$"):
        run(place, "--json", tmp_path / "found.jsonl", "--out", tmp_path / "out")
    lines = (tmp_path / "found.jsonl").read_text().splitlines()
    done = [Path(json.loads(line)["path"]).name for line in lines]
    assert done == ["a.png", "blank.png", "m.png", "z.png"]
    said = capsys.readouterr().err
    for name, why in {
        "astray.png": "the model's landmarks are no numbers",
        "caf\\xe9.jpg": "damaged or not an image",
        "floats.tif": "floating-point",
        "folder.jpg": "Is a directory",
        "gone.png": "No such file",
        "loop.png": "Too many levels of symbolic links",
        "pipe.jpg": "is not a regular file",
        "blank.png": "no face found",
    }.items():
        assert any(name in line and why in line for line in said.splitlines()), (name, said)


def test_a_box_that_is_far_too_large_names_the_photo(
    cascade: Cascade, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locate(image: np.ndarray, boxes: np.ndarray) -> None:
        check_faces(image, boxes)

    monkeypatch.setattr(cascade, "locate", locate)
    with pytest.raises(InputError, match="a.png: boxes: one lies far outside the image of 160 x"):
        run(photo, "--box", "-900,-900,1000,1000")


@pytest.mark.parametrize("name", ["12:30 clip.mp4", "%d.mp4", "-clip.mp4", "http:clip.mp4", ODD[3]])
def test_videos_of_any_name(
    cascade: Cascade,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    pytest.importorskip("av", reason="needs the extra 'video'")
    monkeypatch.chdir(tmp_path)
    name = name.replace(".png", ".mp4")
    with write_video(Path(name)) as writer:
        for frame in made_frames(2):
            writer.add(frame)
    assert run(f"./{name}", "--out", "out:put") == 0
    found = records(capsys)
    assert [(record["path"], record["frame"]) for record in found] == [(name, 0), (name, 1)]
    assert len(list(read_video(Path(found[0]["overlay"])))) == 2


def made_frames(count: int = 5) -> Iterator[Still]:
    for number in range(count):
        yield Still("webcam 3", GREY, number, number / 25)


def test_a_video(cascade: Cascade, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("av", reason="needs the extra 'video'")
    film, out = tmp_path / "film.mp4", tmp_path / "out"
    with write_video(film) as writer:
        for frame in made_frames():
            writer.add(frame)
    assert run(film, "--out", out, "--smooth") == 0
    found = records(capsys)
    assert [record["frame"] for record in found] == [0, 1, 2, 3, 4]
    assert [record["time"] for record in found] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
    assert all(record["faces"][0]["id"] == 0 for record in found)
    assert {record["overlay"] for record in found} == {str(out / "film_landmarks.mp4")}
    drawn = list(read_video(out / "film_landmarks.mp4"))
    assert len(drawn) == 5 and drawn[0].image[20:70, 40:80].std() > 15
    film.write_bytes(b"nonsense")
    with pytest.raises(InputError, match="film.mp4: damaged or not a video"):
        run(film, "--out", out)


def test_a_webcam_until_ctrl_c(
    cascade: Cascade, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def camera(number: int) -> Iterator[Still]:
        for frame in made_frames(1000):
            if frame.number == 3:
                signal.raise_signal(signal.SIGINT)
            yield frame

    monkeypatch.setattr(prediction, "read_webcam", camera)
    before = signal.getsignal(signal.SIGINT)
    assert run("--webcam", "3") == 0
    assert [record["frame"] for record in records(capsys)] == [0, 1, 2, 3]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_interrupts() -> None:
    # a shell that starts the tests in the background has them ignore it
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    stream = until_stopped(made_frames())
    try:
        next(stream)
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        stream.close()  # type: ignore[attr-defined]
        signal.signal(signal.SIGINT, before)


def test_missing_webcam(cascade: Cascade) -> None:
    pytest.importorskip("av", reason="needs the extra 'video'")
    with pytest.raises(InputError, match="webcam 77"):
        run("--webcam", "77")
    assert frames.is_video(Path("a.MP4"))


def test_an_exported_model(
    cascade: Cascade,
    photo: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    loaded: list[str] = []

    def load(path: Path, threads: int) -> Cascade:
        loaded.append(str(path))
        assert threads >= 1
        return cascade

    monkeypatch.setattr(OnnxCascade, "load", load)
    monkeypatch.delattr(model, "load_cascade")
    assert run(photo, "--box", "1,2,30,40", model="a.onnx") == 0
    assert run(photo, "--box", "1,2,30,40", "--runtime", "onnx", model="b.ONNX") == 0
    assert loaded == ["a.onnx", "b.ONNX"]
    assert [record["model"] for record in records(capsys)] == loaded


@pytest.mark.parametrize(
    ("file", "runtime", "problem"),
    [
        ("a.onnx", "torch", "--runtime torch: a.onnx is for ONNX Runtime; give the model card"),
        ("m.json", "onnx", "--runtime onnx: m.json is no .onnx file; export the model with"),
    ],
)
def test_a_runtime_for_another_kind_of_model(
    cascade: Cascade, photo: Path, file: str, runtime: str, problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        run(photo, "--runtime", runtime, model=file)


def test_mirrored(
    cascade: Cascade,
    photo: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given: list[Cascade] = []

    def twice(cascade: Cascade) -> Cascade:
        given.append(cascade)
        return cascade

    monkeypatch.setattr(mirrored, "looking_twice", twice)
    assert run(photo, "--box", "1,2,30,40") == 0 and given == []
    assert run(photo, "--box", "1,2,30,40", "--mirrored") == 0 and given == [cascade]
    once, again = records(capsys)
    assert once == again
    with pytest.raises(InputError, match="--mirrored: a.onnx looks once; give the model card"):
        run(photo, "--box", "1,2,30,40", "--mirrored", model="a.onnx")


ALONE = """
import sys
from groupnas.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
assert "torch" not in sys.modules
"""


def test_an_exported_model_needs_no_torch(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")
    photo = save(tmp_path / "in" / "a.png", GREY)
    exported = tmp_path / "cascade.onnx"
    exported.write_bytes(answers_alone())
    line = ["predict", photo, "--model", exported, "--box", "20,10,80,90"]
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *map(str, line)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    (face,) = json.loads(done.stdout)["faces"]
    assert face["points"] == [[20.0, 10.0]] * 68


def answers_alone() -> bytes:
    """A cascade's file that says the box's corner of every point."""
    graph = Graph()
    graph.input("image", np.uint8, ("h", "w", 3))
    corner = graph.input("box", np.float32, (4,)).take([0, 1]).reshape(1, 2)
    points = graph.op("Concat", *[corner] * 68, axis=0)
    for name in ("points", "initial"):
        graph.output(name, points, (68, 2))
    about = {
        "kind": KIND,
        "format": str(FORMAT),
        "card": '{"points": 68, "box": "landmarks"}',
        "parts": "{}",
    }
    metadata = {f"groupnas.{key}": value for key, value in about.items()}
    content: bytes = graph.model("cascade", metadata).SerializeToString()
    return content
