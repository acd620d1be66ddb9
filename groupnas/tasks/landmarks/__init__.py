"""Facial landmarks: the flagship task, and the only part of groupnas that knows faces."""

OBTAINED_300W = "https://ibug.doc.ic.ac.uk/resources/facial-point-annotations/ (research use)"
