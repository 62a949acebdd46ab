/* hazard.c - the list of hazard records.
 *
 * Hazard pointers are Maged Michael's ("Hazard Pointers: Safe Memory
 * Reclamation for Lock-Free Objects", IEEE TPDS 15(6), 2004).
 *
 * Edges (each label stands at both ends in the code):
 *
 *     H1  claimed: the release by a record's last owner -> the claim by its
 *         next one.  The emptied slots are seen before the new owner's.
 *     H2  records: adding a record (release, part of a seq_cst exchange) ->
 *         walking the list (seq_cst load).  `next` and the slots are
 *         initialized.
 *     H3  slots: seq_cst, see queue.c: publication -> scan.
 *     H4  slots: overwriting or emptying a slot (release) -> a scan that
 *         reads the new value (acquire).  The owner's last access to what it
 *         had published comes before the scanner frees it.
 */
#include "core/hazard.h"

#include <stdlib.h>

FC_THREAD_LOCAL struct fc_hazard *fc_hazard_own;

/* Never in anybody's hands but between borrow and return, and always in the
 * list: its end. */
static struct fc_hazard spares[FC_HAZARD_SPARES] = {
    {.next = &spares[1]},
    {.next = &spares[2]},
    {.next = &spares[3]},
    {.next = NULL},
};
_Static_assert(FC_HAZARD_SPARES == 4, "the initializer above links four");

static _Atomic(struct fc_hazard *) records = &spares[0];

static bool
try_claim(struct fc_hazard *record)
{
    return !atomic_load_explicit(&record->claimed, memory_order_relaxed) &&
           !atomic_exchange_explicit(&record->claimed, true,
                                     memory_order_acquire); /* H1 */
}

static void
empty_slots(struct fc_hazard *record)
{
    for (int role = 0; role < FC_HAZARD_ROLES; role++) {
        atomic_store_explicit(&record->slots[role], NULL,
                              memory_order_release); /* H4 */
    }
}

static void
release(struct fc_hazard *record)
{
    empty_slots(record);
    atomic_store_explicit(&record->claimed, false,
                          memory_order_release); /* H1 */
}

static void
release_at_exit(void *record)
{
    fc_hazard_own = NULL;
    release(record);
}

static struct fc_hazard *
claim_used(void)
{
    struct fc_hazard *record = atomic_load(&records); /* H2 */
    while (record != &spares[0]) {
        if (try_claim(record)) {
            return record;
        }
        record = record->next;
    }
    return NULL;
}

static struct fc_hazard *
claim_new(void)
{
    struct fc_hazard *record =
        aligned_alloc(FC_CACHE_LINE, sizeof(struct fc_hazard));
    if (record == NULL) {
        return NULL;
    }
    for (int role = 0; role < FC_HAZARD_ROLES; role++) {
        atomic_init(&record->slots[role], NULL);
    }
    atomic_init(&record->claimed, true);
    record->next = atomic_load_explicit(&records, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(&records, &record->next,
                                         record)) { /* H2 */
    }
    return record;
}

struct fc_hazard *
fc_hazard_claim(void)
{
    struct fc_hazard *record = claim_used();
    if (record == NULL) {
        record = claim_new();
    }
    if (record == NULL) {
        return NULL;
    }
    if (fc_at_thread_exit(release_at_exit, record) < 0) {
        release(record);
        return NULL;
    }
    fc_hazard_own = record;
    return record;
}

struct fc_hazard *
fc_hazard_borrow(void)
{
    for (;;) {
        for (int i = 0; i < FC_HAZARD_SPARES; i++) {
            if (try_claim(&spares[i])) {
                return &spares[i];
            }
        }
        fc_pause();
    }
}

void
fc_hazard_return(struct fc_hazard *record)
{
    release(record);
}

void
fc_hazard_quiesce(void)
{
    if (fc_hazard_own != NULL) {
        empty_slots(fc_hazard_own);
    }
}

bool
fc_hazard_holds(const void *address)
{
    struct fc_hazard *record = atomic_load(&records); /* H2 */
    for (; record != NULL; record = record->next) {
        for (int role = 0; role < FC_HAZARD_ROLES; role++) {
            if (atomic_load(&record->slots[role]) == address) { /* H3 H4 */
                return true;
            }
        }
    }
    return false;
}

void
fc_hazard_after_fork(void)
{
    struct fc_hazard *record = atomic_load(&records);
    for (; record != NULL; record = record->next) {
        if (record != fc_hazard_own) {
            release(record);
        }
    }
}
