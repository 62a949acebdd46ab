"""Faults that the fuzzer has to find: one check less in a reader, or one read more.

    tests/fuzz/run --mutations [SECONDS] [PART_OF_A_NAME]

Each is made in a copy of the sources.  First the stored inputs are run, then the
fuzzer for at most so many seconds (60).  The status is 0 when all are found.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "fuzz"
WORK = ROOT / "build" / "fuzz-mutant"
CORPUS = Path(__file__).parent / "corpus"

# Name: target, file, what stands there, what takes its place.
MUTATIONS = {
    "a file that is too short": (
        "segment",
        "ipc/segment.c",
        "if (length < s->layout.size) {",
        "if (length == 0) {",
    ),
    "any geometry": (
        "segment",
        "ipc/segment.c",
        "|| !fc_geometry_valid(&start.geometry)) {",
        ") {",
    ),
    "frames of any size": (
        "stream",
        "ipc/stream.c",
        "left < HEAD || head.size > c->most",
        "left < HEAD",
    ),
    "frames over the end": (
        "stream",
        "ipc/stream.c",
        "|| head.size > c->most || need > left",
        "",
    ),
    "a head over the end": ("stream", "ipc/stream.c", "left < HEAD ? 8 : HEAD", "HEAD"),
    "counters between words": (
        "stream",
        "ipc/stream.c",
        "(&c->state->read, memory_order_relaxed)\n              & ~UINT64_C(7);",
        "(&c->state->read, memory_order_relaxed);",
    ),
    "the size of a frame is read again": (
        "stream",
        "ipc/stream.c",
        "frame->size = head.size;",
        "memcpy(&frame->size, c->bytes + place, sizeof(frame->size));",
    ),
    "more pieces than the message": (
        "stream",
        "ipc/stream.c",
        "            || frame->size > m->size - m->have\n"
        "            || frame->rest != m->size - m->have - frame->size)) {",
        "            )) {",
    ),
    "a producer that believes the consumer": (
        "stream",
        "ipc/stream.c",
        "    return used <= p->size && need <= p->size - used;",
        "    return used + need < 100000;",
    ),
    "slots of any number": (
        "requests",
        "ipc/requests.c",
        "        if (index >= s->geometry.slots) {\n            return EBADMSG;",
        "        if (index >= 60000) {\n            return EBADMSG;",
    ),
    "more in a slot than there is room": (
        "requests",
        "ipc/requests.c",
        "return taken->length <= FC_INLINE ? 0 : EBADMSG;",
        "return 0;",
    ),
    "the length in a slot is read again": (
        "requests",
        "ipc/requests.c",
        "            return taken->length <= FC_INLINE ? 0 : EBADMSG;",
        "            if (*(volatile uint16_t *)&slot->length > FC_INLINE) {\n"
        "                return EBADMSG;\n"
        "            }\n"
        "            taken->length = *(volatile uint16_t *)&slot->length;\n"
        "            return 0;",
    ),
    "looking at slots of any number": (
        "requests",
        "ipc/requests.c",
        "    if (index >= s->geometry.slots) {\n        return false;",
        "    if (index >= 60000) {\n        return false;",
    ),
    "requests of any number": (
        "requests",
        "ipc/requests.c",
        "    if (index >= p->opened\n        || p->positions[index] ==",
        "    if (p->positions[index] ==",
    ),
    "the ring's slot is not looked at": (
        "requests",
        "ipc/requests.c",
        "if (entry != entry_of(head, index) || index >= s->geometry.slots) {",
        "if (entry != entry_of(head, index)) {",
    ),
    "functions of any number": (
        "requests",
        "ipc/functions.c",
        "if (number == 0 || number > FC_FUNCTIONS_MAX) {",
        "if (number == 0) {",
    ),
    "functions anywhere": (
        "requests",
        "ipc/functions.c",
        "|| !fc_arena_holds(s, entry.place, entry.size)) {",
        ") {",
    ),
    "a function's size is read again": (
        "requests",
        "ipc/functions.c",
        "*size = entry.size;",
        "memcpy(size, &s->functions[number - 1].size, sizeof(*size));",
    ),
    "seats of any number": (
        "requests",
        "ipc/idle.c",
        "if (unset(s, seat) && seat < s->geometry.seats) {",
        "if (unset(s, seat)) {",
    ),
    "batches of any count": (
        "requests",
        "ipc/batches.c",
        "        || fc_batch_head(v->count) > size) {",
        "        ) {",
    ),
    "items behind the end": (
        "requests",
        "ipc/batches.c",
        "if (from > to || to > v->size) {",
        "if (from > to) {",
    ),
    "items that end before they begin": (
        "requests",
        "ipc/batches.c",
        "if (from > to || to > v->size) {",
        "if (to > v->size) {",
    ),
    "where an item ends is read again": (
        "requests",
        "ipc/batches.c",
        "    *size = to - from;",
        "    memcpy(&to, v->ends + i * sizeof(to), sizeof(to));\n"
        "    *size = to - from;",
    ),
    "a batch's count is read again": (
        "requests",
        "ipc/batches.c",
        "    v->ends = (const unsigned char *)",
        "    v->count = atomic_load_explicit(&v->batch->count,\n"
        "                                    memory_order_relaxed);\n"
        "    v->ends = (const unsigned char *)",
    ),
    "claims of any number": (
        "requests",
        "ipc/batches.c",
        "            || (seen & NUMBER) >= v->count) {",
        "            || (seen & NUMBER) >= 60000) {",
    ),
    "batches anywhere": (
        "requests",
        "ipc/batches.c",
        "    if (!fc_arena_holds(s, place, sizeof(struct fc_batch))\n"
        "        || place % 16 != 0) {",
        "    if (place % 16 != 0) {",
    ),
    "blocks that are not": (
        "ends",
        "ipc/requester.c",
        "    return fc_block_possible(&r->segment, block->offset, block->size)\n"
        "                   && block->length <= block->size",
        "    (void)r;\n    return block->length <= block->size",
    ),
    "longer than its block": (
        "ends",
        "ipc/requester.c",
        "                   && block->length <= block->size",
        "",
    ),
    "longer than its block, for a worker": (
        "ends",
        "ipc/responder.c",
        "                   && job->block.length <= job->block.size",
        "",
    ),
    "asked for what there is no more of": (
        "ends",
        "ipc/requester.c",
        "if (q->how != FC_HOW_STREAM || q->bytes == NULL\n"
        "        || q->asked_by != FC_ASKED_BY_NOBODY ||",
        "if (",
    ),
    "a call in parts": (
        "ends",
        "ipc/requester.c",
        "if (part != r->requested[index].batch) {",
        "if (part && !r->requested[index].batch) {",
    ),
    "blocks that are being filled": (
        "ends",
        "ipc/blocks.c",
        "k->free || k->pinned || k->size",
        "k->free || k->size",
    ),
    "a batch in a block": (
        "ends",
        "ipc/batches.c",
        "bytes == NULL || size <",
        "size <",
    ),
    "anywhere in the arena": (
        "ends",
        "ipc/responder.c",
        "    if (!fc_arena_holds(&w->segment, taken->place, job->size)) {",
        "    if (!fc_arena_holds(&w->segment, taken->place, 1)) {",
    ),
    "a size in the arena is read again": (
        "ends",
        "ipc/responder.c",
        "    job->bytes = w->segment.arena + taken->place;",
        "    memcpy(&job->size, taken->data, sizeof(job->size));\n"
        "    job->bytes = w->segment.arena + taken->place;",
    ),
    "answers to anything": (
        "ends",
        "ipc/requester.c",
        ": !fc_sender_taken_by(&r->sender, index, frame.tag >> 16,\n"
        "                                       seat)) {",
        ": index >= r->sender.opened) {",
    ),
    "fewer pieces than were asked for": (
        "ends",
        "ipc/responder.c",
        "                   : w->message.size == job->size ? 0\n"
        "                                                  : EBADMSG;",
        "                   : 0;",
    ),
}


def plant(path, old, new):
    """Make the fault in a copy of the sources, beside what is built already."""
    shutil.rmtree(WORK, ignore_errors=True)
    shutil.copytree(ROOT / "src", WORK / "src", symlinks=True)
    # The objects alone, with their times.
    for built in BUILD.rglob("*.o"):
        copy = WORK / "build" / built.relative_to(BUILD)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(built, copy)
    source = WORK / "src" / path
    text = source.read_text()
    if text.count(old) != 1:
        sys.exit(f"{path}: not there, or more than once: {old}")
    source.write_text(text.replace(old, new))


def build(target):
    """Only the changed source and what follows from it."""
    subprocess.run(
        [
            *("make", "-s", "-C", str(ROOT / "tests" / "fuzz")),
            *(f"SOURCE={WORK}/src", f"BUILD={WORK}/build"),
            f"{WORK}/build/fuzz_{target}",
        ],
        check=True,
    )


def run(target, *options):
    """Whether the fuzzer has ended badly."""
    command = [str(WORK / "build" / f"fuzz_{target}"), *options]
    command += ["-timeout=20", "-max_len=1024", "-verbosity=0"]
    (WORK / "found").mkdir(exist_ok=True)
    command += [f"-artifact_prefix={WORK}/"]
    command += [str(WORK / "found"), str(CORPUS / target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    (WORK / "log").write_text(done.stdout + done.stderr)
    return done.returncode != 0


def main():
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    parts = [argument for argument in sys.argv[1:] if not argument.isdigit()]
    seconds = numbers[0] if numbers else 60
    missed = total = 0
    for name, (target, path, old, new) in MUTATIONS.items():
        if parts and not any(part in name for part in parts):
            continue
        total += 1
        plant(path, old, new)
        build(target)
        began = time.monotonic()
        how = "at once"
        if not run(target, "-runs=0"):
            found = run(target, f"-max_total_time={seconds}")
            how = f"{time.monotonic() - began:.0f} s" if found else "MISSED"
        missed += how == "MISSED"
        print(f"{target:9} {name:42} {how}", flush=True)
    print(f"mutations: {total - missed} of {total} found")
    sys.exit(missed > 0)


if __name__ == "__main__":
    os.environ.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    main()
