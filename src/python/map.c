/* map.c - see map.h.
 *
 * A slot goes through these states; `taken` and `read` are the numbers of
 * the first slot that nobody has begun and of the first not handed out:
 *
 *     QUEUED --worker--> RUNNING --> RETURNED | RAISED --> (handed out)
 *        |
 *        +--taken out of the queue by foreign code--> LINKED to a future
 *
 * All of a descriptor is guarded by its lock; nothing of it is touched while
 * an input is drawn, a function runs or an object dies. */
#include "python/map.h"
#include "python/task.h"
#include "python/waiter.h"

#include "port/port.h"

/* Slots of one allocation. */
#define FC_CHUNK_SLOTS 227 /* a chunk is 2 KiB with its header */

enum slot_state {
    SLOT_QUEUED,
    SLOT_RUNNING,
    SLOT_RETURNED,
    SLOT_RAISED,
    SLOT_LINKED,
};

typedef struct chunk {
    struct chunk *next;
    PyObject *values[FC_CHUNK_SLOTS];
    uint8_t states[FC_CHUNK_SLOTS];
} chunk;

/* A slot: chunk and index, with its number in the map. */
typedef struct {
    chunk *chunk;
    uint64_t number;
} place;

struct MapObject {
    PyObject_HEAD
    PyObject *fn;
    bool many;           /* slots hold tuples of arguments */
    bool stopped;        /* nothing more begins */
    _Atomic(bool) unread; /* nobody will read: outcomes are dropped */
    uint32_t generation; /* of the process that made it */
    place drawn;         /* the next slot to fill */
    place taken;         /* the next slot to begin */
    place read;          /* the next slot to hand out */
    chunk *first, *last; /* the chunks that are still there */
    struct fc_group *reader; /* of the iterator that sleeps, or NULL */
};

static inline Py_ssize_t
place_index(const place *p)
{
    return (Py_ssize_t)(p->number % FC_CHUNK_SLOTS);
}

static inline void
place_advance(place *p)
{
    p->number++;
    if (p->number % FC_CHUNK_SLOTS == 0) {
        /* NULL for `drawn`, which makes the next chunk when it needs one. */
        p->chunk = p->chunk->next;
    }
}

/* --- the descriptor: drawing -------------------------------------------------------- */

