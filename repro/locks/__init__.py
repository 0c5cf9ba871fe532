"""Text to lock and back; pure."""
