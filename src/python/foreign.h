/* foreign.h - futures that are not ours: the standard class's, and whatever
 * else follows the protocol of `_condition`, `_state` and `_waiters`, which
 * the standard wait() and as_completed() rely on. */
#ifndef FC_FOREIGN_H
#define FC_FOREIGN_H

#include "python/future.h"

/* acquire() and release() of a condition.  False, and what release() raises
 * kept in *raised (the first one stays): an exception. */
bool fc_condition_acquire(fc_state *st, PyObject *condition);
void fc_condition_release(fc_state *st, PyObject *condition,
                          PyObject **raised);

/* 1: `future` is settled (finished, or cancelled and notified); 0: it is
 * not; -1: exception. */
int fc_any_settled(fc_state *st, PyObject *future);

/* Register a waiter with any future, under its lock.  1: registered; 0: it
 * is settled already; -1: exception. */
int fc_any_add_waiter(fc_state *st, PyObject *future, PyObject *waiter);

/* Take it off again, if it is there. */
int fc_any_remove_waiter(fc_state *st, PyObject *future, PyObject *waiter);

/* 1: settled with an exception; 0: otherwise; -1: exception. */
int fc_any_raised(fc_state *st, PyObject *future);

/* The same for one that is locked by its `_condition`. */
int fc_foreign_add_waiter(fc_state *st, PyObject *future, PyObject *waiter);
int fc_foreign_remove_waiter(fc_state *st, PyObject *future,
                             PyObject *waiter);

/* Remove `item`, by identity, from a list of ours that may hold it. */
int fc_list_discard(PyObject *list, PyObject *item);

#endif /* FC_FOREIGN_H */
