"""Faults in src/core/group.c."""

from __future__ import annotations

from mutation import ASLEEP, FREED, Mutation

GROUP = [
    Mutation(
        "group-gives-up-blindly",
        "core/group.c",
        [
            (
                "    seen = SLEEPING;\n"
                "    if (!atomic_compare_exchange_strong_explicit(\n"
                "            &g->state, &seen, OPEN, memory_order_acq_rel,\n"
                "            memory_order_acquire)) {",
                "    atomic_store(&g->state, OPEN);\n    if (false) {",
            )
        ],
        "group/",
        ASLEEP,
    ),
    Mutation(
        "group-sleeps-unchecked",
        "core/group.c",
        [
            (
                "    uint32_t seen = OPEN;\n"
                "    if (!atomic_compare_exchange_strong_explicit(\n"
                "            &g->state, &seen, SLEEPING, memory_order_acq_rel,\n"
                "            memory_order_acquire)) {",
                "    uint32_t seen;\n    atomic_store(&g->state, SLEEPING);\n"
                "    if (false) {",
            )
        ],
        "group/",
        ASLEEP,
    ),
    Mutation(
        "group-fires-and-does-not-tell",
        "core/group.c",
        [
            (
                "                                    memory_order_acq_rel) ==\n"
                "           SLEEPING; /* G2 */",
                "                                    memory_order_acq_rel) ==\n"
                "           SLEEPING && false;",
            )
        ],
        "group/one",
        ASLEEP,
    ),
    Mutation(
        "group-fire-not-atomic",
        "core/group.c",
        [
            (
                "    return atomic_exchange_explicit(&g->state, FIRED,\n"
                "                                    memory_order_acq_rel) ==\n"
                "           SLEEPING; /* G2 */",
                "    uint32_t seen = atomic_load(&g->state);\n"
                "    atomic_store(&g->state, FIRED);\n"
                "    return seen == SLEEPING;",
            )
        ],
        "group/one",
        ASLEEP,
    ),
    Mutation(
        "group-fires-one-early",
        "core/group.c",
        [
            (
                "memory_order_acq_rel) != 1) { /* G1 */",
                "memory_order_acq_rel) > 2) { /* G1 */",
            )
        ],
        "group/two",
        "data",
    ),
    Mutation(
        "group-count-not-atomic",
        "core/group.c",
        [
            (
                "    if (atomic_fetch_sub_explicit(&g->remaining, 1,\n"
                "                                  memory_order_acq_rel) != 1) {",
                "    uint64_t left = atomic_load(&g->remaining);\n"
                "    atomic_store(&g->remaining, left - 1);\n"
                "    if (left != 1) {",
            )
        ],
        "group/two",
        ASLEEP,
    ),
    Mutation(
        "group-freed-before-the-last",
        "core/group.c",
        [
            (
                "memory_order_acq_rel) == 1) { /* G3 */",
                "memory_order_acq_rel) == 2) { /* G3 */",
            )
        ],
        "group/",
        FREED,
    ),
    Mutation(
        "group-references-not-atomic",
        "core/group.c",
        [
            (
                "    if (atomic_fetch_sub_explicit(&g->references, 1,\n"
                "                                  memory_order_acq_rel) == 1) {",
                "    uint32_t left = atomic_load(&g->references);\n"
                "    atomic_store(&g->references, left - 1);\n"
                "    if (left == 1) {",
            )
        ],
        "group/",
        FREED,
    ),
    Mutation(
        "group-rearms-the-count-first",
        "core/group.c",
        [
            (
                "    atomic_exchange_explicit(&g->state, OPEN, "
                "memory_order_acq_rel);\n"
                "    atomic_exchange_explicit(&g->remaining, target, "
                "memory_order_acq_rel);\n",
                "    atomic_exchange_explicit(&g->remaining, target, "
                "memory_order_acq_rel);\n"
                "    atomic_exchange_explicit(&g->state, OPEN, "
                "memory_order_acq_rel);\n",
            )
        ],
        "group/one-by-one",
        ASLEEP,
    ),
    Mutation(
        "group-trusts-the-wake",
        "core/group.c",
        [
            (
                "        parked = fc_park(&g->state, SLEEPING, deadline_ns);\n"
                "        if (fc_group_fired(g)) { /* G2 */",
                "        parked = fc_park(&g->state, SLEEPING, deadline_ns);\n"
                "        if (parked != FC_PARK_TIMED_OUT) {",
            )
        ],
        "group/",
        "fc_group_fired",
    ),
    Mutation(
        "bed-not-held",
        "core/group.c",
        [("        bed->hold(bed);\n", "")],
        "bed/",
        FREED,
    ),
    Mutation(
        "bed-not-dropped",
        "core/group.c",
        [("            bed->drop(bed);\n", "")],
        "bed/",
        "not freed",
    ),
    Mutation(
        "bed-woken-alone",
        "core/group.c",
        [("        bed->wake(bed);\n", "        bed->wake(bed);\n        return;\n")],
        "bed/",
        ASLEEP,
    ),
    Mutation(
        "bed-not-woken",
        "core/group.c",
        [("        bed->wake(bed);\n", "")],
        "bed/",
        ASLEEP,
    ),
    Mutation(
        "bed-left-blindly",
        "core/group.c",
        [
            (
                "    uint32_t seen = SLEEPING;\n"
                "    return atomic_compare_exchange_strong_explicit(\n"
                "        &g->state, &seen, OPEN, memory_order_acq_rel,\n"
                "        memory_order_acquire); /* G2 */",
                "    atomic_store(&g->state, OPEN);\n    return true;",
            )
        ],
        "bed/",
        ASLEEP,
    ),
]
