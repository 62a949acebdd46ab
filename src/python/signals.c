/* signals.c - which thread runs signal handlers; see signals.h. */
#include "python/signals.h"

/* threading's main thread: in a forked child, the one that called fork().  Only
 * attributes are read: a signal handler that ran in here would have nobody to
 * raise to. */
static unsigned long
main_thread_now(void)
{
    PyObject *name = PyUnicode_FromString("threading");
    PyObject *threading = name != NULL ? PyImport_GetModule(name) : NULL;
    PyObject *thread = threading != NULL
                           ? PyObject_GetAttrString(threading, "_main_thread")
                           : NULL;
    PyObject *ident =
        thread != NULL ? PyObject_GetAttrString(thread, "_ident") : NULL;
    unsigned long number = 0;
    if (ident != NULL && PyLong_Check(ident)) {
        number = PyLong_AsUnsignedLong(ident);
    }
    Py_XDECREF(ident);
    Py_XDECREF(thread);
    Py_XDECREF(threading);
    Py_XDECREF(name);
    /* Without memory, or without the module, nobody is: signals still end a
     * sleep. */
    if (PyErr_Occurred()) {
        PyErr_Clear();
        number = 0;
    }
    return number;
}

bool
fc_runs_handlers(fc_state *st)
{
    uint32_t generation = fc_fork_generation();
    /* Release and acquire: who sees the generation sees its thread. */
    if (atomic_load_explicit(&st->main_generation, memory_order_acquire)
        != generation) {
        unsigned long thread = main_thread_now();
        if (thread == 0) {
            return false;
        }
        atomic_store_explicit(&st->main_thread, thread, memory_order_relaxed);
        atomic_store_explicit(&st->main_generation, generation,
                              memory_order_release);
    }
    return atomic_load_explicit(&st->main_thread, memory_order_relaxed)
           == PyThread_get_thread_ident();
}
