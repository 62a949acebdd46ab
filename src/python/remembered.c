/* remembered.c - see remembered.h. */
#include "python/remembered.h"

/* --- of the side that sends ---------------------------------------------- */

int
fc_sent_begin(fc_sent_functions *self)
{
    Py_XSETREF(self->numbers, PyDict_New());
    return self->numbers != NULL ? 0 : -1;
}

int
fc_sent_traverse(fc_sent_functions *self, visitproc visit, void *arg)
{
    Py_VISIT(self->numbers);
    for (uint32_t i = 0; i < FC_REMEMBERED_MAX; i++) {
        Py_VISIT(self->at[i].key);
        Py_VISIT(self->at[i].code);
    }
    return 0;
}

void
fc_sent_function_clear(fc_sent_function *fresh)
{
    Py_CLEAR(fresh->key);
    Py_CLEAR(fresh->code);
}

void
fc_sent_clear(fc_sent_functions *self)
{
    Py_CLEAR(self->numbers);
    for (uint32_t i = 0; i < FC_REMEMBERED_MAX; i++) {
        fc_sent_function_clear(&self->at[i]);
    }
}

/* What tells a function from others for as long as the pool lives, so that it
 * is sent once and then goes by a number: borrowed, or NULL for what goes anew
 * each time, by its name. */
static PyObject *
key_of(PyObject *fn)
{
    if (PyCFunction_CheckExact(fn)) {
        PyObject *self = PyCFunction_GET_SELF(fn);
        return self == NULL || PyModule_Check(self) ? fn : NULL;
    }
    if (!PyFunction_Check(fn)) {
        return NULL;
    }
    PyFunctionObject *function = (PyFunctionObject *)fn;
    PyObject *name = function->func_qualname;
    if (!PyUnicode_Check(name)) {
        return NULL;
    }
    Py_ssize_t length = PyUnicode_GET_LENGTH(name);
    if (PyUnicode_FindChar(name, '<', 0, length, 1) == -1) {
        /* Of its module, not of a class. */
        return PyUnicode_FindChar(name, '.', 0, length, 1) == -1 ? fn : NULL;
    }
    /* A lambda, or local to another function: it goes as code, if at all, and
     * is nothing else. */
    return function->func_closure == NULL && function->func_defaults == NULL
                   && function->func_kwdefaults == NULL
               ? function->func_code : NULL;
}

static PyObject *
code_of(PyObject *fn)
{
    return PyFunction_Check(fn) ? PyFunction_GET_CODE(fn) : NULL;
}

int64_t
fc_sent_number(fc_sent_functions *self, PyObject *fn)
{
    PyObject *key = key_of(fn);
    if (key == NULL) {
        return 0;
    }
    PyObject *number = fc_dict_get(self->numbers, key);
    if (number == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    long value = PyLong_AsLong(number);
    Py_DECREF(number);
    return self->at[value - 1].code == code_of(fn) ? value : 0;
}

uint32_t
fc_sent_next(const fc_sent_functions *self, PyObject *fn,
             fc_sent_function *fresh)
{
    PyObject *key = key_of(fn);
    if (key == NULL) {
        return 0;
    }
    fresh->key = Py_NewRef(key);
    fresh->code = Py_XNewRef(code_of(fn));
    return self->next + 1;
}

int
fc_sent_note(fc_sent_functions *self, const fc_sent_function *fresh)
{
    fc_sent_function *sent = &self->at[self->next];
    Py_ssize_t number = self->next + 1;
    self->next = (uint32_t)number % FC_REMEMBERED_MAX;
    fc_sent_function old = *sent;
    *sent = (fc_sent_function){Py_NewRef(fresh->key),
                               Py_XNewRef(fresh->code)};
    int status = 0;
    if (old.key != NULL) {
        /* Unless it has got another number since. */
        PyObject *its = fc_dict_get(self->numbers, old.key);
        if (its == NULL ? PyErr_Occurred() != NULL
                        : PyLong_AsSsize_t(its) == number) {
            status = PyDict_DelItem(self->numbers, old.key);
        }
        Py_XDECREF(its);
        Py_DECREF(old.key);
        Py_XDECREF(old.code);
    }
    PyObject *object = PyLong_FromSsize_t(number);
    if (object == NULL
        || PyDict_SetItem(self->numbers, fresh->key, object) < 0) {
        status = -1;
    }
    Py_XDECREF(object);
    return status;
}

/* --- of the side that receives ------------------------------------------- */

/* What a module has by a name, a new reference; NULL, also where there is no
 * such module. */
static PyObject *
find_in(PyObject *module, PyObject *name)
{
    PyObject *found = NULL;
    if (module != NULL && PyModule_Check(module)) {
        found = fc_dict_get(PyModule_GetDict(module), name);
    }
    PyErr_Clear();
    return found;
}

/* The name of the module that a function is found in by its own name, a new
 * reference; NULL: it came as code, or is none of Python's. */
static PyObject *
module_of(PyObject *fn)
{
    if (!PyFunction_Check(fn)) {
        return NULL;
    }
    PyFunctionObject *function = (PyFunctionObject *)fn;
    PyObject *name = function->func_module;
    PyObject *module = name != NULL ? PyImport_GetModule(name) : NULL;
    PyObject *found = find_in(module, function->func_qualname);
    Py_XDECREF(found);
    Py_XDECREF(module);
    PyErr_Clear();
    return found == fn ? Py_NewRef(name) : NULL;
}

void
fc_known_set(fc_known_functions *self, uint32_t number, PyObject *fn)
{
    fc_known_function *known = &self->at[number - 1];
    Py_XSETREF(known->function, Py_NewRef(fn));
    Py_XSETREF(known->module, module_of(fn));
    Py_XSETREF(known->name,
               known->module != NULL
                   ? Py_NewRef(((PyFunctionObject *)fn)->func_qualname)
                   : NULL);
}

PyObject *
fc_known_get(fc_known_functions *self, uint32_t number)
{
    fc_known_function *known = &self->at[number - 1];
    if (known->module != NULL) {
        PyObject *module =
            fc_dict_get(PyImport_GetModuleDict(), known->module);
        if (module == NULL) {
            /* As pickle does, to which it is a name. */
            PyErr_Clear();
            module = PyImport_Import(known->module);
        }
        PyObject *found = find_in(module, known->name);
        if (found != NULL) {
            Py_SETREF(known->function, found);
        }
        Py_XDECREF(module);
    }
    return Py_NewRef(known->function);
}

void
fc_known_clear(fc_known_functions *self)
{
    for (uint32_t i = 0; i < FC_REMEMBERED_MAX; i++) {
        Py_CLEAR(self->at[i].function);
        Py_CLEAR(self->at[i].name);
        Py_CLEAR(self->at[i].module);
    }
}
