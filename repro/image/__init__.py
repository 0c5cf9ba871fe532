"""Deterministic layers, image configuration, archives."""
