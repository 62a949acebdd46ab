/* batch.c - see batch.h. */
#include "python/batch.h"
#include "python/sealed.h"
#include "python/task.h"

#include <stdlib.h>
#include <string.h>

BatchObject *
fc_batch_new(fc_state *st, HubObject *hub, uint32_t number, uint32_t count,
             const uint32_t *ends, const fc_outgoing *o)
{
    BatchObject *b = PyObject_GC_New(BatchObject, st->batch_type);
    if (b == NULL) {
        return NULL;
    }
    memset((char *)b + sizeof(PyObject), 0, sizeof(*b) - sizeof(PyObject));
    b->hub = (HubObject *)Py_NewRef((PyObject *)hub);
    b->count = b->begun = count;
    b->number = number;
    b->index = -1;
    b->size = o->size;
    b->ends = malloc(count * sizeof(*ends));
    b->bytes = malloc(o->size + 1);
    b->future = fc_future_new(st);
    PyObject_GC_Track((PyObject *)b);
    if (b->ends == NULL || b->bytes == NULL || b->future == NULL) {
        Py_DECREF(b);
        PyErr_NoMemory();
        return NULL;
    }
    memcpy(b->ends, ends, count * sizeof(*ends));
    memcpy(b->bytes, o->bytes, o->size);
    FutureObject *f = b->future;
    fc_future_track(f);
    fc_future_set_flags(f, FC_FUTURE_QUEUED | FC_FUTURE_BATCH);
    f->generation = hub->generation;
    f->fn = Py_NewRef(Py_None); /* there is a task */
    f->args[0] = Py_NewRef((PyObject *)b);
    f->nargs = 1;
    return b;
}

BatchObject *
fc_batch_of(FutureObject *f)
{
    PyObject *b = NULL;
    FC_LOCK(f);
    if (fc_future_flags(f) & FC_FUTURE_BATCH) {
        b = Py_XNewRef(f->args[0]);
    }
    FC_UNLOCK();
    return (BatchObject *)b;
}

void
fc_batch_sent(BatchObject *b, uint32_t index)
{
    b->index = index;
    b->hub->batches++;
    free(b->ends);
    free(b->bytes);
    b->ends = NULL;
    b->bytes = NULL;
}

/* The cells, where they are now; NULL: it was not sent. */
static struct fc_cell *
cells_of(const BatchObject *b)
{
    if (b->index >= 0) {
        return fc_requester_batch(&b->hub->hub->requester,
                                  (uint32_t)b->index)
            ->cells;
    }
    return b->cells;
}

static uint32_t
state_of(const struct fc_cell *cell)
{
    return atomic_load_explicit(&cell->state, memory_order_acquire); /* A2 */
}

void
fc_batch_keep(BatchObject *b)
{
    if (b->index < 0) {
        return;
    }
    size_t size = b->count * sizeof(struct fc_cell);
    b->cells = malloc(size);
    if (b->cells != NULL) {
        memcpy(b->cells, cells_of(b), size);
    }
    else {
        b->lost++; /* what it has to say is gone, for lack of memory */
    }
    b->index = -1;
    b->hub->batches--;
}

/* Under the lock: whether everything that was begun is there. */
static bool
is_complete(const BatchObject *b)
{
    const struct fc_cell *cells = cells_of(b);
    if (!b->ended || b->index < 0) {
        return false;
    }
    uint32_t missing = 0;
    for (uint32_t i = 0; i < b->begun; i++) {
        missing += state_of(&cells[i]) == FC_CELL_MESSAGE
                   && (b->messages == NULL || b->messages[i] == NULL);
    }
    return missing <= b->lost;
}

bool
fc_batch_stop(BatchObject *b)
{
    if (b->index < 0) {
        return false;
    }
    struct fc_requester *r = &b->hub->hub->requester;
    bool done;
    uint32_t first =
        fc_batch_cancel(fc_requester_batch(r, (uint32_t)b->index), &done);
    fc_requester_close_batch(r, (uint32_t)b->index);
    if (first < b->begun) {
        b->begun = first;
    }
    b->ended = b->ended || done;
    return b->ended;
}

