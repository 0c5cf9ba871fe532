"""The rootless engine: bubblewrap over unpacked layers."""
