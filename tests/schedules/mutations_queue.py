"""Faults in src/core/queue.c and hazard.c."""

from __future__ import annotations

from mutation import FREED, LOST, TWICE, Mutation

QUEUE = [
    Mutation(
        "queue-no-taken-mark",
        "core/queue.c",
        [
            (
                "item = atomic_exchange_explicit(cell, TAKEN,\n"
                "                                        memory_order_acquire);",
                "item = atomic_load_explicit(cell, memory_order_acquire);",
            )
        ],
        "queue/one-each",
        LOST,
    ),
    Mutation(
        "queue-blind-store",
        "core/queue.c",
        [
            (
                "if (atomic_compare_exchange_strong_explicit(\n"
                "                    &seg->cells[ticket], &empty, item, "
                "memory_order_release,\n"
                "                    memory_order_relaxed)) {",
                "(void)empty;\n            atomic_store(&seg->cells[ticket], item); {",
            )
        ],
        "queue/one-each",
        LOST,
    ),
    Mutation(
        "queue-pushes-before-pops",
        "core/queue.c",
        [
            (
                "uint64_t pops = atomic_load(&seg->pops);              /* Q6 */\n"
                "        if (pops >= atomic_load(&seg->pushes) &&",
                "uint64_t pushes = atomic_load(&seg->pushes);\n"
                "        uint64_t pops = atomic_load(&seg->pops);\n"
                "        if (pops >= pushes &&",
            )
        ],
        "queue/one-left",
        "empty_handed",
        cells=2,
    ),
    Mutation(
        "queue-next-unseen",
        "core/queue.c",
        [
            (
                "if (pops >= atomic_load(&seg->pushes) &&              /* Q6 */\n"
                "            atomic_load(&seg->next) == NULL) {",
                "if (pops >= atomic_load(&seg->pushes)) {",
            )
        ],
        "queue/two-consumers",
        "empty|" + LOST,
    ),
    Mutation(
        "queue-gives-up-with-its-cell",
        "core/queue.c",
        [
            (
                "if (item != NULL) {\n                    return item;\n"
                "                }\n                continue;",
                "return item;",
            )
        ],
        "queue/own-one",
        "empty_handed",
        cells=2,
    ),
    Mutation(
        "queue-ticket-not-atomic",
        "core/queue.c",
        [
            (
                "uint64_t ticket = atomic_fetch_add(&seg->pops, 1); /* Q6 */",
                "uint64_t ticket = pops;\n"
                "            atomic_store(&seg->pops, ticket + 1);",
            )
        ],
        "queue/",
        TWICE,
    ),
    Mutation(
        "queue-push-ticket-not-atomic",
        "core/queue.c",
        [
            (
                "uint64_t ticket = atomic_fetch_add(&seg->pushes, 1); /* Q6 */",
                "uint64_t ticket = atomic_load(&seg->pushes);\n"
                "        atomic_store(&seg->pushes, ticket + 1);",
            )
        ],
        "queue/own-two",
        "empty|" + LOST,
        cells=2,
    ),
    Mutation(
        "queue-frees-unlooked",
        "core/queue.c",
        [("if (!fc_hazard_holds(seg)) {", "if (fc_hazard_holds(NULL)) {")],
        "queue/",
        FREED,
    ),
    Mutation(
        "queue-publishes-unchecked",
        "core/queue.c",
        [
            (
                "        seg = atomic_load(source);               /* Q2 Q3(b) */\n",
                "        break;\n",
            )
        ],
        "queue/",
        FREED,
    ),
    Mutation(
        "queue-publishes-late",
        "core/queue.c",
        [
            (
                "atomic_store(&hazard->slots[role], seg); /* Q3(a) */",
                "atomic_store_explicit(&hazard->slots[role], seg,\n"
                "                              memory_order_release);",
            )
        ],
        "queue/",
        FREED,
    ),
    Mutation(
        "queue-retires-twice",
        "core/queue.c",
        [
            (
                "next)) { /* Q2 Q3(c) */\n        return;\n    }",
                "next)) { /* Q2 Q3(c) */\n    }",
            )
        ],
        "queue/",
        FREED,
    ),
    Mutation(
        "queue-retires-what-is-head",
        "core/queue.c",
        [
            (
                "    struct fc_segment *expected = seg;\n",
                "    struct fc_segment *expected = seg;\n"
                "    if (atomic_load(&q->head) == seg) {\n"
                "        push_retired(q, seg, seg);\n"
                "        reclaim(q);\n"
                "    }\n",
            )
        ],
        "queue/",
        FREED,
    ),
    Mutation(
        "queue-forgets-what-it-keeps",
        "core/queue.c",
        [("if (first_kept != NULL) {", "if (first_kept != NULL && false) {")],
        "queue/",
        "not freed",
    ),
    Mutation(
        "queue-appends-blindly",
        "core/queue.c",
        [
            (
                "if (atomic_compare_exchange_strong(&seg->next, &next,\n"
                "                                           fresh)) {",
                "atomic_store(&seg->next, fresh);\n        if (next == NULL) {",
            )
        ],
        "queue/two-producers",
        LOST + "|not freed|" + FREED,
    ),
    Mutation(
        "queue-empty-counts-tickets",
        "core/queue.c",
        [
            (
                "uint64_t filled = pushes < seg->size ? pushes : seg->size;",
                "uint64_t filled = pushes;",
            )
        ],
        "queue/without-memory",
        "fc_queue_is_empty",
    ),
    Mutation(
        "queue-empty-without-next",
        "core/queue.c",
        [
            (
                "return pops >= filled && atomic_load(&seg->next) == NULL;",
                "return pops >= filled;",
            )
        ],
        "queue/never-empty",
        "was_empty",
    ),
    Mutation(
        "queue-empty-pushes-first",
        "core/queue.c",
        [
            (
                "    uint64_t pops = atomic_load(&seg->pops);     /* Q6 */\n"
                "    uint64_t pushes = atomic_load(&seg->pushes); /* Q6 */\n",
                "    uint64_t pushes = atomic_load(&seg->pushes);\n"
                "    uint64_t pops = atomic_load(&seg->pops);\n",
            )
        ],
        "queue/never-empty",
        "was_empty",
        cells=2,
    ),
]

