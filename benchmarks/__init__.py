"""Benchmarks of futures_c beside its rivals: ``python -m benchmarks``.

`scenarios` holds what is measured, `rivals` who is measured, `runner` runs
any choice of the two in fresh processes, and `results`, `figures`, `report`
and `plot` turn the samples into tables and a picture.  README.md says how to
run and how to read them.
"""
