/* queue.pml - src/core/queue.c with segments of two cells.
 *
 * Two producers push three items (four with -DITEMS1=2) and two consumers take them
 * as workers do: they reserve first (`tasks`), and then the pop must not come
 * up empty.  With -DFREE they pop without reserving, as queue.h allows: then
 * "empty" is right as long as other pops account for all that was pushed
 * before; each consumer tries POPS times, and what nobody took is counted at
 * the end.  Segments live in a small pool; freed ones are used again, so that
 * addresses return.  README.md says what is abstracted.
 *
 * Properties, all by assertion or by the absence of a deadlock:
 *     no item lost        a reserved pop finds one; all come out
 *     no item doubled     each comes out once
 *     FIFO per producer   as seen by each consumer
 *     no use after free   each access finds the segment in the generation
 *                         in which the thread got it
 *
 * Mutations (-D), each of which must be rejected:
 *     M_NO_TAKEN      a popper gives its cell up without marking it
 *     M_BLIND_STORE   a pusher overwrites whatever is in its cell
 *     M_POP_NOT_FAA   the pop ticket is read and then written
 *     M_EMPTY_ORDER   the emptiness check reads pushes before pops
 *     M_NO_VALIDATE   a hazard is published and not validated
 *     M_NO_SCAN       retired segments are freed without looking
 *     M_REVERSED      a segment is filled from its end
 */
#define NSEG 6
#define NONE 255
#ifndef CELLS
#define CELLS 2
#endif
#define TAKEN 9
/* Items by each producer, two at most: 1, 2 by producer 0, 3, 4 by the other. */
#ifndef ITEMS0
#define ITEMS0 2
#endif
#ifndef ITEMS1
#define ITEMS1 1
#endif
#ifndef CONSUMERS
#define CONSUMERS 2
#endif
#define ALL (ITEMS0 + ITEMS1)
#define ALL_BITS (((1 << ITEMS0) - 1) | (((1 << ITEMS1) - 1) << 2))

#ifndef POPS
#define POPS 3
#endif

/* A cell holds an item, TAKEN or 0. */
typedef segment {
    byte next;
    byte pushes;
    byte pops;
    byte cell[CELLS];
    byte generation; /* ghost: odd while allocated */
    bool retired
}
segment seg[NSEG];
byte head;
byte tail;
byte hazard[4] = NONE; /* producers use their push slot, consumers pop */
bool reclaiming;

byte tasks;     /* pushes that are complete (less those reserved) */
byte reserved;  /* reservations made; -DFREE: pops that have an item or may
                   still get one */
byte popped;    /* ghost: items that came out */
byte out;       /* ghost: one bit per item that came out */

/* The cell of a pusher's ticket. */
#ifdef M_REVERSED
#define AT(t) (CELLS - 1 - (t))
#else
#define AT(t) (t)
#endif

#define TOUCH(s, g) assert(seg[s].generation == g)

/* Variables that are dead from here on: fewer states. */
#define FORGET s = 0; g = 0; t = 0; n = 0

inline allocate(s, item) {
    d_step {
        s = 0;
        do
        :: s < NSEG && seg[s].generation % 2 == 1 -> s++
        :: else -> break
        od;
        assert(s < NSEG); /* the pool is large enough for every run */
        seg[s].generation++;
        seg[s].next = NONE;
        seg[s].pops = 0;
        seg[s].pushes = (item != 0 -> 1 : 0);
        seg[s].cell[0] = item;
#if CELLS > 1
        seg[s].cell[1] = 0;
#endif
        seg[s].retired = false
    }
}

/* A freed segment keeps no state but its generation: fewer states. */
inline wipe(s) {
    seg[s].next = 0;
    seg[s].pops = 0;
    seg[s].pushes = 0;
    seg[s].cell[0] = 0;
#if CELLS > 1
    seg[s].cell[1] = 0;
#endif
    seg[s].retired = false
}

inline release(s) {
    d_step {
        assert(seg[s].generation % 2 == 1);
        seg[s].generation++;
        wipe(s)
    }
}

/* Free a segment that nobody has ever seen: as if it had not been. */
inline unallocate(s) {
    d_step {
        seg[s].generation--;
        wipe(s)
    }
}

/* s = source, published in hazard[me]; g: its generation (ghost). */
inline protect(s, g, source) {
    atomic { s = source; g = seg[s].generation }
    do
    :: hazard[me] == s -> break
    :: else ->
        hazard[me] = s;
#ifdef M_NO_VALIDATE
        break
#else
        atomic { s = source; g = seg[s].generation }
#endif
    od
}

proctype producer(byte me) {
    byte s, g, t, n, fresh, item;
    byte i = 1;
    bool done;
    do
    :: i > (me == 0 -> ITEMS0 : ITEMS1) -> break
    :: else ->
        item = me * 2 + i;
        done = false;
        do
        :: done -> break
        :: else ->
            protect(s, g, tail);
            atomic { TOUCH(s, g); t = seg[s].pushes; seg[s].pushes++ }
            if
            :: t < CELLS ->
                atomic {
                    TOUCH(s, g);
#ifdef M_BLIND_STORE
                    seg[s].cell[AT(t)] = item;
                    done = true;
#else
                    if
                    :: seg[s].cell[AT(t)] == 0 ->
                        seg[s].cell[AT(t)] = item;
                        done = true
                    :: else
                    fi;
#endif
                    FORGET
                }
            :: else ->
                atomic { TOUCH(s, g); n = seg[s].next }
                if
                :: n == NONE ->
                    allocate(fresh, item);
                    atomic {
                        TOUCH(s, g);
                        n = seg[s].next;
                        if
                        :: n == NONE ->
                            seg[s].next = fresh;
                            n = fresh;
                            done = true
                        :: else ->
                            unallocate(fresh)
                        fi;
                        fresh = 0
                    }
                :: else
                fi;
                atomic {
                    if
                    :: tail == s -> tail = n
                    :: else
                    fi;
                    FORGET
                }
            fi
        od;
        atomic { tasks++; i++ }
    od
}

