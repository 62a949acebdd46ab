/* macros.h - what stands in for Python.h where cppcheck, which is not given the
 * interpreter's headers, has to know how a macro pairs.  Its configuration for
 * Python knows the functions. */
#define Py_BEGIN_ALLOW_THREADS {
#define Py_END_ALLOW_THREADS }
#define Py_TRASHCAN_BEGIN(op, dealloc) {
#define Py_TRASHCAN_END }
#define Py_BEGIN_CRITICAL_SECTION(op) {
#define Py_END_CRITICAL_SECTION() }
#define PyObject_HEAD PyObject ob_base;
/* It cannot read the types that C11 writes with brackets. */
#define _Atomic(type) type
