"""Tests of what guards a pool: its memory, its descriptors, and how it is built."""
