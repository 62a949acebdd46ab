"""Faults in src/core/lifosem.c, table.c and lock.c."""

from __future__ import annotations

from mutation import ASLEEP, Mutation

SLEEP = [
    Mutation(
        "lifosem-no-permit",
        "core/lifosem.c",
        [("posted = word | PERMITS | 1;", "posted = word;")],
        "lifosem/",
        ASLEEP,
    ),
    Mutation(
        "lifosem-signals-and-does-not-wake",
        "core/lifosem.c",
        [("        fc_unpark(signal, 1);\n", "")],
        "lifosem/",
        ASLEEP,
    ),
    Mutation(
        "lifosem-sleeps-unchecked",
        "core/lifosem.c",
        [
            (
                "    if (atomic_exchange_explicit(&self->signal, ASLEEP,\n"
                "                                 memory_order_acq_rel) ==\n"
                "        SIGNALLED) {",
                "    atomic_store(&self->signal, ASLEEP);\n    if (false) {",
            )
        ],
        "lifosem/",
        ASLEEP,
    ),
    Mutation(
        "lifosem-awake-too-late",
        "core/lifosem.c",
        [
            (
                "    atomic_store_explicit(&self->signal, AWAKE, "
                "memory_order_relaxed);\n",
                "",
            ),
            (
                "        return;\n    }\n"
                "    if (atomic_exchange_explicit(&self->signal, ASLEEP,",
                "        return;\n    }\n"
                "    atomic_store_explicit(&self->signal, AWAKE, "
                "memory_order_relaxed);\n"
                "    if (atomic_exchange_explicit(&self->signal, ASLEEP,",
            ),
        ],
        "lifosem/",
        ASLEEP,
    ),
    Mutation(
        "lifosem-trusts-the-wake",
        "core/lifosem.c",
        [
            (
                "    while (atomic_load_explicit(&self->signal",
                "    if (atomic_load_explicit(&self->signal",
            )
        ],
        "lifosem/for-nothing",
        ".",
    ),
    Mutation(
        "lifosem-keeps-a-permit",
        "core/lifosem.c",
        [
            (
                "(word & LOW) == (PERMITS | 1) ? word & ~LOW : word - 1",
                "(word & LOW) == (PERMITS | 1) ? word : word - 1",
            )
        ],
        "lifosem/",
        ".",
    ),
    Mutation(
        "lifosem-forgets-the-others",
        "core/lifosem.c",
        [
            (
                "            posted = (word & ~LOW) |\n"
                "                     atomic_load_explicit(&sleeper->node.next,\n"
                "                                          memory_order_relaxed);",
                "            posted = word & ~LOW;",
            )
        ],
        "lifosem/",
        ASLEEP,
    ),
    Mutation(
        "lifosem-no-tag",
        "core/table.h",
        [("((head >> 32) + 1) << 32", "(head >> 32) << 32")],
        "lifosem/",
        ".",
    ),
    Mutation(
        "table-no-tag",
        "core/table.h",
        [("((head >> 32) + 1) << 32", "(head >> 32) << 32")],
        "table/",
        "owner|count",
    ),
    Mutation(
        "table-takes-blindly",
        "core/table.c",
        [
            (
                "        if (atomic_compare_exchange_weak_explicit(\n"
                "                &t->free, &head, (head >> 32) << 32 | next,\n"
                "                memory_order_acquire, memory_order_acquire)) {",
                "        atomic_store(&t->free, (head >> 32) << 32 | next); {",
            )
        ],
        "table/",
        "owner|count",
    ),
    Mutation(
        "table-number-twice",
        "core/table.c",
        [
            (
                "} while (!atomic_compare_exchange_weak_explicit(\n"
                "        &t->used, &number, number + 1, memory_order_acq_rel,\n"
                "        memory_order_acquire));",
                "} while (atomic_store(&t->used, number + 1), false);",
            )
        ],
        "table/",
        "owner|count",
    ),
    Mutation(
        "table-chunk-replaced",
        "core/table.c",
        [
            (
                "    if (!atomic_compare_exchange_strong_explicit(\n"
                "            &t->chunks[chunk], &expected, fresh, "
                "memory_order_acq_rel,\n"
                "            memory_order_acquire)) {",
                "    atomic_store(&t->chunks[chunk], fresh);\n"
                "    if (expected != NULL) {",
            )
        ],
        "table/",
        ".",
    ),
    Mutation(
        "lock-contention-untold",
        "core/lock.c",
        [
            (
                "&lock->word, FC_LOCK_CONTENDED,\n                                    "
                "memory_order_acquire)",
                "&lock->word, FC_LOCK_HELD,\n                                    "
                "memory_order_acquire)",
            ),
            (
                "fc_park_deaf(&lock->word, FC_LOCK_CONTENDED);",
                "fc_park_deaf(&lock->word, FC_LOCK_HELD);",
            ),
        ],
        "lock/",
        ASLEEP,
    ),
    Mutation(
        "lock-woken-takes-it-as-held",
        "core/lock.c",
        [
            (
                "        fc_park_deaf(&lock->word, FC_LOCK_CONTENDED);\n",
                "        fc_park_deaf(&lock->word, FC_LOCK_CONTENDED);\n"
                "        if (fc_lock_try(lock)) {\n            return;\n"
                "        }\n",
            )
        ],
        "lock/",
        ASLEEP,
    ),
    Mutation(
        "lock-give-wakes-nobody",
        "core/lock.h",
        [("        fc_unpark(&lock->word, 1);\n", "")],
        "lock/",
        ASLEEP,
    ),
    Mutation(
        "lock-give-not-atomic",
        "core/lock.h",
        [
            (
                "    if (atomic_exchange_explicit(&lock->word, FC_LOCK_FREE,\n"
                "                                 memory_order_release)\n"
                "        == FC_LOCK_CONTENDED) {",
                "    uint32_t seen = atomic_load(&lock->word);\n"
                "    atomic_store(&lock->word, FC_LOCK_FREE);\n"
                "    if (seen == FC_LOCK_CONTENDED) {",
            )
        ],
        "lock/",
        ASLEEP,
    ),
    Mutation(
        "lock-try-not-atomic",
        "core/lock.h",
        [
            (
                "    return atomic_compare_exchange_strong_explicit(\n"
                "        &lock->word, &seen, FC_LOCK_HELD, "
                "memory_order_acquire,\n"
                "        memory_order_relaxed);",
                "    if (atomic_load(&lock->word) != seen) {\n"
                "        return false;\n    }\n"
                "    atomic_store(&lock->word, FC_LOCK_HELD);\n"
                "    return true;",
            )
        ],
        "lock/",
        "inside",
    ),
]
