/* calls.c - see calls.h. */
#include "python/calls.h"

/* The first byte. */
enum { CALL_PLAIN = 'c', CALL_PICKLED = 'k', CALL_WITH_FUNCTION = 'f' };

/* The count has one byte; more arguments are pickle's. */
#define PLAIN_ARGS_MAX 255

int
fc_call_put_plain(fc_outgoing *o, PyObject *const *args, Py_ssize_t nargs)
{
    size_t size = o->size;
    unsigned count = o->count;
    unsigned char *head = fc_outgoing_room(o, 2);
    if (head == NULL) {
        return -1;
    }
    head[0] = CALL_PLAIN;
    head[1] = (unsigned char)nargs;
    o->size += 2;
    for (Py_ssize_t i = 0; i < nargs; i++) {
        int put = fc_value_put(o, args[i]);
        if (put <= 0) {
            fc_outgoing_cut(o, size, count);
            return put;
        }
    }
    return 1;
}

/* (args, kwargs), or with the function in front. */
static PyObject *
make_tuple(const fc_call *call, bool with_function)
{
    Py_ssize_t named =
        call->kwnames != NULL ? PyTuple_GET_SIZE(call->kwnames) : 0;
    PyObject *args = PyTuple_New(call->nargs);
    PyObject *kwargs = PyDict_New();
    PyObject *all = NULL;
    if (args == NULL || kwargs == NULL) {
        goto done;
    }
    for (Py_ssize_t i = 0; i < call->nargs; i++) {
        PyTuple_SET_ITEM(args, i, Py_NewRef(call->args[i]));
    }
    for (Py_ssize_t i = 0; i < named; i++) {
        if (PyDict_SetItem(kwargs, PyTuple_GET_ITEM(call->kwnames, i),
                           call->args[call->nargs + i]) < 0) {
            goto done;
        }
    }
    all = with_function ? PyTuple_Pack(3, call->fn, args, kwargs)
                        : PyTuple_Pack(2, args, kwargs);
done:
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    return all;
}

int
fc_call_put(fc_state *st, fc_outgoing *o, const fc_call *call,
            uint32_t number, bool only_plain)
{
    if (number > 0 && call->kwnames == NULL && call->nargs <= PLAIN_ARGS_MAX) {
        int put = fc_call_put_plain(o, call->args, call->nargs);
        if (put != 0) {
            return put;
        }
    }
    if (only_plain) {
        return 0;
    }
    unsigned char first = number > 0 ? CALL_PICKLED : CALL_WITH_FUNCTION;
    PyObject *all = make_tuple(call, number == 0);
    int status = all != NULL ? fc_outgoing_put(o, &first, 1) : -1;
    if (status == 0) {
        status = fc_pickle_put(st, o, all);
    }
    Py_XDECREF(all);
    return status < 0 ? -1 : 1;
}

PyObject *
fc_call_get_values(fc_incoming *in, int count)
{
    PyObject *args = PyTuple_New(count);
    for (Py_ssize_t i = 0; args != NULL && i < count; i++) {
        PyObject *value = fc_value_get(in);
        if (value == NULL) {
            Py_CLEAR(args);
        }
        else {
            PyTuple_SET_ITEM(args, i, value);
        }
    }
    if (args != NULL && in->at != in->end) {
        Py_CLEAR(args);
        (void)fc_incoming_complain();
    }
    return args;
}

int
fc_call_get_plain(fc_incoming *in, PyObject **args, int most)
{
    unsigned char head[2];
    if (fc_incoming_read(in, head, sizeof(head)) < 0) {
        return -1;
    }
    if (head[0] != CALL_PLAIN) {
        return fc_incoming_complain();
    }
    if (head[1] > most) {
        /* Not to be read a second time: it may be something else then. */
        return -head[1];
    }
    for (int i = 0; i < head[1]; i++) {
        args[i] = fc_value_get(in);
        if (args[i] == NULL) {
            while (--i >= 0) {
                Py_DECREF(args[i]);
            }
            return -1;
        }
    }
    return head[1];
}

int
fc_call_get(fc_state *st, fc_incoming *in, PyObject *owner, PyObject **fn,
            PyObject **args, PyObject **kwargs)
{
    unsigned char first;
    *fn = *args = *kwargs = NULL;
    if (fc_incoming_read(in, &first, 1) < 0) {
        return -1;
    }
    if (first == CALL_PLAIN) {
        unsigned char count;
        if (fc_incoming_read(in, &count, 1) < 0) {
            return -1;
        }
        *args = fc_call_get_values(in, count);
        return *args != NULL ? 0 : -1;
    }
    if (first != CALL_PICKLED && first != CALL_WITH_FUNCTION) {
        return fc_incoming_complain();
    }
    Py_ssize_t most = first == CALL_WITH_FUNCTION ? 3 : 2;
    PyObject *all = fc_pickle_get(st, in, owner);
    if (all == NULL) {
        return -1;
    }
    int status = -1;
    if (!PyTuple_CheckExact(all) || PyTuple_GET_SIZE(all) != most
        || !PyTuple_CheckExact(PyTuple_GET_ITEM(all, most - 2))
        || !PyDict_CheckExact(PyTuple_GET_ITEM(all, most - 1))) {
        (void)fc_incoming_complain();
    }
    else {
        if (most == 3) {
            *fn = Py_NewRef(PyTuple_GET_ITEM(all, 0));
        }
        *args = Py_NewRef(PyTuple_GET_ITEM(all, most - 2));
        PyObject *dict = PyTuple_GET_ITEM(all, most - 1);
        if (PyDict_GET_SIZE(dict) > 0) {
            *kwargs = Py_NewRef(dict);
        }
        status = 0;
    }
    Py_DECREF(all);
    return status;
}
