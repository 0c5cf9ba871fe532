"""Bytes to metrics and tables; pure."""
