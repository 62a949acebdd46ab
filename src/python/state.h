/* state.h - the state of one instance of the module futures_c._native, and
 * what its files know of each other.
 *
 * One instance belongs to one interpreter.  There are no mutable statics in
 * this folder: two interpreters with a GIL each may run all of it at once.
 */
#ifndef FC_STATE_H
#define FC_STATE_H

#include "python/compat.h"

#include <stdatomic.h>

/* The number of Future objects kept for reuse; a bulk of small tasks that
 * are awaited one by one lives on a handful. */
#define FC_FREE_FUTURES 128

typedef struct fc_state {
    /* types of ours */
    PyTypeObject *future_type;
    PyTypeObject *waiter_type;
    PyTypeObject *as_completed_type;
    PyTypeObject *map_type;
    PyTypeObject *map_iterator_type;
    PyTypeObject *queue_type;
    PyTypeObject *item_type;
    PyTypeObject *worker_type;
    PyTypeObject *sink_type;
    PyTypeObject *region_type;
    PyTypeObject *sealed_type;
    PyTypeObject *hub_type;
    PyTypeObject *worker_end_type;
    PyTypeObject *batch_type;
    PyTypeObject *process_map_type;
    PyTypeObject *mailbox_type;
    PyTypeObject *link_type;
    PyTypeObject *awaiter_type;
    PyTypeObject *interpreter_type;
    PyTypeObject *process_pool_type; /* as pool_type, of futures_c.process */
    PyTypeObject *pool_type; /* NULL until futures_c.thread asks for it */

    /* objects of concurrent.futures */
    PyObject *base_error; /* concurrent.futures._base.Error */
    PyObject *cancelled_error;
    PyObject *invalid_state_error;
    PyObject *logger;
    PyObject *done_and_not_done; /* DoneAndNotDoneFutures */
    PyTypeObject *std_future;    /* concurrent.futures.Future */

    /* names and constants, interned; state_names in the order of
     * enum fc_future_state */
    PyObject *state_names[5];
    PyObject *first_completed, *first_exception, *all_completed;
    PyObject *str__condition, *str__state, *str__waiters;
    PyObject *str_acquire, *str_release, *str_notify_all;
    PyObject *str_add_result, *str_add_exception, *str_add_cancelled;
    PyObject *str_take, *str_append, *str_update, *str_remove, *str_cancelled;
    PyObject *str_exception, *str_submit, *str_run;
    PyObject *str__invoke_callbacks;
    PyObject *str_forking_pickler, *str__copyreg_dispatch_table;
    PyObject *str__extra_reducers;
    PyObject *str__call_set_state, *str_call_soon_threadsafe;
    PyObject *str_set_result, *str_create_future, *str_add_done_callback;
    PyObject *str_remove_done_callback;
    PyObject *str_cancel, *str___await__, *str_call_soon;
    PyObject *str_dump, *str_clear_memo, *str_buffers;
    PyObject *condition_factory; /* threading.Condition */
    PyObject *queue_empty;       /* queue.Empty, on first use */
    PyObject *getswitchinterval; /* sys.getswitchinterval */
    PyObject *switch_point;      /* a Python function that does nothing */
    PyObject *zero;

    /* for asyncio; see loop.c and await.c */
    PyObject *mailboxes;        /* by the address of the loop */
    PyObject *chain_code;       /* of asyncio's own callback, once it was seen */
    PyObject *get_running_loop; /* on first use */
    PyObject *names_context;    /* ("context",) */

    /* for messages to other processes, on first use; under sink_type's lock */
    PyObject *reduction;    /* multiprocessing.reduction */
    PyObject *pickle_loads; /* pickle.loads */
    PyObject *pickler;      /* one that is kept for reuse; pickling.c */

    /* Everything below and above is there, not only what a worker process
     * needs; see module.c. */
    bool complete;

    /* The interpreter is exiting: idle workers leave. */
    _Atomic(bool) exiting;

    /* The thread that runs signal handlers, and the fork generation in which it
     * was looked up (0: never); see signals.h. */
    _Atomic(unsigned long) main_thread;
    _Atomic(uint32_t) main_generation;

    /* Hints that only ever cost or save time; see gil.h. */
    _Atomic(int) submitter_cpu;
    _Atomic(int) worker_cpu;
    _Atomic(int) yield_skip;
    _Atomic(int) yield_penalty;

    /* Futures for reuse; guarded by the GIL, unused without one. */
    PyObject *free_futures[FC_FREE_FUTURES];
    int free_count;
} fc_state;

extern struct PyModuleDef fc_module;

static inline fc_state *
fc_state_of_module(PyObject *module)
{
    return (fc_state *)PyModule_GetState(module);
}

/* The state behind an object of one of our types or of a subclass. */
fc_state *fc_state_of(PyObject *self);

/* The same for an object of exactly one of our types, also while it dies: a
 * class and its instances may be collected together, and then the class has
 * lost what fc_state_of() goes by.  NULL when the module is gone. */
static inline fc_state *
fc_state_of_exact(PyTypeObject *type)
{
    PyObject *module = ((PyHeapTypeObject *)type)->ht_module;
    return module != NULL ? fc_state_of_module(module) : NULL;
}

/* --- module.c's parts, one per file -------------------------------------- */
int fc_future_init(PyObject *module, fc_state *st);
int fc_waiter_init(PyObject *module, fc_state *st);
int fc_as_completed_init(PyObject *module, fc_state *st);
int fc_map_init(PyObject *module, fc_state *st);
int fc_queue_init_types(PyObject *module, fc_state *st);
int fc_worker_init(PyObject *module, fc_state *st);
int fc_pickling_init(PyObject *module, fc_state *st);
int fc_region_init(PyObject *module, fc_state *st);
int fc_sealed_init(PyObject *module, fc_state *st);
int fc_hub_init(PyObject *module, fc_state *st);
int fc_worker_end_init(PyObject *module, fc_state *st);
int fc_batch_init(PyObject *module, fc_state *st);
int fc_loop_init(PyObject *module, fc_state *st);
int fc_await_init(PyObject *module, fc_state *st);
int fc_awaiter_init(PyObject *module, fc_state *st);
int fc_interpreter_init(PyObject *module, fc_state *st);
int fc_process_map_init(PyObject *module, fc_state *st);

/* Functions of the module. */
PyObject *fc_wait(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
                  PyObject *kwnames);
PyObject *fc_as_completed(PyObject *module, PyObject *const *args,
                          Py_ssize_t nargs, PyObject *kwnames);
PyObject *fc_make_pool_type(PyObject *module, PyObject *base);
PyObject *fc_make_process_pool_type(PyObject *module, PyObject *base);
PyObject *fc_encode(PyObject *module, PyObject *object);
PyObject *fc_decode(PyObject *module, PyObject *args);

/* Log `message` % args with the current exception through the standard
 * logger ("concurrent.futures"), as LOGGER.exception or LOGGER.critical do.
 * The exception is consumed; errors of logging itself are reported as
 * unraisable.  `arg` may be NULL. */
void fc_log_exception(fc_state *st, const char *method, const char *message,
                      PyObject *arg);

#endif /* FC_STATE_H */
