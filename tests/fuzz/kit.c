/* kit.c - see kit.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "kit.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "port/process.h"

/* Sizes that no memory can be had for are asked for: the answer is NULL. */
const char *__asan_default_options(void);
const char *
__asan_default_options(void)
{
    return "allocator_may_return_null=1:max_allocation_size_mb=256";
}

/* --- the input ---------------------------------------------------------------- */

uint64_t
fuzz_number(struct fuzz_input *in, unsigned bytes)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < bytes && in->at < in->end; i++) {
        number |= (uint64_t)*in->at++ << 8 * i;
    }
    return number;
}

static volatile unsigned sum;

void
fuzz_look_at(const unsigned char *bytes, uint64_t size)
{
    for (uint64_t i = 0; i < size; i++) {
        sum += bytes[i];
    }
}

/* --- the segment ---------------------------------------------------------------- */

struct fc_segment *fuzz_segment;
bool fuzz_no_memory;
void (*fuzz_would_sleep)(void);

static int file = -1; /* of blocks; one for all runs */

/* Zeros, as large as asked, and aligned as in a file.  Kept for the next run,
 * which asks for the same. */
static void *
new_part(enum fuzz_part which, uint64_t size)
{
    static void *parts[FUZZ_PARTS];
    void **part = &parts[which];
    if (*part == NULL) {
        MUST(posix_memalign(part, FC_LINE, size) == 0);
    }
    memset(*part, 0, size);
    return *part;
}

int
__wrap_fc_segment_create(struct fc_segment *s, const struct fc_geometry *g);
int
__wrap_fc_segment_create(struct fc_segment *s, const struct fc_geometry *g)
{
    MUST(fuzz_segment == NULL && fc_geometry_valid(g));
    memset(s, 0, sizeof(*s));
    s->geometry = *g;
    s->layout = fc_geometry_layout(g);
    fuzz_segment = s;
    void *parts[FUZZ_PARTS];
    for (int part = 0; part < FUZZ_PARTS; part++) {
        uint64_t size;
        (void)fuzz_part((enum fuzz_part)part, &size);
        parts[part] = new_part((enum fuzz_part)part, size);
    }
    s->header = parts[FUZZ_HEADER];
    s->seats = parts[FUZZ_SEATS];
    s->functions = parts[FUZZ_FUNCTIONS];
    s->slots = parts[FUZZ_SLOTS];
    s->ring = parts[FUZZ_RING];
    s->streams = parts[FUZZ_STREAMS];
    s->arena = parts[FUZZ_ARENA];
    if (file < 0) {
        /* Not fc_memory_create()'s, which cannot be made shorter again. */
        file = memfd_create("fuzz", MFD_CLOEXEC);
        MUST(file >= 0);
    }
    struct stat known;
    MUST(ftruncate(file, 0) == 0);
    MUST(ftruncate(file, (off_t)s->layout.size) == 0);
    MUST(fstat(file, &known) == 0);
    s->fd = file;
    s->device = (uint64_t)known.st_dev;
    s->inode = (uint64_t)known.st_ino;
    return 0;
}

void __wrap_fc_segment_detach(struct fc_segment *s);
void
__wrap_fc_segment_detach(struct fc_segment *s)
{
    fuzz_calm();
    memset(s, 0, sizeof(*s));
    fuzz_segment = NULL;
}

/* The parts are there; of the file, only what is for blocks is needed. */
int __real_fc_memory_reserve(int fd, uint64_t offset, uint64_t size);
int __wrap_fc_memory_reserve(int fd, uint64_t offset, uint64_t size);
int
__wrap_fc_memory_reserve(int fd, uint64_t offset, uint64_t size)
{
    if (offset < FC_WINDOW) {
        return 0;
    }
    return fuzz_no_memory ? ENOSPC
                          : __real_fc_memory_reserve(fd, offset, size);
}

enum fc_park_result __wrap_fc_park_shared(_Atomic(uint32_t) *word,
                                          uint32_t expected,
                                          int64_t deadline_ns);
enum fc_park_result
__wrap_fc_park_shared(_Atomic(uint32_t) *word, uint32_t expected,
                      int64_t deadline_ns)
{
    (void)word, (void)expected, (void)deadline_ns;
    if (fuzz_would_sleep != NULL) {
        fuzz_would_sleep();
    }
    return FC_PARK_WOKEN;
}

void __wrap_fc_unpark_shared(_Atomic(uint32_t) *word, uint32_t count);
void
__wrap_fc_unpark_shared(_Atomic(uint32_t) *word, uint32_t count)
{
    (void)word, (void)count;
}

int __wrap_fc_bell_ring(int ring);
int
__wrap_fc_bell_ring(int ring)
{
    (void)ring;
    return 0;
}

unsigned char *
fuzz_part(enum fuzz_part part, uint64_t *size)
{
    const struct fc_segment *s = fuzz_segment;
    const struct fc_geometry *g = &s->geometry;
    void *const at[FUZZ_PARTS] = {s->header, s->seats,   s->functions,
                                  s->slots,  s->ring,    s->streams,
                                  s->arena};
    const uint64_t sizes[FUZZ_PARTS] = {
        sizeof(struct fc_header),
        g->seats * sizeof(struct fc_seat),
        FC_FUNCTIONS_MAX * sizeof(struct fc_function_entry),
        g->slots * sizeof(struct fc_slot),
        g->slots * sizeof(uint64_t),
        (uint64_t)g->seats * 2 * g->stream,
        g->arena,
    };
    *size = sizes[part];
    return at[part];
}

