"""How fast `repro` is, as ratios to its peers measured in the same run.

python -m benchmarks [startup] [snapshot] [build] [run] [--write FILE] [--quick]
"""
