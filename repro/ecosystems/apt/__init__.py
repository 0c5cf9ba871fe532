"""Debian packages: apt resolves, mmdebstrap installs."""
