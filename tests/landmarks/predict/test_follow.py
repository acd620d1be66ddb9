"""Faces in a photo and from frame to frame, with a cascade that is made up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from groupnas.landmarks.predict.follow import Follower, locate_faces

PICTURE = np.zeros((200, 300, 3), np.uint8)
CORNERS = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1], [0.5, 0.5]])


def at(x: float, y: float, size: float = 40) -> np.ndarray:
    return np.array([x - size / 2, y - size / 2, x + size / 2, y + size / 2])


class World:
    """Faces that the cascade finds exactly from any box near them, and the detector sees."""

    markup: Any = None  # nobody asks

    def __init__(self, *faces: np.ndarray) -> None:
        self.faces = list(faces)
        self.looked = 0
        self.boxes: list[np.ndarray] = []
        self.blind = 0

    def locate(self, image: np.ndarray, boxes: np.ndarray) -> Any:
        self.boxes.append(boxes)
        points = np.zeros((len(boxes), 5, 2))
        for number, box in enumerate(boxes):
            centre = (box[:2] + box[2:]) / 2
            gaps = [np.linalg.norm((f[:2] + f[2:]) / 2 - centre) for f in self.faces]
            best = self.faces[int(np.argmin(gaps))] if gaps else box
            points[number] = best[:2] + CORNERS * (best[2:] - best[:2])
        return SimpleNamespace(points=points)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        self.looked += 1
        if self.blind:
            self.blind -= 1
            return np.zeros((0, 4))
        return np.array(self.faces).reshape(-1, 4)

    def follower(self, every: int = 5, **options: object) -> Follower:
        return Follower(self, self, every, 1, **options)  # type: ignore[arg-type]


def test_passes_look_again_at_what_was_found() -> None:
    world = World(at(100, 100))
    rough = np.array([at(105, 95, 60)])
    (face,) = locate_faces(world, PICTURE, rough, passes=1)
    assert face.box.tolist() == rough[0].tolist() and face.number is None
    (face,) = locate_faces(world, PICTURE, rough, passes=2)
    assert face.box.tolist() == at(100, 100).tolist()
    assert face.points[4].tolist() == [100, 100]
    assert locate_faces(world, PICTURE, rough[:0], passes=2) == []


def test_landmarks_that_fall_together_keep_the_box() -> None:
    world = World(np.array([50.0, 50, 50, 50]))
    rough = np.array([at(50, 50)])
    (face,) = locate_faces(world, PICTURE, rough, passes=3)
    assert face.box.tolist() == rough[0].tolist()


def test_landmarks_far_outside_keep_the_box() -> None:
    """Those of a network that has hardly learned: 601 is beyond twice the longer side."""
    world = World(np.array([100.0, 100, 601, 140]))
    rough = np.array([at(100, 100)])
    (face,) = locate_faces(world, PICTURE, rough, passes=2)
    assert face.box.tolist() == rough[0].tolist() and face.points[1].tolist() == [601, 100]
    follower = Follower(world, None, 5, 2, start=rough)
    assert [len(follower(PICTURE, number, number / 25)) for number in (0, 1)] == [1, 1]
    assert all(boxes.tolist() == rough.tolist() for boxes in world.boxes)


def test_faces_are_followed_between_detections() -> None:
    world = World(at(100, 100), at(200, 100))
    follow = world.follower(every=5)
    for frame in range(11):
        world.faces = [at(100 + 3 * frame, 100), at(200 + 3 * frame, 100)]
        faces = follow(PICTURE, frame, frame / 25)
        assert [face.number for face in faces] == [0, 1]
        assert [face.points[4, 0] for face in faces] == [100 + 3 * frame, 200 + 3 * frame]
    assert world.looked == 3  # frames 0, 5, 10


def test_new_faces_get_new_numbers() -> None:
    world = World(at(100, 100))
    follow = world.follower(every=3)
    assert [face.number for face in follow(PICTURE, 0, 0)] == [0]
    world.faces.append(at(200, 100))
    seen = [[face.number for face in follow(PICTURE, frame, frame)] for frame in (1, 2, 3)]
    assert seen == [[0], [0], [0, 1]]


def test_a_jump_is_a_loss_and_calls_the_detector() -> None:
    world = World(at(60, 100))
    follow = world.follower(every=100)
    follow(PICTURE, 0, 0)
    world.faces = [at(200, 100)]
    assert follow(PICTURE, 1, 1) == []
    assert [face.number for face in follow(PICTURE, 2, 2)] == [1]
    assert world.looked == 2


def test_growth_and_leaving_the_picture_are_losses() -> None:
    for after in (at(60, 100, 61), at(60, 100, 26), at(-1, 100)):
        world = World(at(60, 100) if after[0] > 0 else at(10, 100))
        follow = world.follower(every=100)
        follow(PICTURE, 0, 0)
        world.faces = [after]
        assert follow(PICTURE, 1, 1) == []


def test_one_missed_detection_is_forgiven_two_are_not() -> None:
    world = World(at(60, 100))
    follow = world.follower(every=4)
    follow(PICTURE, 0, 0)
    world.blind = 1
    numbers = [[face.number for face in follow(PICTURE, frame, frame)] for frame in range(4, 8)]
    assert numbers == [[0]] * 4 and world.looked == 3  # 0, 4, and again at 5
    world.blind = 2
    numbers = [[face.number for face in follow(PICTURE, frame, frame)] for frame in range(8, 13)]
    assert numbers == [[0], [], [], [], [1]]


def test_two_that_run_into_each_other_are_one() -> None:
    world = World(at(60, 100), at(100, 100))
    follow = world.follower(every=100)
    follow(PICTURE, 0, 0)
    world.faces = [at(80, 100)]
    assert [face.number for face in follow(PICTURE, 1, 1)] == [0]


def test_given_boxes_need_no_detector() -> None:
    world = World(at(100, 100))
    follow = Follower(world, None, 5, 1, start=np.array([at(102, 100)]))
    assert [face.number for face in follow(PICTURE, 0, 0)] == [0]
    assert [face.number for face in follow(PICTURE, 5, 1)] == [0]
    world.faces = [at(250, 100)]
    assert follow(PICTURE, 6, 2) == []
    assert follow(PICTURE, 7, 3) == []


def test_smoothing_does_not_feed_back() -> None:
    plain, smooth = World(at(100, 100)), World(at(100, 100))
    results = []
    for world, option in ((plain, False), (smooth, True)):
        follow = world.follower(every=100, smooth=option)
        for frame in range(4):
            world.faces = [at(100 + 4 * (frame % 2), 100)]
            (face,) = follow(PICTURE, frame, frame / 25)
        results.append(face.points[4, 0])
    assert results[0] == 104 and 100 < results[1] < 104
    assert all((a == b).all() for a, b in zip(plain.boxes, smooth.boxes, strict=True))
