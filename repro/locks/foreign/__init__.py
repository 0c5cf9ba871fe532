"""Readers of the locks that other tools write: text → the packages that it pins."""
