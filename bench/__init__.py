"""Benchmarks: `python -m bench [NAME...]` runs them and writes bench/results/.

A benchmark is a module here with `run() -> Measured`. Real parts only; figures carry their units
in their names (`emit_p50_us`, `rows_per_s`).
"""
