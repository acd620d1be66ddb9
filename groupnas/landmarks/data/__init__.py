"""Data sets of faces, in the formats that their authors publish."""
