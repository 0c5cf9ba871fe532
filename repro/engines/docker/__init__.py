"""The docker engine: the Engine API through the docker SDK (Podman's socket too)."""