HAZARD = [
    Mutation(
        "hazard-looks-at-one-role",
        "core/hazard.c",
        [
            (
                "for (int role = 0; role < FC_HAZARD_ROLES; role++) {\n"
                "            if (",
                "for (int role = 1; role < FC_HAZARD_ROLES; role++) {\n"
                "            if (",
            )
        ],
        "queue/",
        FREED,
    ),
    Mutation(
        "hazard-claim-not-atomic",
        "core/hazard.c",
        [
            (
                "!atomic_exchange_explicit(&record->claimed, true,\n"
                "                                     memory_order_acquire);",
                "(atomic_store(&record->claimed, true), true);",
            )
        ],
        "hazard/",
        "owners",
    ),
    Mutation(
        "hazard-free-before-empty",
        "core/hazard.c",
        [
            (
                "    empty_slots(record);\n    atomic_store_explicit("
                "&record->claimed, false,\n"
                "                          memory_order_release); /* H1 */\n",
                "    atomic_store_explicit(&record->claimed, false,\n"
                "                          memory_order_release);\n"
                "    empty_slots(record);\n",
            )
        ],
        "hazard/",
        "fc_hazard_holds",
    ),
    Mutation(
        "hazard-record-not-listed",
        "core/hazard.c",
        [
            (
                "while (!atomic_compare_exchange_weak(&records, &record->next,\n"
                "                                         record)) { /* H2 */\n"
                "    }",
                "atomic_store(&records, record);",
            )
        ],
        "hazard/",
        "fc_hazard_holds|not freed",
    ),
]
