"""What the workers of a process pool import."""
