"""What the temporary environment of the conformance run has installed.

These files are copied into it as the package `futures_c_conformance`; they
import nothing from outside the standard library and the module under test.
"""
