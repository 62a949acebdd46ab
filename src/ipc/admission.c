/* admission.c - see admission.h. */
#include "ipc/admission.h"

#include <errno.h>

#define ADMITTED UINT32_C(1)

static uint32_t
offered(uint32_t start)
{
    return start << 1;
}

static void
tell(struct fc_segment *s, uint32_t seat, uint32_t word)
{
    /* Relaxed, here and below: see the head of admission.h. */
    atomic_store_explicit(&s->seats[seat].start, word, memory_order_relaxed);
    fc_unpark_shared(&s->seats[seat].start, UINT32_MAX);
}

void
fc_admission_offer(struct fc_segment *s, uint32_t seat, uint32_t start)
{
    atomic_store_explicit(&s->seats[seat].start, offered(start),
                          memory_order_relaxed);
}

void
fc_admission_admit(struct fc_segment *s, uint32_t seat, uint32_t start)
{
    tell(s, seat, offered(start) | ADMITTED);
}

void
fc_admission_close(struct fc_segment *s, uint32_t seat)
{
    tell(s, seat, 0);
}

int
fc_admission_await(struct fc_segment *s, uint32_t seat, uint32_t start,
                   int64_t deadline_ns)
{
    _Atomic(uint32_t) *word = &s->seats[seat].start;
    for (;;) {
        uint32_t now = atomic_load_explicit(word, memory_order_relaxed);
        if (now == (offered(start) | ADMITTED)) {
            return 0;
        }
        if (now != offered(start)) {
            return ECANCELED;
        }
        switch (fc_park_shared(word, now, deadline_ns)) {
        case FC_PARK_TIMED_OUT:
            return ETIMEDOUT;
        case FC_PARK_INTERRUPTED:
            return EINTR;
        default:
            break;
        }
    }
}
