"""Helpers that the tests share: fresh interpreters, forked children, leftovers."""
