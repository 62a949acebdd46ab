/* main.c - the tests of src/port/process.h and src/ipc. */
#include <stddef.h>

#include "check.h"

void test_process(void);
void test_segment(void);
void test_requests(void);
void test_stream(void);
void test_idle(void);
void test_arena(void);
void test_blocks(void);
void test_ends(void);
void test_pool(void);
void test_kill(void);
void test_noise(void);
void test_fail(void);
void test_hub(void);
void test_functions(void);
void test_admission(void);
void test_pinned(void);
void test_bell(void);
void test_stress_hub(void);
void test_race_hub(void);
void test_batches(void);
void test_race_batches(void);

void (*const check_tests[])(void) = {
    test_process,
    test_segment,
    test_requests,
    test_stream,
    test_idle,
    test_arena,
    test_blocks,
    test_functions,
    test_admission,
    test_ends,
    test_pinned,
    test_bell,
    test_pool,
    test_hub,
    test_stress_hub,
    test_race_hub,
    test_batches,
    test_race_batches,
    test_kill,
    test_noise,
    test_fail,
    NULL,
};
