"""Completes ``futures_c._native``, which imports this when it is asked for more.

A worker process needs a part of it only.  That several threads ask at the same
time is what the import system is made for.
"""

from futures_c import _native

_native._complete()
