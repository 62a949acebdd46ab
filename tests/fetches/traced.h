/* traced.h - included before each instrumented file: copies are seen too, which
 * the compiler would not instrument.  <string.h> declares the function, under this
 * name; nothing may be included here, before the file has said what it wants of
 * the system's headers. */
#ifndef TRACED_H
#define TRACED_H

#define memcpy traced_memcpy

#endif /* TRACED_H */
