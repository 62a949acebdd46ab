"""Tests of the process pool; a package, so that workers can import its jobs."""
