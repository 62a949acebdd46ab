/* starters.c - a list of those who are starting a worker; see starters.h. */
#include "python/starters.h"

/* Not on the stack of the thread: a daemon thread may be ended in the middle,
 * when the interpreter is being finalized, and finalizers still look here. */
struct fc_starter {
    struct fc_starter *next;
    unsigned long thread;
    uint64_t number;
};

struct fc_starter *
fc_starters_enter(PyObject *owner, struct fc_starters *all)
{
    struct fc_starter *one = PyMem_RawMalloc(sizeof(*one));
    if (one == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    one->thread = PyThread_get_thread_ident();
    FC_LOCK(owner);
    one->number = ++all->begun;
    one->next = all->first;
    all->first = one;
    FC_UNLOCK();
    return one;
}

void
fc_starters_leave(PyObject *owner, struct fc_starters *all,
                  struct fc_starter *one)
{
    if (one == NULL) {
        return;
    }
    FC_LOCK(owner);
    struct fc_starter **link = &all->first;
    while (*link != one) {
        link = &(*link)->next;
    }
    *link = one->next;
    FC_UNLOCK();
    PyMem_RawFree(one);
}

uint64_t
fc_starters_latest(PyObject *owner, struct fc_starters *all)
{
    uint64_t latest;
    FC_LOCK(owner);
    latest = all->begun;
    FC_UNLOCK();
    return latest;
}

bool
fc_starters_other(PyObject *owner, struct fc_starters *all, uint64_t latest)
{
    unsigned long me = PyThread_get_thread_ident();
    bool found = false;
    FC_LOCK(owner);
    for (struct fc_starter *one = all->first; one != NULL && !found;
         one = one->next) {
        found = one->number <= latest && one->thread != me;
    }
    FC_UNLOCK();
    return found;
}

void
fc_starters_clear(struct fc_starters *all)
{
    while (all->first != NULL) {
        struct fc_starter *one = all->first;
        all->first = one->next;
        PyMem_RawFree(one);
    }
}
