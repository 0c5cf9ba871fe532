"""Nouns to terminal text and JSON."""
