/* parse.h - arguments of functions that stand in for Python functions. */
#ifndef FC_PARSE_H
#define FC_PARSE_H

#include "python/compat.h"

/* Distribute a vectorcall's arguments over `values` (borrowed; those not
 * given keep what the caller put there).  `names` are the `count`
 * parameters, the first `required` of them without default.  The texts of
 * the TypeErrors are those of a Python function.  0, or -1. */
int fc_parse(const char *function, const char *const *names, int count,
             int required, PyObject *const *args, Py_ssize_t nargs,
             PyObject *kwnames, PyObject **values);

/* The same for a function whose first `required` parameters are followed by
 * any number of positional arguments: those are not looked at, and the other
 * names are given by keyword only. */
int fc_parse_variadic(const char *function, const char *const *names,
                      int count, int required, PyObject *const *args,
                      Py_ssize_t nargs, PyObject *kwnames, PyObject **values);

#endif /* FC_PARSE_H */
