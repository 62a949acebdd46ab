"""Faults in the part of src/ipc that sleeps and wakes."""

from __future__ import annotations

from mutation import ASLEEP, Mutation

IPC = [
    Mutation(
        "idle-looks-before-its-bit",
        "ipc/idle.c",
        [
            (
                "    atomic_fetch_or_explicit(&s->header->parked[seat / 64], "
                "bit_of(seat),\n"
                "                             memory_order_seq_cst); /* I1 */\n",
                "    bool look = !fc_requests_waiting(s) && !fc_batches_open(s)\n"
                "                && !fc_idle_closing(s);\n"
                "    atomic_fetch_or_explicit(&s->header->parked[seat / 64], "
                "bit_of(seat),\n"
                "                             memory_order_seq_cst);\n",
            ),
            (
                "    if (!fc_requests_waiting(s) && !fc_batches_open(s)\n"
                "        && !fc_idle_closing(s)) {",
                "    if (look) {",
            ),
        ],
        "idle/one-each",
        ASLEEP,
    ),
    Mutation(
        "idle-closing-unseen",
        "ipc/idle.c",
        [("        && !fc_idle_closing(s)) {", "        ) {")],
        "idle/closing",
        ASLEEP,
    ),
    Mutation(
        "idle-batches-unseen",
        "ipc/idle.c",
        [("!fc_requests_waiting(s) && !fc_batches_open(s)", "!fc_requests_waiting(s)")],
        "batches/joined",
        ASLEEP,
    ),
    Mutation(
        "idle-nudge-unsigned",
        "ipc/idle.c",
        [
            (
                "    atomic_fetch_add_explicit(signal, 1, memory_order_release); "
                "/* I2 */\n",
                "",
            )
        ],
        "idle/",
        ASLEEP,
    ),
    Mutation(
        "idle-nudge-wakes-nobody",
        "ipc/idle.c",
        [("    fc_unpark_shared(signal, 1);\n", "")],
        "idle/",
        ASLEEP,
    ),
    Mutation(
        "idle-woken-as-it-tires",
        "ipc/idle.c",
        [
            (
                "    if (!unset(s, seat)) {\n",
                "    if (!unset(s, seat) && result != FC_PARK_TIMED_OUT) {\n",
            )
        ],
        "idle/one-goes",
        ASLEEP,
    ),
    Mutation(
        "idle-keeps-its-bit",
        "ipc/idle.c",
        [
            (
                "    if (!unset(s, seat)) {\n",
                "    if (!(atomic_load(&s->header->parked[seat / 64]) "
                "& bit_of(seat))) {\n",
            )
        ],
        "idle/one-goes",
        ASLEEP,
    ),
    Mutation(
        "idle-gives-up-on-a-lost-bit",
        "ipc/idle.c",
        [
            (
                "        if (unset(s, seat) && seat < s->geometry.seats) {",
                "        if (!unset(s, seat)) {\n            break;\n        }\n"
                "        if (seat < s->geometry.seats) {",
            )
        ],
        "idle/one-goes",
        ASLEEP,
    ),
    Mutation(
        "idle-wakes-before-closing",
        "ipc/idle.c",
        [
            (
                "    atomic_store_explicit(&s->header->closing, 1,\n"
                "                          memory_order_seq_cst); /* I3 */\n"
                "    for (uint32_t i = 0; i < words(s); i++) {\n"
                "        (void)wake_some(s, i, UINT32_MAX);\n    }\n",
                "    for (uint32_t i = 0; i < words(s); i++) {\n"
                "        (void)wake_some(s, i, UINT32_MAX);\n    }\n"
                "    atomic_store_explicit(&s->header->closing, 1,\n"
                "                          memory_order_seq_cst);\n",
            )
        ],
        "idle/",
        ASLEEP,
    ),
    Mutation(
        "idle-closing-published-late",
        "ipc/idle.c",
        [
            (
                "    atomic_store_explicit(&s->header->closing, 1,\n"
                "                          memory_order_seq_cst); /* I3 */",
                "    atomic_store_explicit(&s->header->closing, 1,\n"
                "                          memory_order_release);",
            )
        ],
        "idle/",
        ASLEEP,
    ),
    Mutation(
        "idle-forgets-quietly",
        "ipc/idle.c",
        [
            (
                "    for (uint32_t i = 0; i < s->geometry.seats; i++) {\n"
                "        fc_idle_nudge(s, i);\n    }\n",
                "",
            )
        ],
        "idle/one-dies",
        ASLEEP,
    ),
    Mutation(
        "requests-published-late",
        "ipc/requests.c",
        [
            (
                "    atomic_store_explicit(place_of(s, position), "
                "entry_of(position, index),\n"
                "                          memory_order_seq_cst); /* R2 */",
                "    atomic_store_explicit(place_of(s, position), "
                "entry_of(position, index),\n"
                "                          memory_order_release);",
            )
        ],
        "idle/one-each",
        ASLEEP,
    ),
    Mutation(
        "requests-taken-twice",
        "ipc/requests.c",
        [
            (
                "bool won = atomic_compare_exchange_strong_explicit(\n"
                "            &slot->word, &expected, word_of(head, seat, TAKEN),\n"
                "            memory_order_acq_rel, memory_order_acquire);",
                "bool won = atomic_load(&slot->word) == expected;\n"
                "        if (won) {\n"
                "            atomic_store(&slot->word, "
                "word_of(head, seat, TAKEN));\n        }",
            )
        ],
        "idle/two-closing",
        "served|EAGAIN",
    ),
    Mutation(
        "requests-cancelled-and-taken",
        "ipc/requests.c",
        [
            (
                "        || !atomic_compare_exchange_strong_explicit(\n"
                "            &p->segment->slots[index].word, &expected,\n"
                "            word_of(position, 0, CANCELLED), "
                "memory_order_acq_rel,\n"
                "            memory_order_relaxed)) {",
                "        || atomic_load(&p->segment->slots[index].word) "
                "!= expected\n"
                "        || (atomic_store(&p->segment->slots[index].word,\n"
                "                         word_of(position, 0, CANCELLED)),\n"
                "            false)) {",
            )
        ],
        "requests/cancelled",
        "served",
    ),
    Mutation(
        "results-told-before-they-are-there",
        "ipc/results.c",
        [
            (
                "    atomic_fetch_add_explicit(&s->header->results, 1,\n"
                "                              memory_order_release); /* L2 */\n",
                "",
            )
        ],
        "results/",
        ASLEEP,
    ),
    Mutation(
        "results-listener-not-woken",
        "ipc/results.c",
        [("    fc_unpark_shared(&s->header->results, UINT32_MAX);\n", "")],
        "results/",
        ASLEEP,
    ),
    Mutation(
        "batches-claimed-twice",
        "ipc/batches.c",
        [
            (
                "    } while (!atomic_compare_exchange_weak_explicit(\n"
                "        &v->batch->next, &seen, seen + 1, "
                "memory_order_acq_rel,\n        memory_order_relaxed));",
                "    } while (atomic_store(&v->batch->next, seen + 1), false);",
            )
        ],
        "batches/",
        "claimed",
    ),
    Mutation(
        "batches-done-not-atomic",
        "ipc/batches.c",
        [
            (
                "    return atomic_fetch_add_explicit(&b->done, items, "
                "memory_order_acq_rel)\n               + items\n",
                "    uint32_t done = atomic_load(&b->done);\n"
                "    atomic_store(&b->done, done + items);\n"
                "    return done + items\n",
            )
        ],
        "batches/",
        "last_ones",
    ),
    Mutation(
        "batches-cancelled-unseen",
        "ipc/batches.c",
        [
            (
                "if (mine == 0 && see_to_cancelled(v)) {",
                "if (false && see_to_cancelled(v)) {",
            )
        ],
        "batches/cancelled",
        "last_ones",
    ),
    Mutation(
        "batches-cancel-answers-for-the-taker",
        "ipc/batches.c",
        [
            (
                "(seen & ~NUMBER) | (first > 0 ? count : UNSEEN);",
                "(seen & ~NUMBER) | count;",
            )
        ],
        "batches/cancelled",
        "last_ones",
    ),
    Mutation(
        "batches-opened-used-up",
        "ipc/batches.c",
        [("    if (is_used_up(s, tag)) {", "    if (false && is_used_up(s, tag)) {")],
        "batches/opened",
        "fc_batches_open",
    ),
]
