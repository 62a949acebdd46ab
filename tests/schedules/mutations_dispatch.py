"""Faults in src/core/dispatch.c."""

from __future__ import annotations

from mutation import ASLEEP, BOUNDS, Mutation

DISPATCH = [
    Mutation(
        "dispatch-counts-before-pushing",
        "core/dispatch.c",
        [
            (
                "if (TASKS(word) >= FC_TASKS_MAX || "
                "fc_queue_push(&d->queue, item) < 0) {",
                "if (TASKS(word) >= FC_TASKS_MAX) {",
            ),
            (
                "    *after = counts_of(d, wanted);\n    return 0;",
                "    *after = counts_of(d, wanted);\n"
                "    return fc_queue_push(&d->queue, item);",
            ),
        ],
        "dispatch/",
        ".",
    ),
    Mutation(
        "dispatch-word-not-atomic",
        "core/dispatch.c",
        [
            (
                "return atomic_compare_exchange_weak_explicit(\n"
                "        &d->word, seen, wanted, memory_order_acq_rel,\n"
                "        memory_order_acquire);",
                "uint64_t now = atomic_load(&d->word);\n"
                "    if (now != *seen) {\n        *seen = now;\n"
                "        return false;\n    }\n"
                "    atomic_store(&d->word, wanted);\n    return true;",
            )
        ],
        "dispatch/",
        ".",
    ),
    Mutation(
        "dispatch-submit-wakes-nobody",
        "core/dispatch.c",
        [
            (
                "} while (!swap_and_wake(d, &word, &wanted)); /* D1 */\n    *after",
                "} while (!swap_word(d, &word, wanted));\n    *after",
            )
        ],
        "dispatch/round-trip",
        ASLEEP + "|" + BOUNDS,
    ),
    Mutation(
        "dispatch-counts-and-does-not-post",
        "core/dispatch.c",
        [
            (
                "    if (wake) {\n        fc_lifosem_post(&d->sem, &d->workers);\n"
                "    }\n",
                "",
            )
        ],
        "dispatch/round-trip",
        ASLEEP,
    ),
    Mutation(
        "dispatch-no-wake-chain",
        "core/dispatch.c",
        [
            (
                "if (swap_and_wake(d, &word, &wanted)) { /* D1 */",
                "if (swap_word(d, &word, wanted)) { /* D1 */",
            )
        ],
        "dispatch/barrier",
        ASLEEP + "|" + BOUNDS,
    ),
    Mutation(
        "dispatch-resume-wakes-nobody",
        "core/dispatch.c",
        [
            (
                "        wanted = word - SEARCHING_ONE;\n"
                "    } while (!swap_and_wake(d, &word, &wanted)); /* D1 */",
                "        wanted = word - SEARCHING_ONE;\n"
                "    } while (!swap_word(d, &word, wanted)); /* D1 */",
            )
        ],
        "dispatch/turns-away",
        ASLEEP + "|" + BOUNDS,
    ),
    Mutation(
        "dispatch-parks-unchecked",
        "core/dispatch.c",
        [
            (
                "        if (TASKS(word) > 0) {\n            return HAS_TASKS;\n"
                "        }\n",
                "",
            )
        ],
        "dispatch/round-trip",
        ASLEEP + "|" + BOUNDS,
    ),
    Mutation(
        "dispatch-parks-when-closed",
        "core/dispatch.c",
        [
            (
                "        if (word & CLOSING) {\n            if (has",
                "        if (false) {\n            if (has",
            )
        ],
        "dispatch/one-each",
        ASLEEP,
    ),
    Mutation(
        "dispatch-close-posts-nobody",
        "core/dispatch.c",
        [("left > 0; left--", "left > UINT32_MAX - 1; left--")],
        "dispatch/one-each",
        ASLEEP,
    ),
    Mutation(
        "dispatch-close-posts-one-less",
        "core/dispatch.c",
        [("left > 0; left--", "left > 1; left--")],
        "dispatch/two-workers",
        ASLEEP,
    ),
    Mutation(
        "dispatch-close-miscounts",
        "core/dispatch.c",
        [
            (
                "PARKED(word) * (SEARCHING_ONE - PARKED_ONE);",
                "PARKED(word) * (0 - PARKED_ONE);",
            )
        ],
        "dispatch/one-each",
        BOUNDS,
    ),
    Mutation(
        "dispatch-leaves-with-one-queued",
        "core/dispatch.c",
        [
            (
                "if (has_uncounted(d, &looks)) {\n                word",
                "if (false && has_uncounted(d, &looks)) {\n                word",
            )
        ],
        "dispatch/leaves-nothing",
        "by_worker",
    ),
    Mutation(
        "dispatch-drains-what-is-counted",
        "core/dispatch.c",
        [
            (
                "if (!has_uncounted(d, &looks)) {",
                "if (true || !has_uncounted(d, &looks)) {",
            )
        ],
        "dispatch/drain",
        "own_one_was_out",
    ),
    Mutation(
        "dispatch-arrives-twice",
        "core/dispatch.c",
        [
            (
                "    atomic_fetch_sub_explicit(&d->starting, 1, "
                "memory_order_relaxed);\n"
                "    atomic_fetch_add_explicit(&d->word, SEARCHING_ONE, "
                "memory_order_acq_rel);\n",
                "    atomic_fetch_add_explicit(&d->word, SEARCHING_ONE, "
                "memory_order_acq_rel);\n"
                "    atomic_fetch_sub_explicit(&d->starting, 1, "
                "memory_order_relaxed);\n",
            )
        ],
        "dispatch/",
        BOUNDS,
    ),
    Mutation(
        "dispatch-starting-before-word",
        "core/dispatch.c",
        [
            (
                "    return counts_of(d, load_word(d));",
                "    uint32_t starting = atomic_load(&d->starting);\n"
                "    struct fc_counts c = counts_of(d, load_word(d));\n"
                "    c.starting = starting;\n    return c;",
            )
        ],
        "dispatch/watched",
        BOUNDS,
    ),
    Mutation(
        "dispatch-pops-unreserved",
        "core/dispatch.c",
        [
            (
                "    return take(w->dispatch, SEARCHING_ONE, 0);",
                "    void *item = fc_queue_pop(&w->dispatch->queue);\n"
                "    return item != NULL ? item\n"
                "                        : take(w->dispatch, SEARCHING_ONE, 0);",
            )
        ],
        "dispatch/",
        ".",
    ),
    Mutation(
        "dispatch-posts-before-counting",
        "core/dispatch.c",
        [
            (
                "        *wanted += SEARCHING_ONE - PARKED_ONE;\n",
                "        *wanted += SEARCHING_ONE - PARKED_ONE;\n"
                "        fc_lifosem_post(&d->sem, &d->workers);\n",
            ),
            (
                "    if (wake) {\n        fc_lifosem_post(&d->sem, &d->workers);\n"
                "    }\n",
                "",
            ),
        ],
        "dispatch/",
        ".",
    ),
    Mutation(
        "dispatch-posts-twice",
        "core/dispatch.c",
        [
            (
                "    if (wake) {\n        fc_lifosem_post(&d->sem, &d->workers);\n",
                "    if (wake) {\n        fc_lifosem_post(&d->sem, &d->workers);\n"
                "        fc_lifosem_post(&d->sem, &d->workers);\n",
            )
        ],
        "dispatch/",
        ".",
    ),
    Mutation(
        "dispatch-wakes-who-is-not-parked",
        "core/dispatch.c",
        [
            (
                "return PARKED(word) > 0 && SEARCHING(word) < ahead;",
                "return SEARCHING(word) < ahead;",
            )
        ],
        "dispatch/",
        BOUNDS,
    ),
    Mutation(
        "dispatch-idle-uncounted",
        "core/dispatch.c",
        [
            (
                "return take(w->dispatch, 0, SEARCHING_ONE);",
                "return take(w->dispatch, 0, 0);",
            )
        ],
        "dispatch/",
        BOUNDS,
    ),
    Mutation(
        "dispatch-record-back-too-early",
        "core/dispatch.c",
        [
            (
                "            fc_queue_quiesce();\n"
                "            fc_lifosem_wait(&d->sem, &w->sleeper);",
                "            fc_queue_quiesce();\n"
                "            release_worker(w);\n"
                "            fc_lifosem_wait(&d->sem, &w->sleeper);",
            )
        ],
        "dispatch/one-comes",
        ".",
    ),
]
