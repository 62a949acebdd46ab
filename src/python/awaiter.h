/* awaiter.h - what a task of asyncio waits for when it awaits one of our futures.
 *
 * An awaiter is three things that asyncio has apart: the iterator that `await`
 * drives, the future that the task is told of, and the link between that future
 * and ours.  A task recognizes a future by `_asyncio_future_blocking`, and
 * asks it for no more than is here.
 *
 * It belongs to the thread of its loop.  From other threads comes nothing but the
 * letter that our future has ended (loop.h), and with it the task goes on at
 * once, within the loop's turn that empties the mailbox.
 */
#ifndef FC_AWAITER_H
#define FC_AWAITER_H

#include "python/future.h"

/* What future.__await__() returns for a future of exactly our class. */
PyObject *fc_awaiter_new(fc_state *st, PyObject *future);

/* The loop that it belongs to: a new reference, or NULL. */
PyObject *fc_awaiter_loop(PyObject *awaiter);

/* In the loop's thread: our future has ended.  `soon`: the task goes on in
 * the loop's next turn.  0, or -1 with what it has raised. */
int fc_awaiter_deliver(fc_state *st, PyObject *awaiter, bool soon);

#endif /* FC_AWAITER_H */
