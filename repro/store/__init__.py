"""Content-addressed artifacts and layers on the local disk."""
