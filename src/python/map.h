/* map.h - executor.map() without futures: one descriptor, a slot per item.
 *
 * The caller draws inputs, each into the next slot, and queues the
 * descriptor once per input; a worker that pops it runs the first input that
 * nobody has begun; the iterator hands out the slots in order.  A slot costs
 * 9 bytes and a queue cell.
 */
#ifndef FC_MAP_H
#define FC_MAP_H

#include "python/runner.h"

typedef struct MapObject MapObject;

/* Run the next input of the descriptor and take the runner's next item, as
 * fc_runner_run().  Steals the reference to `map`. */
void *fc_map_run(fc_runner *runner, MapObject *map);

/* Turn the next input into a future that is linked to its slot, for code
 * that takes items out of the queue by itself.  NULL without exception when
 * there is none.  Borrows `map`. */
FutureObject *fc_map_take_as_future(fc_state *st, MapObject *map);

/* --- the descriptor, as its iterator sees it: one thread at a time ------------ */

enum fc_map_outcome {
    FC_MAP_PENDING,   /* the next result is not there yet */
    FC_MAP_RETURNED,  /* *value is the result */
    FC_MAP_RAISED,    /* *value is the exception */
    FC_MAP_CANCELLED, /* no value */
    FC_MAP_LINKED,    /* *value is the future that will have it */
};

/* A descriptor for fn; `many`: each input is a tuple of its arguments. */
MapObject *fc_map_descriptor_new(fc_state *st, PyObject *fn, bool many);

/* Add an input (stolen), which begins when the descriptor is queued once
 * more.  0, or -1 with MemoryError. */
int fc_map_add(MapObject *map, PyObject *input);

/* The number of inputs whose outcomes have not been read. */
uint64_t fc_map_unread(MapObject *map);

/* Take the next outcome (a new reference); there is an unread input. */
enum fc_map_outcome fc_map_read(MapObject *map, PyObject **value);

/* Sleep on `group`, as fc_group_sleep(), until the next outcome is there. */
int fc_map_await(fc_state *st, MapObject *map, struct fc_group *group,
                 int64_t deadline);

/* Nothing more begins, and what was not read is dropped. */
void fc_map_stop(MapObject *map);

/* Everything runs, and all outcomes are dropped. */
void fc_map_abandon(MapObject *map);

/* --- the iterator ------------------------------------------------------------------ */

/* What executor.map(fn, *iterables) returns.  `timeout` in seconds or None;
 * `buffersize` 0: draw all inputs now. */
PyObject *fc_map_start(fc_state *st, PyObject *pool, PyObject *fn,
                       PyObject *const *iterables, Py_ssize_t count,
                       PyObject *timeout, Py_ssize_t buffersize);

int fc_map_iterator_init(PyObject *module, fc_state *st);

#endif /* FC_MAP_H */