inline next_retired() {
    d_step {
        do
        :: k < NSEG && !seg[k].retired -> k++
        :: else -> break
        od;
        held = false;
        h = 0
    }
}

/* Free what is retired and published by nobody; the others stay retired.  One
 * slot after the other is looked at, as in the scan. */
inline reclaim() {
    if
    :: atomic { !reclaiming -> reclaiming = true };
        next_retired();
        do
        :: atomic { k == NSEG -> k = 0; reclaiming = false }; break
#ifndef M_NO_SCAN
        :: atomic { k < NSEG && h < 4 ->
            held = held || hazard[h] == k; h++ }
#else
        :: atomic { k < NSEG && h < 4 -> h = 4 }
#endif
        :: atomic { k < NSEG && h == 4 ->
            if
            :: !held -> release(k)
            :: else
            fi;
            k++;
            next_retired()
            }
        od
    :: else
    fi
}

proctype consumer(byte me) {
    byte s, g, p, t, n, item, k, h;
    byte last[2];
    byte taken;
    bool held;
    byte tries;
    byte before; /* ghost: pushes that were complete when the pop began */
    do
#ifdef FREE
    :: atomic { tries < POPS -> before = tasks; reserved++; tries++ };
#else
    :: atomic { reserved < ALL && tasks > 0 -> tasks--; reserved++ };
#endif
        item = 0;
        do
        :: item != 0 -> break
        :: else ->
            protect(s, g, head);
#ifdef M_EMPTY_ORDER
            atomic { TOUCH(s, g); t = seg[s].pushes }
            atomic { TOUCH(s, g); p = seg[s].pops }
#else
            atomic { TOUCH(s, g); p = seg[s].pops }
            atomic { TOUCH(s, g); t = seg[s].pushes }
#endif
            if
            :: p >= t ->
                atomic {
                    TOUCH(s, g);
#ifdef FREE
                    if
                    :: seg[s].next == NONE -> goto came_up_empty
                    :: else
                    fi
#else
                    /* The reserved pop must not find the queue empty. */
#ifdef M_REVERSED
                    seg[s].next != NONE /* let it run into the FIFO check */
#else
                    assert(seg[s].next != NONE)
#endif
#endif
                }
            :: else
            fi;
            if
            :: p < CELLS ->
#ifdef M_POP_NOT_FAA
                atomic { TOUCH(s, g); p = seg[s].pops }
                atomic { TOUCH(s, g); seg[s].pops = p + 1 }
#else
                atomic { TOUCH(s, g); p = seg[s].pops; seg[s].pops++ }
#endif
            :: else
            fi;
            if
            :: p < CELLS ->
                atomic { TOUCH(s, g); item = seg[s].cell[p] }
                if
                :: item == 0 ->
                    atomic {
                        TOUCH(s, g);
                        item = seg[s].cell[p];
#ifndef M_NO_TAKEN
                        seg[s].cell[p] = TAKEN;
#endif
                        FORGET; p = 0
                    }
                :: else
                fi
            :: else ->
                atomic { TOUCH(s, g); n = seg[s].next };
#ifdef FREE
                if
                :: n == NONE -> goto came_up_empty
                :: else
                fi;
#else
                assert(n != NONE);
#endif
#ifndef NO_TAIL_HELP /* not a mutation: harmless, see queue.c */
                atomic {
                    if
                    :: tail == s -> tail = n
                    :: else
                    fi
                }
#endif
                if
                :: atomic { head == s -> head = n };
                    hazard[me] = NONE;
                    atomic { assert(!seg[s].retired); seg[s].retired = true }
                    reclaim()
                :: else
                fi;
                atomic { FORGET; p = 0 }
            fi
        od;
        skip; /* a d_step cannot be jumped into */
        d_step {
            assert(item != TAKEN);
            assert((out & (1 << (item - 1))) == 0);
            out = out | (1 << (item - 1));
            assert(item > last[(item - 1) / 2]);
            last[(item - 1) / 2] = item;
            popped++;
            FORGET;
            p = 0;
            before = 0;
            item = 0
        }
#ifdef FREE
        goto again;
came_up_empty:
        skip; /* a d_step cannot be jumped into */
        d_step {
            reserved--;
            /* All that was there went to others, or will. */
            assert(before <= reserved);
            FORGET;
            p = 0;
            before = 0
        }
again:
        skip
    :: tries == POPS -> break
#else
    :: reserved == ALL -> break
#endif
    od
}

init {
    byte s;
    atomic {
        allocate(s, 0);
        head = s;
        tail = s;
        run producer(0);
        run producer(1);
        run consumer(2);
#if CONSUMERS == 2
        run consumer(3)
#endif
    }
    _nr_pr == 1; /* all have ended; a deadlock before that is an error */
#ifdef FREE
    /* Take what is left, alone. */
    byte c;
    atomic {
        s = head;
        do
        :: s == NONE -> break
        :: else ->
            c = seg[s].pops;
            do
            :: c >= CELLS -> break
            :: else ->
                if
                :: seg[s].cell[c] != 0 && seg[s].cell[c] != TAKEN ->
                    assert((out & (1 << (seg[s].cell[c] - 1))) == 0);
                    out = out | (1 << (seg[s].cell[c] - 1))
                :: else
                fi;
                c++
            od;
            s = seg[s].next
        od
    }
#endif
    assert(out == ALL_BITS)
}
