"""Every data set of faces by its name."""

from __future__ import annotations

import pytest

from groupnas.errors import InputError
from groupnas.landmarks.data.face_sets import MODULES, face_set
from groupnas.landmarks.metrics import NORMALISERS
from groupnas.tasks import DATASETS


@pytest.mark.parametrize("name", MODULES)
def test_each_is_what_it_is_called(name: str) -> None:
    faces = face_set(name)
    assert faces.name == name
    assert faces.normaliser in NORMALISERS
    assert faces.box in ("landmarks", "listed")
    assert next(iter(faces.subsets)) == "train" or name == "cofw68"
    # points without eye corners cannot be divided by the distance between them
    assert faces.markup.interocular or faces.normaliser not in ("interocular", "interpupil")


def test_the_registry_lists_the_same() -> None:
    assert list(MODULES) == list(DATASETS)


def test_an_unknown_name_gets_a_hint() -> None:
    with pytest.raises(InputError, match="'wflv' is not a data set of faces; did you mean 'wflw'"):
        face_set("wflv")
