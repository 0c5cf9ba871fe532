"""The command line: the only place that composes collaborators and exits."""
