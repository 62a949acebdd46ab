/* kit.h - what the fuzz targets share: an input that is read as a program, a
 * segment in pieces, and somebody who writes into it while it is read.
 *
 * The segment.  Each of its parts (slots, ring, streams, ...) is memory of its
 * own from malloc(), as large as the layout says: AddressSanitizer then sees an
 * access that leaves its part, which in one mapping would hit the next one.
 *
 * The intruder.  The sources of src/ipc are compiled with -fsanitize-coverage=
 * trace-loads and with memcpy() replaced: each load from the segment comes
 * through here before it is made.  So the input decides what a word has become
 * when it is read, and when it is read for the second time within one call,
 * without a second thread and so that a run can be repeated.  (Built by gcc,
 * which has no such calls, only what is copied is seen.)
 */
#ifndef FUZZ_KIT_H
#define FUZZ_KIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "ipc/segment.h"

/* The entry of each target; libFuzzer's name for it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold whatever the segment says. */
#define MUST(condition)                                                   \
    ((condition) ? (void)0                                                \
                 : (fprintf(stderr, "%s:%d: does not hold: %s\n",         \
                            __FILE__, __LINE__, #condition),              \
                    abort()))

/* Read all of it, so that the sanitizer sees whether it is there. */
void fuzz_look_at(const unsigned char *bytes, uint64_t size);

/* --- the input; behind its end there are zeros ----------------------------- */

struct fuzz_input {
    const uint8_t *at, *end;
};

static inline struct fuzz_input
fuzz_input_of(const uint8_t *data, size_t size)
{
    return (struct fuzz_input){data, data + size};
}

uint64_t fuzz_number(struct fuzz_input *in, unsigned bytes);
static inline uint8_t
fuzz_byte(struct fuzz_input *in)
{
    return (uint8_t)fuzz_number(in, 1);
}
static inline uint16_t
fuzz_short(struct fuzz_input *in)
{
    return (uint16_t)fuzz_number(in, 2);
}

/* --- the segment ------------------------------------------------------------- */

/* Made by fc_segment_create(), which the linker leads here, and gone with
 * fc_segment_detach().  There is one at a time, of one geometry. */
extern struct fc_segment *fuzz_segment;

/* The system refuses memory for blocks. */
extern bool fuzz_no_memory;

/* Called where somebody would sleep: there is no other thread to wake him. */
extern void (*fuzz_would_sleep)(void);

/* The parts of a segment that somebody may write to. */
enum fuzz_part {
    FUZZ_HEADER,
    FUZZ_SEATS,
    FUZZ_FUNCTIONS,
    FUZZ_SLOTS,
    FUZZ_RING,
    FUZZ_STREAMS,
    FUZZ_ARENA,
    FUZZ_PARTS,
};
unsigned char *fuzz_part(enum fuzz_part part, uint64_t *size);

/* Write somewhere what the input says. */
void fuzz_scribble(struct fuzz_input *in);

/* --- the intruder -------------------------------------------------------------- */

/* Have the input say when and what he is going to write: see kit.c. */
void fuzz_intrude(struct fuzz_input *in);

/* Memory that is not in the segment and shared nevertheless; NULL: none. */
void fuzz_share(void *memory, uint64_t size);

/* A call of the code under test begins: no word was read yet. */
void fuzz_call(void);

/* He writes nothing more. */
void fuzz_calm(void);

#endif /* FUZZ_KIT_H */