/* A place and how many bytes: whole words mostly, for those are what is
 * read. */
static void
write_at(unsigned char *base, uint64_t size, uint64_t at, unsigned width,
         uint64_t value)
{
    width = 1u << (width & 3);
    at = at % size / width * width;
    memcpy(base + at, &value, width);
}

void
fuzz_scribble(struct fuzz_input *in)
{
    uint8_t where = fuzz_byte(in);
    uint64_t size;
    unsigned char *base =
        fuzz_part((enum fuzz_part)(where % FUZZ_PARTS), &size);
    unsigned width = where / FUZZ_PARTS;
    uint64_t at = fuzz_short(in);
    write_at(base, size, at, width, fuzz_number(in, 1u << (width & 3)));
}

/* --- the intruder --------------------------------------------------------------- */

/* He writes at most so often in one call: a reader that begins again as long
 * as a word changes comes to an end. */
#define WRITES 40

/* Words that were read in this call, and may be read again. */
#define WORDS 256

static struct {
    bool awake;
    bool on_second;    /* whenever a word is read for the second time */
    uint32_t countdown; /* else so many loads from now on; 0: never */
    uint64_t value;
    uint8_t how; /* the value takes its place, or is added, or ... */
    unsigned writes;
    unsigned char *memory; /* of fuzz_share() */
    uint64_t memory_size;
    unsigned words;
    const unsigned char *read[WORDS];
} intruder;

void
fuzz_share(void *memory, uint64_t size)
{
    intruder.memory = memory;
    intruder.memory_size = size;
}

void
fuzz_intrude(struct fuzz_input *in)
{
    uint8_t how = fuzz_byte(in);
    intruder.on_second = how & 1;
    intruder.how = how >> 1;
    intruder.countdown = fuzz_byte(in);
    intruder.value = fuzz_number(in, 1u << (how >> 4 & 3));
    intruder.awake = true;
    fuzz_call();
}

void
fuzz_call(void)
{
    intruder.writes = 0;
    intruder.words = 0;
}

void
fuzz_calm(void)
{
    intruder.awake = false;
}

static bool
is_in(const unsigned char *at, const unsigned char *base, uint64_t size)
{
    return base != NULL && at >= base && at < base + size;
}

static bool
is_shared(const unsigned char *at)
{
    if (is_in(at, intruder.memory, intruder.memory_size)) {
        return true;
    }
    for (int part = 0; fuzz_segment != NULL && part < FUZZ_PARTS; part++) {
        uint64_t size;
        const unsigned char *base = fuzz_part((enum fuzz_part)part, &size);
        if (is_in(at, base, size)) {
            return true;
        }
    }
    return false;
}

/* Whether it was read before; it has been from now on. */
static bool
is_second(const unsigned char *at)
{
    for (unsigned i = 0; i < intruder.words; i++) {
        if (intruder.read[i] == at) {
            return true;
        }
    }
    if (intruder.words < WORDS) {
        intruder.read[intruder.words++] = at;
    }
    return false;
}

static void
change(unsigned char *at, size_t size)
{
    size_t width = size < 8 ? size : 8;
    uint64_t word = 0;
    memcpy(&word, at, width);
    switch (intruder.how & 3) {
    case 0:
        word = intruder.value;
        break;
    case 1:
        word += intruder.value;
        break;
    case 2:
        word ^= intruder.value;
        break;
    default:
        word = UINT64_MAX - intruder.value;
    }
    memcpy(at, &word, width);
    intruder.writes++;
}

/* These bytes are going to be read. */
static void
before_load(const void *address, size_t size)
{
    unsigned char *at = (unsigned char *)(uintptr_t)address;
    if (!intruder.awake || !is_shared(at)) {
        return;
    }
    bool second = is_second(at);
    bool now = intruder.countdown > 0 && --intruder.countdown == 0;
    if (intruder.writes < WRITES && (now || (intruder.on_second && second))) {
        change(at, size);
    }
}

void __sanitizer_cov_load1(uint8_t *at);
void __sanitizer_cov_load2(uint16_t *at);
void __sanitizer_cov_load4(uint32_t *at);
void __sanitizer_cov_load8(uint64_t *at);
void __sanitizer_cov_load16(void *at);

void
__sanitizer_cov_load1(uint8_t *at)
{
    before_load(at, 1);
}

void
__sanitizer_cov_load2(uint16_t *at)
{
    before_load(at, 2);
}

void
__sanitizer_cov_load4(uint32_t *at)
{
    before_load(at, 4);
}

void
__sanitizer_cov_load8(uint64_t *at)
{
    before_load(at, 8);
}

void
__sanitizer_cov_load16(void *at)
{
    before_load(at, 16);
}

/* What src/ipc calls memcpy() here. */
void *fuzz_memcpy(void *restrict to, const void *restrict from, size_t size);
void *
fuzz_memcpy(void *restrict to, const void *restrict from, size_t size)
{
    if (size > 0) {
        before_load(from, size);
    }
    return memcpy(to, from, size);
}
