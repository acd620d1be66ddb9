"""Photos, folders, videos and webcams."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from groupnas.errors import InputError
from groupnas.landmarks.predict import frames
from groupnas.landmarks.predict.frames import (
    Still,
    find_sources,
    read_photo,
    read_video,
    read_webcam,
    write_video,
)

LEFT_RED = np.zeros((40, 60, 3), np.uint8)
LEFT_RED[:, :30, 0] = 255


def test_sources_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "album"
    folder.mkdir()
    for name in ("b.JPG", "a.png", "notes.txt", ".hidden.png"):
        (folder / name).write_bytes(b"x")
    film = tmp_path / "film.mp4"
    film.write_bytes(b"x")
    assert find_sources([film, folder]) == [film, folder / "a.png", folder / "b.JPG"]
    for nowhere in (tmp_path / "nowhere", film / "below"):
        with pytest.raises(InputError, match=f"{nowhere.name}: no such file"):
            find_sources([nowhere])
    (tmp_path / "loop").symlink_to("loop")
    for refused in (tmp_path / ("x" * 300), tmp_path / "loop"):
        with pytest.raises(InputError, match=f"{refused.name}: cannot be read: "):
            find_sources([refused])
    with pytest.raises(InputError, match="no photos in it"):
        find_sources([tmp_path])


def test_photos_stand_upright(tmp_path: Path) -> None:
    """A camera held upright stores the picture lying, and says so in its Exif data."""
    exif = Image.Exif()
    exif[0x0112] = 6  # the stored top left corner is the top right one
    Image.fromarray(LEFT_RED).save(tmp_path / "turned.png", exif=exif)
    frame = read_photo(tmp_path / "turned.png")
    assert (frame.image == np.rot90(LEFT_RED, -1)).all()
    assert frame.source == str(tmp_path / "turned.png") and frame.number is None


def test_grey_photos_have_three_colours(tmp_path: Path) -> None:
    Image.fromarray(LEFT_RED[..., 0]).save(tmp_path / "grey.png")
    assert read_photo(tmp_path / "grey.png").image.shape == (40, 60, 3)


def test_damaged_photos(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(LEFT_RED).save(path)
    whole = path.read_bytes()
    for content in (b"", b"nonsense", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(InputError, match="a.jpg: damaged or not an image") as caught:
            read_photo(path)
        assert "\n" not in str(caught.value)


def film(path: Path, size: tuple[int, int] = (61, 40), count: int = 8) -> list[Still]:
    """A film whose grey rises, with a pause in the middle."""
    made = []
    with write_video(path) as writer:
        for number in range(count):
            grey = np.full((size[1], size[0], 3), 20 + 25 * number, np.uint8)
            time = number / 25 + (1.0 if number > 4 else 0.0)
            made.append(Still("made", grey, number, time))
            writer.add(made[-1])
    return made


def test_a_video_there_and_back(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="needs the extra 'video'")
    path = tmp_path / "film.mp4"
    made = film(path)
    found = list(read_video(path))
    assert [frame.number for frame in found] == list(range(8))
    assert found[0].image.shape == (40, 60, 3)  # an odd side loses a pixel
    for one, other in zip(made, found, strict=True):
        assert other.time == pytest.approx(one.time, abs=1e-3)
        assert abs(float(other.image.mean()) - float(one.image.mean())) < 4
        assert other.source == str(path)


def test_turned_videos_stand_upright(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="needs the extra 'video'")
    path = tmp_path / "film.mp4"
    path.write_bytes(b"x")

    class Container(SimpleNamespace):
        def __enter__(self) -> Container:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    # Phones store "turn by -90 degrees", counter-clockwise, for a video taken upright.
    picture = SimpleNamespace(time=2.0, rotation=-90, to_ndarray=lambda format: LEFT_RED)
    container = Container(
        streams=SimpleNamespace(video=[SimpleNamespace()]), decode=lambda _: [picture]
    )
    fake = SimpleNamespace(open=lambda *_, **__: container, FFmpegError=av.FFmpegError)
    monkeypatch.setattr(frames, "_pyav", lambda: fake)
    (frame,) = read_video(path)
    assert (frame.image == np.rot90(LEFT_RED, -1)).all()
    assert frame.image[0, :, 0].all()  # what was left is now on top
    assert frame.time == 0


def test_damaged_videos(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="needs the extra 'video'")
    path = tmp_path / "film.mp4"
    film(path)
    whole = path.read_bytes()
    for content in (b"", b"nonsense" * 100, whole[: len(whole) // 2], whole[:40]):
        path.write_bytes(content)
        with pytest.raises(InputError, match="film.mp4: damaged or not a video") as caught:
            list(read_video(path))
        assert "\n" not in str(caught.value)


def test_a_video_that_an_error_ends_is_not_written(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="needs the extra 'video'")
    path = tmp_path / "film.mp4"
    with pytest.raises(KeyError), write_video(path) as writer:
        writer.add(Still("made", LEFT_RED, 0, 0.0))
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_video(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="needs the extra 'video'")
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(InputError, match="pipe.mp4: is not a regular file"):
        next(read_video(tmp_path / "pipe.mp4"))
    with pytest.raises(InputError, match="none.mp4: cannot be read: No such file"):
        next(read_video(tmp_path / "none.mp4"))


def test_no_webcam() -> None:
    pytest.importorskip("av", reason="needs the extra 'video'")
    with pytest.raises(InputError, match="webcam 77"):
        next(read_webcam(77))


def test_without_pyav(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(name: str) -> object:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(frames, "import_module", missing)
    with pytest.raises(InputError, match=r"'groupnas\[video\]'"):
        next(read_video(tmp_path / "film.mp4"))


def test_videos_of_pictures_that_change_or_are_tiny(tmp_path: Path) -> None:
    """The first picture decides the size, 2 x 2 at least."""
    pytest.importorskip("av", reason="needs the extra 'video'")
    path = tmp_path / "film.mp4"
    for sizes, expected in (([(64, 64), (48, 32)], (64, 64, 3)), ([(1, 1)], (2, 2, 3))):
        with write_video(path) as writer:
            for number, size in enumerate(sizes):
                writer.add(Still("made", np.zeros((*size, 3), np.uint8), number, number / 25))
        assert [frame.image.shape for frame in read_video(path)] == [expected] * len(sizes)
