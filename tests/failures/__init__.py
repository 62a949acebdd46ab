"""Every allocation and every system call fails in turn, and nothing is lost."""
