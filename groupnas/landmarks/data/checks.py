"""Look through all faces of a data set: whether every image decodes, and every face can be used."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from groupnas.errors import InputError
from groupnas.landmarks.boxes import check_face
from groupnas.landmarks.data.face import Face, FaceSet
from groupnas.landmarks.parallel import in_threads

ImageKey = tuple[Path, int | None]  # a file, and which of its pictures


def damage(of: FaceSet, splits: Mapping[str, Sequence[Face]]) -> list[str]:
    """One line for everything that is wrong with the faces of a data set, in their order.

    Every picture is decoded once, however many faces are in it, which takes most of the time. A
    face without points is one whose annotation could not be read: of it, the picture is looked at.

    Args:
        of: The data set.
        splits: Faces by split; those of ``"train"`` must be fit to be trained on.
    """
    shown: dict[ImageKey, list[tuple[Face, bool]]] = defaultdict(list)
    for split, faces in splits.items():
        for face in faces:
            shown[face.path, face.index].append((face, split == "train"))

    def wrong(faces: list[tuple[Face, bool]]) -> list[str]:
        try:
            height, width = of.read(faces[0][0]).shape[:2]
        except InputError as error:
            return [str(error)]
        lines = []
        for face, trains in faces:
            try:
                if len(face.points):
                    check_face(face, of, (width, height), trains=trains)
            except InputError as error:
                lines.append(str(error))
        return lines

    found = in_threads(wrong, list(shown.values()), "Decoding images")
    return [*(line for lines in found for line in lines), *_namesakes(splits)]


def _namesakes(splits: Mapping[str, Sequence[Face]]) -> list[str]:
    """One line for each name that several faces of a split have."""
    lines = []
    for faces in splits.values():
        counts = Counter(face.name for face in faces)
        for name in (name for name, count in counts.items() if count > 1):
            paths = sorted({str(face.path) for face in faces if face.name == name})
            lines.append(f"{paths[0]}: {counts[name]} faces are called {name}: {', '.join(paths)}")
    return lines
