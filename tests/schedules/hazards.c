/* hazards.c - core/hazard.c, with a way to begin anew: its list of records is
 * the one thing in src/core that lives as long as the process.
 */
#include "core/hazard.c"

#include "park.h"
#include "scheduler.h"

void
memory_forget_hazards(void)
{
    struct fc_hazard *record = *(struct fc_hazard **)&records;
    while (record != &spares[0]) {
        struct fc_hazard *next = record->next;
        free(record);
        record = next;
    }
    atomic_init(&records, &spares[0]);
    for (int i = 0; i < FC_HAZARD_SPARES; i++) {
        atomic_init(&spares[i].claimed, false);
        for (int role = 0; role < FC_HAZARD_ROLES; role++) {
            atomic_init(&spares[i].slots[role], NULL);
        }
    }
}
