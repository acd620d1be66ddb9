"""Keypoints of any object, from a file that says where images and annotations lie."""
