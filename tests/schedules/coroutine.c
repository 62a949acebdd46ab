/* coroutine.c - see coroutine.h.
 *
 * swapcontext() makes two system calls each time, and the sanitizer warns of it:
 * so a few instructions for the processors that are at hand.
 */
#include "coroutine.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

#include "cases.h"

#define STACK_SIZE (512 * 1024) /* a report of the sanitizer needs some */
/* So much of it is used by a case, at most, and made clean for the next run. */
#define CLEANED (32 * 1024)

void coroutine_swap(void **save, void *load);

#if defined(__x86_64__)
#define SAVED 6 /* registers that a function keeps */
__asm__(".text\n"
        ".globl coroutine_swap\n"
        ".type coroutine_swap, @function\n"
        "coroutine_swap:\n"
        "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n"
        "  pushq %r13\n  pushq %r14\n  pushq %r15\n"
        "  movq %rsp, (%rdi)\n"
        "  movq %rsi, %rsp\n"
        "  popq %r15\n  popq %r14\n  popq %r13\n"
        "  popq %r12\n  popq %rbx\n  popq %rbp\n"
        "  ret\n"
        ".size coroutine_swap, .-coroutine_swap\n");
#define ENTRY SAVED /* index of the return address */
#define FRAME (SAVED + 2)
#elif defined(__aarch64__)
__asm__(".text\n"
        ".globl coroutine_swap\n"
        ".type coroutine_swap, %function\n"
        "coroutine_swap:\n"
        "  sub sp, sp, #160\n"
        "  stp x19, x20, [sp, #0]\n  stp x21, x22, [sp, #16]\n"
        "  stp x23, x24, [sp, #32]\n  stp x25, x26, [sp, #48]\n"
        "  stp x27, x28, [sp, #64]\n  stp x29, x30, [sp, #80]\n"
        "  stp d8, d9, [sp, #96]\n  stp d10, d11, [sp, #112]\n"
        "  stp d12, d13, [sp, #128]\n  stp d14, d15, [sp, #144]\n"
        "  mov x9, sp\n  str x9, [x0]\n  mov sp, x1\n"
        "  ldp x19, x20, [sp, #0]\n  ldp x21, x22, [sp, #16]\n"
        "  ldp x23, x24, [sp, #32]\n  ldp x25, x26, [sp, #48]\n"
        "  ldp x27, x28, [sp, #64]\n  ldp x29, x30, [sp, #80]\n"
        "  ldp d8, d9, [sp, #96]\n  ldp d10, d11, [sp, #112]\n"
        "  ldp d12, d13, [sp, #128]\n  ldp d14, d15, [sp, #144]\n"
        "  add sp, sp, #160\n  ret\n"
        ".size coroutine_swap, .-coroutine_swap\n");
#define ENTRY 11 /* x30 */
#define FRAME 20
#else
#error "no switch between stacks for this processor"
#endif

static char *stacks[SCHEDULE_THREADS];
static const void *main_bottom;
static size_t main_size;
static void (*bodies[SCHEDULE_THREADS])(void);
static struct coroutine *owners[SCHEDULE_THREADS];
static int running;

static int
number_of(const struct coroutine *c)
{
    for (int i = 1; i < SCHEDULE_THREADS; i++) {
        if (owners[i] == c) {
            return i;
        }
    }
    return 0;
}

static void
begin(void)
{
    const void *bottom;
    size_t size;
    __sanitizer_finish_switch_fiber(NULL, &bottom, &size);
    if (main_bottom == NULL) {
        main_bottom = bottom;
        main_size = size;
    }
    bodies[running]();
    abort();
}

void
coroutine_make(struct coroutine *c, int number, void (*body)(void))
{
    if (stacks[number] == NULL) {
        stacks[number] = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (stacks[number] == MAP_FAILED) {
            perror("mmap");
            exit(2);
        }
    }
    char *top = stacks[number] + STACK_SIZE;
    /* Whoever ran here before may not have returned from anything. */
    __asan_unpoison_memory_region(top - CLEANED, CLEANED);
    uintptr_t *frame = (uintptr_t *)(void *)top - FRAME;
    for (int i = 0; i < FRAME; i++) {
        frame[i] = 0;
    }
    frame[ENTRY] = (uintptr_t)begin;
    c->stack_pointer = frame;
    bodies[number] = body;
    owners[number] = c;
}

void
coroutine_switch(struct coroutine *from, struct coroutine *to)
{
    running = number_of(to);
    if (running > 0) {
        __sanitizer_start_switch_fiber(NULL, stacks[running], STACK_SIZE);
    }
    else {
        __sanitizer_start_switch_fiber(NULL, main_bottom, main_size);
    }
    coroutine_swap(&from->stack_pointer, to->stack_pointer);
    __sanitizer_finish_switch_fiber(NULL, NULL, NULL);
}
