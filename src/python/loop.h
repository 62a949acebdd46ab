/* loop.h - the ends of futures on their way to event loops of asyncio.
 *
 * asyncio chains its futures to ours by a callback that does nothing but ask the
 * loop, by call_soon_threadsafe(), to take the outcome over.  For thousands of
 * futures that is as many handles, and a write to a socket each.  So such a
 * callback is not called: what it would have the loop do is put into the loop's
 * mailbox, and the loop is woken for the first letter in it only.  Letters are
 * taken out in the order in which they came.
 *
 * What is recognized: the links of await.c, and the callback of
 * asyncio.futures._chain_future() as it is on 3.11 ... 3.15.  Everything else,
 * another version of it included, is called.
 */
#ifndef FC_LOOP_H
#define FC_LOOP_H

#include "python/future.h"

/* Chains one of our futures to one of asyncio's; or, a bell, has a loop call a
 * function when one of several futures has ended. */
typedef struct {
    PyObject_HEAD
    PyObject *loop;
    PyObject *source;      /* our future; of a bell, the function */
    PyObject *destination; /* asyncio's future; of a bell, NULL */
} LinkObject;

/* Have a loop told of the end of `f`, if all that `callback` does is that.
 * False: it has to be called. */
bool fc_loop_post(fc_state *st, PyObject *callback, PyObject *f);

/* What asyncio's loop does for a link, in its thread: hand over the outcome.
 * 0, or -1 with what the asyncio future raised. */
int fc_link_deliver(fc_state *st, LinkObject *link, PyObject *f);

/* The loop that runs in this thread, or None; a new reference.  NULL: an
 * exception. */
PyObject *fc_running_loop(fc_state *st);

/* A function of futures_c._asyncio. */
PyObject *fc_asyncio_helper(const char *name, PyObject *first,
                            PyObject *second);

/* _wrap(future, loop): an asyncio future that ends as `future` does, and whose
 * cancellation cancels it. */
PyObject *fc_wrap_future(PyObject *module, PyObject *const *args,
                         Py_ssize_t nargs);

/* _bell(loop, function): a callback for futures, upon which the loop calls
 * `function`, once or several times. */
PyObject *fc_make_bell(PyObject *module, PyObject *const *args,
                       Py_ssize_t nargs);

/* future.__await__() */
PyObject *fc_future_am_await(PyObject *self);

#endif /* FC_LOOP_H */
