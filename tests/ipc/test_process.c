/* test_process.c - src/port/process.h, whichever half of it is built. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "port/process.h"

static uint64_t page;

static void
memory_is_shared_and_zero(void)
{
    int fd = fc_memory_create();
    CHECK(fd >= 0);
    CHECK(fc_memory_reserve(fd, 0, 3 * page) == 0);
    unsigned char *a = fc_memory_map(fd, 0, 3 * page, FC_MAP_SHARED);
    unsigned char *b = fc_memory_map(fd, page, page, FC_MAP_SHARED);
    unsigned char *c = fc_memory_map(fd, page, page, FC_MAP_PRIVATE);
    CHECK(a != NULL && b != NULL && c != NULL);
    CHECK(a[0] == 0 && a[3 * page - 1] == 0);
    a[page + 5] = 7;
    CHECK(b[5] == 7 && c[5] == 7);
    c[5] = 8;
    CHECK(a[page + 5] == 7);
    CHECK(fc_memory_reserve(fd, 0, 3 * page) == 0);
    CHECK(a[page + 5] == 7);
    fc_memory_unmap(a, 3 * page);
    fc_memory_unmap(b, page);
    fc_memory_unmap(c, page);
    CHECK(close(fd) == 0);
}

/* Nobody else's, and nobody makes it shorter, by mistake or otherwise. */
static void
memory_is_private_and_does_not_shrink(void)
{
    int fd = fc_memory_create();
    struct stat file;
    CHECK(fd >= 0);
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(fstat(fd, &file) == 0);
    CHECK((file.st_mode & 07777) == (S_IRUSR | S_IWUSR));
    CHECK(file.st_uid == geteuid());
    CHECK(file.st_nlink == 0);
    CHECK(fc_memory_reserve(fd, 0, 3 * page) == 0);
#ifndef FC_PORT_POSIX
    CHECK(ftruncate(fd, (off_t)page) < 0 && errno == EPERM);
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW) < 0 && errno == EPERM);
    fc_memory_discard(fd, page, page);
#endif
    CHECK(fstat(fd, &file) == 0 && file.st_size == (off_t)(3 * page));
    CHECK(fc_memory_reserve(fd, 3 * page, page) == 0);
    CHECK(fstat(fd, &file) == 0 && file.st_size == (off_t)(4 * page));
    close(fd);
}

static void
memory_far_from_the_start_costs_nothing_before(void)
{
    int fd = fc_memory_create();
    uint64_t far = UINT64_C(1) << 44;
    CHECK(fd >= 0);
#ifndef FC_PORT_POSIX
    CHECK(fc_memory_reserve(fd, far, page) == 0);
    unsigned char *a = fc_memory_map(fd, far, page, FC_MAP_SHARED);
    CHECK(a != NULL);
    a[0] = 1;
    fc_memory_discard(fd, far, page);
    CHECK(a[0] == 0);
    fc_memory_unmap(a, page);
#else
    (void)far;
#endif
    close(fd);
}

static void
memory_that_is_refused_is_an_error(void)
{
    int fd = fc_memory_create();
    struct rlimit before, none = {.rlim_cur = 0};
    getrlimit(RLIMIT_FSIZE, &before);
    none.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &none);
    int error = fc_memory_reserve(fd, 0, page);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_DFL);
    CHECK(error == EFBIG);
    CHECK(fc_memory_reserve(-1, 0, page) == EBADF);
    CHECK(fc_memory_map(-1, 0, page, FC_MAP_SHARED) == NULL);
    close(fd);
    /* No descriptor is left: the error says so. */
    getrlimit(RLIMIT_NOFILE, &before);
    none.rlim_cur = 3;
    none.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_NOFILE, &none);
    CHECK(fc_memory_create() == -EMFILE);
    struct fc_bell bell;
    CHECK(fc_bell_create(&bell) == EMFILE);
    setrlimit(RLIMIT_NOFILE, &before);
}

/* --- sleeping */

struct words {
    _Atomic(uint32_t) word, other;
};
static struct words *words;
static int words_fd;

static void
make_words(void)
{
    words_fd = fc_memory_create();
    CHECK(fc_memory_reserve(words_fd, 0, page) == 0);
    words = fc_memory_map(words_fd, 0, page, FC_MAP_SHARED);
    CHECK(words != NULL);
}

