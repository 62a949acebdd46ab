"""The prime checker of the documentation, with threads."""

import importlib
import math
import sys

concurrent_futures = importlib.import_module(sys.argv[1])

PRIMES = [11272535, 11272541, 11579768, 11579773, 11582808, 10995116]


def is_prime(n):
    if n < 2:
        return False
    if n == 2:
        return True
    if n % 2 == 0:
        return False
    return all(n % i for i in range(3, math.isqrt(n) + 1, 2))


def main():
    with concurrent_futures.ThreadPoolExecutor() as executor:
        for number, prime in zip(PRIMES, executor.map(is_prime, PRIMES)):
            print("%d is prime: %s" % (number, prime))
        below = [n for n, ok in enumerate(executor.map(is_prime, range(200))) if ok]
        print(len(below), below[-5:])


if __name__ == "__main__":
    main()
