"""Tests of the interpreter pool; a package, so that calls can import it there."""
