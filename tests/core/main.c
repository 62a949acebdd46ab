/* main.c - the tests of src/port/port.h and src/core. */
#include <stddef.h>

#include "check.h"

void test_port(void);
void test_queue(void);
void test_lifosem(void);
void test_dispatch(void);
void test_group(void);
void test_bed(void);
void test_lock(void);
void test_fork(void);
void test_fail(void);

void (*const check_tests[])(void) = {
    test_port, test_queue, test_lifosem, test_dispatch, test_group,
    test_bed,  test_lock,  test_fork,    test_fail,     NULL,
};
