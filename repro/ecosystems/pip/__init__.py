"""Python packages: uv or pip-tools resolves, wheels become layers."""
