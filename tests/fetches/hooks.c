/* hooks.c - the functions that code calls which is compiled with
 * -fsanitize=thread: before each read and write, and in place of each atomic
 * operation.  They do what they stand for, and note the reads.
 */
#include "hooks.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WATCHED 4

static struct {
    uintptr_t base;
    size_t size;
    uint32_t *seen; /* by byte: the round in which it was read last */
} watched[WATCHED];

static unsigned count, reads;
static uint32_t round_now;
static bool counting;
static const char *call_now;
unsigned hooks_twice;
int hooks_quiet;

void
hooks_watch(const void *base, size_t size)
{
    watched[count].base = (uintptr_t)base;
    watched[count].size = size;
    watched[count].seen = calloc(size, sizeof(uint32_t));
    if (watched[count].seen == NULL || ++count > WATCHED) {
        abort();
    }
}

void
hooks_forget(void)
{
    while (count > 0) {
        free(watched[--count].seen);
    }
}

void
hooks_begin(const char *call)
{
    call_now = call;
    reads = 0;
    round_now++;
    counting = true;
}

unsigned
hooks_end(void)
{
    counting = false;
    return reads;
}

static void
note_read(const void *address, size_t size)
{
    for (unsigned i = 0; counting && i < count; i++) {
        uintptr_t from = (uintptr_t)address - watched[i].base;
        if (from >= watched[i].size) {
            continue;
        }
        unsigned before = hooks_twice;
        reads++;
        for (size_t n = from; n < from + size && n < watched[i].size; n++) {
            hooks_twice += watched[i].seen[n] == round_now;
            watched[i].seen[n] = round_now;
        }
        if (hooks_twice != before && !hooks_quiet) {
            fprintf(stderr, "%s reads %zu bytes at offset %zu twice\n",
                    call_now, size, (size_t)from);
        }
    }
}

void *traced_memcpy(void *to, const void *from, size_t size);

void *
traced_memcpy(void *to, const void *from, size_t size)
{
    note_read(from, size);
    return memcpy(to, from, size);
}

/* --- what the compiler calls ---------------------------------------------- */

void __tsan_init(void);
void __tsan_func_entry(void *caller);
void __tsan_func_exit(void);
void __tsan_read_range(void *address, unsigned long size);
void __tsan_write_range(void *address, unsigned long size);
void __tsan_atomic_thread_fence(int order);
void __tsan_atomic_signal_fence(int order);

void __tsan_init(void) {}
void __tsan_func_entry(void *caller) { (void)caller; }
void __tsan_func_exit(void) {}

void
__tsan_read_range(void *address, unsigned long size)
{
    note_read(address, size);
}

void
__tsan_write_range(void *address, unsigned long size)
{
    (void)address;
    (void)size;
}

void
__tsan_atomic_thread_fence(int order)
{
    (void)order;
    atomic_thread_fence(memory_order_seq_cst);
}

void
__tsan_atomic_signal_fence(int order)
{
    (void)order;
    atomic_signal_fence(memory_order_seq_cst);
}

#define ACCESS(name, size)                                                    \
    void __tsan_##name##size(void *address);                                  \
    void __tsan_##name##size(void *address)

#define READ(name, size)                                                      \
    ACCESS(name, size)                                                        \
    {                                                                         \
        note_read(address, size);                                             \
    }

#define WRITE(name, size)                                                     \
    ACCESS(name, size)                                                        \
    {                                                                         \
        (void)address;                                                        \
    }

READ(read, 1)
READ(read, 2)
READ(read, 4)
READ(read, 8)
READ(read, 16)
READ(unaligned_read, 2)
READ(unaligned_read, 4)
READ(unaligned_read, 8)
READ(unaligned_read, 16)
WRITE(write, 1)
WRITE(write, 2)
WRITE(write, 4)
WRITE(write, 8)
WRITE(write, 16)
WRITE(unaligned_write, 2)
WRITE(unaligned_write, 4)
WRITE(unaligned_write, 8)
WRITE(unaligned_write, 16)

#define ORDER __ATOMIC_SEQ_CST

#define FETCH(bits, op)                                                       \
    uint##bits##_t __tsan_atomic##bits##_fetch_##op(                          \
        uint##bits##_t *at, uint##bits##_t value, int order);                 \
    uint##bits##_t __tsan_atomic##bits##_fetch_##op(                          \
        uint##bits##_t *at, uint##bits##_t value, int order)                  \
    {                                                                         \
        (void)order;                                                          \
        return __atomic_fetch_##op(at, value, ORDER);                         \
    }

#define EXCHANGE(bits, how)                                                   \
    int __tsan_atomic##bits##_compare_exchange_##how(                         \
        uint##bits##_t *at, uint##bits##_t *expected, uint##bits##_t value,   \
        int order, int failed);                                               \
    int __tsan_atomic##bits##_compare_exchange_##how(                         \
        uint##bits##_t *at, uint##bits##_t *expected, uint##bits##_t value,   \
        int order, int failed)                                                \
    {                                                                         \
        (void)order;                                                          \
        (void)failed;                                                         \
        return __atomic_compare_exchange_n(at, expected, value, 0, ORDER,     \
                                           ORDER);                            \
    }

/* The same as clang has it. */
#define EXCHANGE_VALUE(bits)                                                  \
    uint##bits##_t __tsan_atomic##bits##_compare_exchange_val(                \
        uint##bits##_t *at, uint##bits##_t expected, uint##bits##_t value,    \
        int order, int failed);                                               \
    uint##bits##_t __tsan_atomic##bits##_compare_exchange_val(                \
        uint##bits##_t *at, uint##bits##_t expected, uint##bits##_t value,    \
        int order, int failed)                                                \
    {                                                                         \
        (void)order;                                                          \
        (void)failed;                                                         \
        (void)__atomic_compare_exchange_n(at, &expected, value, 0, ORDER,     \
                                          ORDER);                             \
        return expected;                                                      \
    }

#define ATOMICS(bits)                                                         \
    uint##bits##_t __tsan_atomic##bits##_load(const uint##bits##_t *at,       \
                                              int order);                     \
    uint##bits##_t __tsan_atomic##bits##_load(const uint##bits##_t *at,       \
                                              int order)                      \
    {                                                                         \
        (void)order;                                                          \
        return __atomic_load_n(at, ORDER);                                    \
    }                                                                         \
    void __tsan_atomic##bits##_store(uint##bits##_t *at,                      \
                                     uint##bits##_t value, int order);        \
    void __tsan_atomic##bits##_store(uint##bits##_t *at,                      \
                                     uint##bits##_t value, int order)         \
    {                                                                         \
        (void)order;                                                          \
        __atomic_store_n(at, value, ORDER);                                   \
    }                                                                         \
    uint##bits##_t __tsan_atomic##bits##_exchange(                            \
        uint##bits##_t *at, uint##bits##_t value, int order);                 \
    uint##bits##_t __tsan_atomic##bits##_exchange(                            \
        uint##bits##_t *at, uint##bits##_t value, int order)                  \
    {                                                                         \
        (void)order;                                                          \
        return __atomic_exchange_n(at, value, ORDER);                         \
    }                                                                         \
    FETCH(bits, add)                                                          \
    FETCH(bits, sub)                                                          \
    FETCH(bits, and)                                                          \
    FETCH(bits, or)                                                           \
    FETCH(bits, xor)                                                          \
    EXCHANGE(bits, strong)                                                    \
    EXCHANGE(bits, weak)                                                      \
    EXCHANGE_VALUE(bits)

ATOMICS(8)
ATOMICS(32)
ATOMICS(64)