/* Make room for one more slot. */
static int
map_reserve(MapObject *map)
{
    if (map->drawn.chunk != NULL) {
        return 0;
    }
    chunk *fresh = PyMem_Malloc(sizeof(chunk));
    if (fresh == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    fresh->next = NULL;
    FC_LOCK(map);
    if (map->last != NULL) {
        map->last->next = fresh;
    }
    else {
        map->first = fresh;
    }
    map->last = fresh;
    map->drawn.chunk = fresh;
    /* Readers that stand at the end of the last chunk get the new one. */
    if (map->taken.chunk == NULL) {
        map->taken.chunk = fresh;
    }
    if (map->read.chunk == NULL) {
        map->read.chunk = fresh;
    }
    FC_UNLOCK();
    return 0;
}

/* Fill the next slot with an input (stolen).  Only the iterator's thread
 * draws, so what map_reserve() made is still there. */
static void
map_fill(MapObject *map, PyObject *input)
{
    FC_LOCK(map);
    chunk *at = map->drawn.chunk;
    at->values[place_index(&map->drawn)] = input;
    at->states[place_index(&map->drawn)] = SLOT_QUEUED;
    place_advance(&map->drawn);
    FC_UNLOCK();
}

/* --- the descriptor: running --------------------------------------------------------- */

/* Begin the next input.  1: *at is its slot, *input the object (stolen from
 * the slot), which is in `state` now.  0: there is none. */
static int
map_take(MapObject *map, place *at, PyObject **input, enum slot_state state)
{
    int taken = 0;
    FC_LOCK(map);
    if (!map->stopped && map->taken.number < map->drawn.number) {
        *at = map->taken;
        *input = at->chunk->values[place_index(at)];
        at->chunk->values[place_index(at)] = NULL;
        at->chunk->states[place_index(at)] = (uint8_t)state;
        place_advance(&map->taken);
        taken = 1;
    }
    FC_UNLOCK();
    return taken;
}

/* Put what came out (stolen) into a slot, and find out who waits for it. */
static void
map_put(MapObject *map, const place *at, PyObject *outcome,
        enum slot_state state, fc_due *due)
{
    struct fc_group *reader = NULL;
    FC_LOCK(map);
    if (!atomic_load_explicit(&map->unread, memory_order_relaxed)) {
        at->chunk->values[place_index(at)] = outcome;
        at->chunk->states[place_index(at)] = (uint8_t)state;
        outcome = NULL;
        if (map->reader != NULL && at->number == map->read.number) {
            reader = map->reader;
            map->reader = NULL;
        }
    }
    FC_UNLOCK();
    if (reader != NULL) {
        fc_due_add(due, reader);
    }
    Py_XDECREF(outcome);
}

static PyObject *
map_call(MapObject *map, PyObject *input)
{
    if (map->many) {
        return PyObject_Vectorcall(map->fn,
                                   ((PyTupleObject *)input)->ob_item,
                                   (size_t)PyTuple_GET_SIZE(input), NULL);
    }
    PyObject *stack[2] = {NULL, input};
    return PyObject_Vectorcall(map->fn, stack + 1,
                               1 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

void *
fc_map_run(fc_runner *runner, MapObject *map)
{
    place at;
    PyObject *input;
    if (!map_take(map, &at, &input, SLOT_RUNNING)) {
        Py_DECREF(map);
        return fc_runner_next_turn(runner, fc_runner_turn_is_due(runner));
    }
    PyObject *outcome = map_call(map, input);
    enum slot_state state = SLOT_RETURNED;
    if (outcome == NULL) {
        outcome = fc_exception_take();
        state = SLOT_RAISED;
    }
    Py_DECREF(input);
    if (fc_runner_has_forked(runner)) {
        Py_XDECREF(outcome);
        Py_DECREF(map);
        return NULL;
    }
    bool turn_is_due = fc_runner_turn_is_due(runner);
    /* Relaxed: looked at again under the lock. */
    if (turn_is_due
        || atomic_load_explicit(&map->unread, memory_order_relaxed)) {
        /* Python code may run before the next task: when nobody reads, the
         * outcome dies here. */
        map_put(map, &at, outcome, state, &runner->due);
        fc_due_fire(&runner->due);
        Py_DECREF(map);
        return fc_runner_next_turn(runner, turn_is_due);
    }
    void *next = fc_runner_next(runner);
    map_put(map, &at, fc_ref_hand_over(outcome), state, &runner->due);
    if (next != NULL) {
        fc_due_fire(&runner->due);
    }
    Py_DECREF(map);
    return next;
}

FutureObject *
fc_map_take_as_future(fc_state *st, MapObject *map)
{
    place at;
    PyObject *input;
    fc_due due = {0};
    FutureObject *f = fc_future_new(st);
    if (f == NULL) {
        return NULL;
    }
    if (!map_take(map, &at, &input, SLOT_RUNNING)) {
        Py_DECREF(f);
        return NULL;
    }
    fc_future_set_flags(f, FC_FUTURE_QUEUED);
    f->generation = map->generation;
    f->fn = Py_NewRef(map->fn);
    f->args[0] = input;
    f->nargs = 1;
    if (map->many) {
        f->nargs = FC_ARGS_IN_TUPLE;
    }
    map_put(map, &at, Py_NewRef(f), SLOT_LINKED, &due);
    fc_due_fire(&due);
    return f;
}

/* --- the descriptor: stopping ---------------------------------------------------------- */

/* Nothing more begins; what is there is dropped. */
void
fc_map_stop(MapObject *map)
{
    place from, to;
    FC_LOCK(map);
    map->stopped = true;
    atomic_store_explicit(&map->unread, true, memory_order_relaxed);
    from = map->read;
    to = map->drawn;
    map->read = map->taken = map->drawn;
    FC_UNLOCK();
    /* Slots that are being run have no value; the others are ours alone. */
    while (from.number < to.number) {
        PyObject *value = NULL;
        chunk *at = from.chunk;
        Py_ssize_t index = place_index(&from);
        FC_LOCK(map);
        if (at->states[index] != SLOT_RUNNING) {
            value = at->values[index];
            at->values[index] = NULL;
        }
        FC_UNLOCK();
        place_advance(&from);
        if (value != NULL && at->states[index] == SLOT_LINKED) {
            PyObject *cancelled =
                PyObject_CallMethod(value, "cancel", NULL);
            Py_XDECREF(cancelled);
            PyErr_Clear();
        }
        Py_XDECREF(value);
    }
}

static int
map_tp_traverse(PyObject *self, visitproc visit, void *arg)
{
    MapObject *map = (MapObject *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(map->fn);
    for (place p = map->read; p.number < map->drawn.number;
         place_advance(&p)) {
        Py_VISIT(p.chunk->values[place_index(&p)]);
    }
    return 0;
}

static int
map_tp_clear(PyObject *self)
{
    fc_map_stop((MapObject *)self);
    Py_CLEAR(((MapObject *)self)->fn);
    return 0;
}

static void
map_tp_dealloc(PyObject *self)
{
    MapObject *map = (MapObject *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)map_tp_clear(self);
    for (chunk *c = map->first; c != NULL;) {
        chunk *next = c->next;
        PyMem_Free(c);
        c = next;
    }
    if (map->reader != NULL) {
        fc_group_unref(map->reader);
    }
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyType_Slot map_slots[] = {
    {Py_tp_dealloc, map_tp_dealloc},
    {Py_tp_traverse, map_tp_traverse},
    {Py_tp_clear, map_tp_clear},
    {0, NULL},
};

static PyType_Spec map_spec = {
    .name = "futures_c._native.MapDescriptor",
    .basicsize = sizeof(MapObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC
             | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = map_slots,
};

/* --- for the iterator (map_iterator.c) -------------------------------------------------- */

MapObject *
fc_map_descriptor_new(fc_state *st, PyObject *fn, bool many)
{
    MapObject *map = PyObject_GC_New(MapObject, st->map_type);
    if (map == NULL) {
        return NULL;
    }
    memset((char *)map + sizeof(PyObject), 0,
           sizeof(MapObject) - sizeof(PyObject));
    map->fn = Py_NewRef(fn);
    map->many = many;
    map->generation = fc_fork_generation();
    PyObject_GC_Track((PyObject *)map);
    return map;
}

int
fc_map_add(MapObject *map, PyObject *input)
{
    if (map_reserve(map) < 0) {
        Py_DECREF(input);
        return -1;
    }
    map_fill(map, input);
    return 0;
}

uint64_t
fc_map_unread(MapObject *map)
{
    uint64_t left;
    FC_LOCK(map);
    left = map->drawn.number - map->read.number;
    FC_UNLOCK();
    return left;
}

enum fc_map_outcome
fc_map_read(MapObject *map, PyObject **value)
{
    static const enum fc_map_outcome outcomes[] = {
        [SLOT_QUEUED] = FC_MAP_PENDING,     [SLOT_RUNNING] = FC_MAP_PENDING,
        [SLOT_RETURNED] = FC_MAP_RETURNED,  [SLOT_RAISED] = FC_MAP_RAISED,
        [SLOT_LINKED] = FC_MAP_LINKED,
    };
    chunk *finished = NULL;
    enum fc_map_outcome outcome;
    FC_LOCK(map);
    chunk *at = map->read.chunk;
    Py_ssize_t index = place_index(&map->read);
    outcome = outcomes[at->states[index]];
    if (outcome == FC_MAP_PENDING
        && map->generation != fc_fork_generation()) {
        /* Its workers stayed in the parent of this process. */
        outcome = FC_MAP_CANCELLED;
        at->values[index] = NULL;
        if (map->taken.number <= map->read.number) {
            map->taken = map->read;
            place_advance(&map->taken);
        }
    }
    if (outcome != FC_MAP_PENDING) {
        *value = at->values[index];
        at->values[index] = NULL;
        place_advance(&map->read);
        if (map->read.chunk != at) {
            finished = at;
            map->first = at->next;
            if (map->last == at) {
                map->last = NULL;
            }
        }
    }
    FC_UNLOCK();
    PyMem_Free(finished);
    return outcome;
}

int
fc_map_await(fc_state *st, MapObject *map, struct fc_group *group,
             int64_t deadline)
{
    bool pending;
    fc_group_rearm(group, 1);
    FC_LOCK(map);
    pending = map->read.chunk->states[place_index(&map->read)]
              <= SLOT_RUNNING;
    if (pending) {
        map->reader = fc_group_ref(group);
    }
    FC_UNLOCK();
    int woken = pending ? fc_group_sleep(st, group, deadline) : 1;
    struct fc_group *left;
    FC_LOCK(map);
    left = map->reader;
    map->reader = NULL;
    FC_UNLOCK();
    if (left != NULL) {
        fc_group_unref(left);
    }
    return woken;
}

void
fc_map_abandon(MapObject *map)
{
    place from, to;
    /* What is there already is dropped here; what comes, by map_put(). */
    FC_LOCK(map);
    atomic_store_explicit(&map->unread, true, memory_order_relaxed);
    from = map->read;
    to = map->taken;
    map->read = map->taken;
    FC_UNLOCK();
    for (; from.number < to.number; place_advance(&from)) {
        PyObject *value;
        FC_LOCK(map);
        value = from.chunk->values[place_index(&from)];
        from.chunk->values[place_index(&from)] = NULL;
        FC_UNLOCK();
        Py_XDECREF(value);
    }
}

int
fc_map_init(PyObject *module, fc_state *st)
{
    st->map_type = (PyTypeObject *)PyType_FromModuleAndSpec(
        module, &map_spec, NULL);
    return st->map_type == NULL ? -1 : fc_map_iterator_init(module, st);
}
