"""Facial landmarks: the flagship task, and the only part of groupnas that knows faces."""
