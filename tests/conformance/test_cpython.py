"""CPython's own tests of concurrent.futures, run on our module.

This file holds no test: where pytest would load it, nodes.py puts one item for each
test of the running interpreter's `test.test_concurrent_futures`.
"""
