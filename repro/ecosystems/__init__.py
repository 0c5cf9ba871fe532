"""What knows a package manager: inputs to lock part, lock part to layers."""
