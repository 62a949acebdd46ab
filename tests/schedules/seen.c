/* seen.c - what was done to each place in memory in this run; see seen.h. */
#include "seen.h"

#define PLACES 8192 /* a power of two, many more than a run touches */

struct place {
    uintptr_t address;
    unsigned run;
    uint64_t write; /* hash of the last write */
    uint64_t reads; /* sum of the hashes of the reads since */
};

static struct place places[PLACES];
static unsigned run_number;

void
seen_begin(void)
{
    run_number++;
}

uint64_t
seen_mix(uint64_t a, uint64_t b)
{
    uint64_t h = (a ^ (b * UINT64_C(0x9e3779b97f4a7c15))) + (a << 7);
    h ^= h >> 29;
    h *= UINT64_C(0xbf58476d1ce4e5b9);
    h ^= h >> 32;
    return h;
}

static struct place *
place_of(uintptr_t address)
{
    size_t at = (size_t)seen_mix(address, 1) % PLACES;
    while (places[at].run == run_number && places[at].address != address) {
        at = (at + 1) % PLACES;
    }
    if (places[at].run != run_number) {
        places[at] = (struct place){address, run_number, address, 0};
    }
    return &places[at];
}

void
seen_read(uint64_t *seen, uintptr_t address)
{
    struct place *place = place_of(address);
    *seen = seen_mix(seen_mix(*seen, place->write), address + 1);
    place->reads += seen_mix(*seen, 3);
}

void
seen_write(uint64_t *seen, uintptr_t address)
{
    struct place *place = place_of(address);
    *seen = seen_mix(seen_mix(seen_mix(*seen, place->write), place->reads), address + 2);
    place->write = *seen;
    place->reads = 0;
}

void
seen_block(uint64_t *seen, uintptr_t address, size_t size)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < size; i += 4) {
        /* Words begin at multiples of four. */
        size_t at = (size_t)seen_mix(address + i, 1) % PLACES;
        while (places[at].run == run_number) {
            if (places[at].address == address + i) {
                sum += seen_mix(places[at].write, places[at].reads);
                break;
            }
            at = (at + 1) % PLACES;
        }
    }
    *seen = seen_mix(*seen, sum);
}
