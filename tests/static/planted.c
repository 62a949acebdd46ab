/* planted.c - a fault for each of the tools of tools/static, which are believed
 * when they have found theirs.  The comment names the warning that is meant. */
#include <stdlib.h>
#include <string.h>

int planted_shadow(int n);
int planted_conversion(long n);
int planted_sign(unsigned n, int *to);
char *planted_null(size_t size);
void planted_twice(void *at);
int planted_leak(size_t size);
int planted_recursion(int n);
void planted_memset(char *at, size_t size);

int
planted_shadow(int n)
{
    for (int i = 0; i < 2; i++) {
        int n = i; /* -Wshadow */
        i += n;
    }
    return n;
}

int
planted_conversion(long n)
{
    return n; /* -Wconversion, -Wshorten-64-to-32 */
}

int
planted_sign(unsigned n, int *to)
{
    *to = n; /* -Wsign-conversion */
    return *to;
}

char *
planted_null(size_t size)
{
    char *at = malloc(size);
    at[0] = 1; /* -Wanalyzer-possible-null-dereference */
    return at;
}

void
planted_twice(void *at)
{
    free(at);
    free(at); /* -Wanalyzer-double-free, clang-analyzer-unix.Malloc, doubleFree */
}

int
planted_leak(size_t size)
{
    char *at = malloc(size);
    if (at == NULL) {
        return -1;
    }
    at[0] = 1;
    return 0; /* -Wanalyzer-malloc-leak, clang-analyzer-unix.Malloc, memleak */
}

int
planted_recursion(int n)
{
    return n > 0 ? planted_recursion(n - 1) : 0; /* misc-no-recursion */
}

void
planted_memset(char *at, size_t size)
{
    memset(at, (int)size, 0); /* bugprone-suspicious-memset-usage, memsetZeroBytes */
}
