"""Differences between locks and between measurements; pure."""
