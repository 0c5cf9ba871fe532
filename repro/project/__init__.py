"""A folder to a Project: configuration, detection, validation."""
