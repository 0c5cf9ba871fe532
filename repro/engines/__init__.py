"""What runs a command inside an image."""