static void
drop_words(void)
{
    fc_memory_unmap(words, page);
    close(words_fd);
}

static void
sleep_until_it_changes(void *unused)
{
    (void)unused;
    uint32_t seen = 0;
    while (seen < 100) {
        while (atomic_load(&words->word) == seen) {
            fc_park_shared(&words->word, seen, FC_FOREVER);
        }
        seen = atomic_load(&words->word);
        atomic_store(&words->other, seen);
        fc_unpark_shared(&words->other, 1);
    }
}

static void
a_word_wakes_another_process(void)
{
    make_words();
    pid_t child = check_fork(sleep_until_it_changes, NULL);
    for (uint32_t i = 1; i <= 100; i++) {
        atomic_store(&words->word, i);
        fc_unpark_shared(&words->word, 1);
        while (atomic_load(&words->other) != i) {
            fc_park_shared(&words->other, i - 1, FC_FOREVER);
        }
    }
    CHECK(check_wait(child) == 0);
    drop_words();
}

static void
a_shared_sleep_ends_at_the_deadline(void)
{
    make_words();
    const int64_t delays[] = {0, 1, 1000000, 20000000};
    for (int i = 0; i < 4; i++) {
        int64_t start = fc_now_ns();
        while (fc_park_shared(&words->word, 0, start + delays[i])
               != FC_PARK_TIMED_OUT) {
        }
        CHECK(fc_now_ns() - start >= delays[i]);
    }
    CHECK(fc_park_shared(&words->word, 1, FC_FOREVER) == FC_PARK_WOKEN);
    drop_words();
}

/* --- the bell */

static void
ring_from_another_process(void *arg)
{
    struct fc_bell *bell = arg;
    CHECK(fc_bell_ring(bell->ring) == 0);
}

static void
a_bell_rings_until_it_is_silenced(void)
{
    struct fc_bell bell;
    CHECK(fc_bell_create(&bell) == 0);
    CHECK(!fc_process_ended(bell.listen)); /* readable? */
    for (int i = 0; i < 3; i++) {
        CHECK(check_wait(check_fork(ring_from_another_process, &bell)) == 0);
        CHECK(fc_process_ended(bell.listen));
    }
    fc_bell_silence(bell.listen);
    CHECK(!fc_process_ended(bell.listen));
    /* However often it is rung, nobody blocks. */
    for (int i = 0; i < 100000; i++) {
        if (fc_bell_ring(bell.ring) != 0) {
            CHECK(false);
            break;
        }
    }
    fc_bell_silence(bell.listen);
    CHECK(!fc_process_ended(bell.listen));
    int ring = bell.ring;
    fc_bell_close(&bell);
    CHECK(fc_bell_ring(ring) == EBADF);
    fc_bell_close(&bell);
}

/* --- death */

static void
sleep_for_long(void *unused)
{
    (void)unused;
    for (;;) {
        check_sleep_us(100000);
    }
}

static void
a_death_is_noticed(void)
{
    pid_t child = check_fork(sleep_for_long, NULL);
    CHECK(fc_process_exists(child));
    int watch = fc_process_watch(child);
#ifdef FC_PORT_POSIX
    CHECK(watch == -ENOSYS);
#else
    CHECK(watch >= 0);
    CHECK(!fc_process_ended(watch));
#endif
    kill(child, SIGKILL);
#ifndef FC_PORT_POSIX
    CHECK_SOON(fc_process_ended(watch));
    close(watch);
    CHECK(!fc_process_ended(watch)); /* closed by somebody: no news */
#endif
    CHECK(check_wait(child) == -SIGKILL);
    CHECK(!fc_process_exists(child));
    CHECK(fc_process_watch(child) < 0);
}

void
test_process(void)
{
    page = fc_memory_page();
    RUN(memory_is_shared_and_zero);
    RUN(memory_is_private_and_does_not_shrink);
    RUN(memory_far_from_the_start_costs_nothing_before);
    RUN(memory_that_is_refused_is_an_error);
    RUN(a_word_wakes_another_process);
    RUN(a_shared_sleep_ends_at_the_deadline);
    RUN(a_bell_rings_until_it_is_silenced);
    RUN(a_death_is_noticed);
}
