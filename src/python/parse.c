/* parse.c - see parse.h. */
#include "python/parse.h"

static int
parse_keyword(const char *function, const char *const *names, int count,
              Py_ssize_t nargs, PyObject *name, PyObject *value,
              PyObject **values)
{
    for (int i = 0; i < count; i++) {
        if (PyUnicode_CompareWithASCIIString(name, names[i]) != 0) {
            continue;
        }
        if (i < nargs) {
            PyErr_Format(PyExc_TypeError,
                         "%s() got multiple values for argument '%s'",
                         function, names[i]);
            return -1;
        }
        values[i] = value;
        return 0;
    }
    PyErr_Format(PyExc_TypeError,
                 "%s() got an unexpected keyword argument '%U'", function,
                 name);
    return -1;
}

static void
complain_too_many(const char *function, int count, int required,
                  Py_ssize_t nargs)
{
    if (required == count) {
        PyErr_Format(PyExc_TypeError,
                     "%s() takes %d positional argument%s but %zd were given",
                     function, count, count == 1 ? "" : "s", nargs);
    }
    else {
        PyErr_Format(PyExc_TypeError,
                     "%s() takes from %d to %d positional arguments but %zd "
                     "were given",
                     function, required, count, nargs);
    }
}

/* The values of `nargs` parameters by position, of which the call has
 * `skipped` more, then those by keyword. */
static int
parse_values(const char *function, const char *const *names, int count,
             int required, PyObject *const *args, Py_ssize_t nargs,
             Py_ssize_t skipped, PyObject *kwnames, PyObject **values)
{
    for (Py_ssize_t i = 0; i < nargs; i++) {
        values[i] = args[i];
    }
    Py_ssize_t named = kwnames != NULL ? PyTuple_GET_SIZE(kwnames) : 0;
    for (Py_ssize_t i = 0; i < named; i++) {
        if (parse_keyword(function, names, count, nargs,
                          PyTuple_GET_ITEM(kwnames, i),
                          args[nargs + skipped + i], values) < 0) {
            return -1;
        }
    }
    for (int i = 0; i < required; i++) {
        if (values[i] == NULL) {
            PyErr_Format(PyExc_TypeError,
                         "%s() missing 1 required positional argument: '%s'",
                         function, names[i]);
            return -1;
        }
    }
    return 0;
}

int
fc_parse(const char *function, const char *const *names, int count,
         int required, PyObject *const *args, Py_ssize_t nargs,
         PyObject *kwnames, PyObject **values)
{
    if (nargs > count) {
        complain_too_many(function, count, required, nargs);
        return -1;
    }
    return parse_values(function, names, count, required, args, nargs, 0,
                        kwnames, values);
}

int
fc_parse_variadic(const char *function, const char *const *names, int count,
                  int required, PyObject *const *args, Py_ssize_t nargs,
                  PyObject *kwnames, PyObject **values)
{
    Py_ssize_t taken = nargs < required ? nargs : required;
    return parse_values(function, names, count, required, args, taken,
                        nargs - taken, kwnames, values);
}