void
fc_batch_told(fc_state *st, BatchObject *b, uint32_t i, PyObject *sealed,
              bool done, fc_due *due)
{
    HubObject *hub = b->hub;
    FutureObject *f = NULL;
    bool wake = false;
    PyObject **fresh = NULL;
    if (sealed != NULL && b->messages == NULL) {
        fresh = calloc(b->count, sizeof(PyObject *));
    }
    fc_hub_enter(hub);
    b->ended = b->ended || done;
    b->lost += sealed == NULL && !done;
    if (b->messages == NULL && fresh != NULL) {
        b->messages = fresh;
        fresh = NULL;
    }
    if (sealed != NULL && i < b->count && b->messages != NULL
        && b->messages[i] == NULL) {
        b->messages[i] = sealed;
        sealed = NULL;
    }
    if (is_complete(b)) {
        uint32_t index = (uint32_t)b->index;
        fc_batch_keep(b);
        f = fc_requester_forget(&hub->hub->requester, index);
    }
    wake = hub->hub->led;
    fc_hub_exit(hub);
    free(fresh);
    Py_XDECREF(sealed); /* nonsense, or there was no memory */
    if (f != NULL) {
        (void)fc_future_deliver(st, f, Py_None, 0, due);
        Py_DECREF(f);
        fc_hub_count_down(hub);
    }
    if (wake) {
        fc_hub_nudge(hub->hub);
    }
}

enum fc_item_state
fc_batch_look(BatchObject *b, uint32_t i, struct fc_cell *to, uint32_t most,
              uint32_t *many, PyObject **sealed,
              const _Atomic(uint32_t) **word)
{
    enum fc_item_state state = FC_ITEM_PENDING;
    *many = 0;
    *word = NULL;
    fc_hub_enter(b->hub);
    struct fc_cell *cells = cells_of(b);
    uint32_t seen = cells != NULL ? state_of(&cells[i]) : FC_CELL_EMPTY;
    if (b->messages != NULL && b->messages[i] != NULL) {
        state = FC_ITEM_SEALED;
        if (sealed != NULL) {
            *sealed = b->messages[i];
            b->messages[i] = NULL;
            /* Handed out: not waited for any more. */
            atomic_store_explicit(&cells[i].state, FC_CELL_NONE,
                                  memory_order_relaxed);
        }
    }
    else if (seen != FC_CELL_EMPTY && seen != FC_CELL_MESSAGE) {
        state = FC_ITEM_INLINE;
        /* What was seen of the first one counts, whatever stands there now. */
        while (*many < most && seen != FC_CELL_EMPTY
               && seen != FC_CELL_MESSAGE) {
            to[*many].state = seen;
            to[*many].value = cells[i + *many].value;
            (*many)++;
            if (i + *many == b->count) {
                break;
            }
            seen = state_of(&cells[i + *many]);
        }
    }
    else if (i >= b->begun
             || fc_state_is_done(fc_future_load_state(b->future))) {
        state = FC_ITEM_GONE;
    }
    else if (b->index >= 0) {
        *word = &cells[i].state;
    }
    fc_hub_exit(b->hub);
    return state;
}

PyObject *
fc_cell_value(const struct fc_cell *cell)
{
    double number;
    switch (atomic_load_explicit(&cell->state, memory_order_relaxed)) {
    case FC_CELL_NONE:
        return Py_NewRef(Py_None);
    case FC_CELL_FALSE:
        return Py_NewRef(Py_False);
    case FC_CELL_TRUE:
        return Py_NewRef(Py_True);
    case FC_CELL_INT:
        return PyLong_FromLongLong((int64_t)cell->value);
    case FC_CELL_FLOAT:
        memcpy(&number, &cell->value, sizeof(number));
        return PyFloat_FromDouble(number);
    default:
        (void)fc_incoming_complain();
        return NULL;
    }
}

/* --- the type ------------------------------------------------------------------ */

static int
batch_tp_traverse(PyObject *self, visitproc visit, void *arg)
{
    BatchObject *b = (BatchObject *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT((PyObject *)b->hub);
    Py_VISIT((PyObject *)b->future);
    for (uint32_t i = 0; b->messages != NULL && i < b->count; i++) {
        Py_VISIT(b->messages[i]);
    }
    return 0;
}

static int
batch_tp_clear(PyObject *self)
{
    BatchObject *b = (BatchObject *)self;
    Py_CLEAR(b->future);
    for (uint32_t i = 0; b->messages != NULL && i < b->count; i++) {
        Py_CLEAR(b->messages[i]);
    }
    return 0;
}

static void
batch_tp_dealloc(PyObject *self)
{
    BatchObject *b = (BatchObject *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)batch_tp_clear(self);
    free(b->ends);
    free(b->bytes);
    free(b->cells);
    free(b->messages);
    Py_XDECREF((PyObject *)b->hub);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyType_Slot batch_slots[] = {
    {Py_tp_dealloc, batch_tp_dealloc},
    {Py_tp_traverse, batch_tp_traverse},
    {Py_tp_clear, batch_tp_clear},
    {0, NULL},
};

static PyType_Spec batch_spec = {
    .name = "futures_c._native._Batch",
    .basicsize = sizeof(BatchObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC
             | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = batch_slots,
};

int
fc_batch_init(PyObject *module, fc_state *st)
{
    st->batch_type = (PyTypeObject *)PyType_FromModuleAndSpec(
        module, &batch_spec, NULL);
    return st->batch_type != NULL ? 0 : -1;
}
