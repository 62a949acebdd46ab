/* region.c - see region.h. */
#include "python/region.h"

#include <stdlib.h>
#include <unistd.h>

/* Bytes from which on a block is mapped; shorter ones are copied.  A process may
 * have 65,530 mappings (vm.max_map_count), and a program may keep as many
 * results. */
#define MAP_FROM ((uint64_t)1 << 19)

typedef struct {
    PyObject_HEAD
    unsigned char *bytes;
    uint64_t length;
    uint64_t mapped;        /* bytes; 0: from malloc() */
    struct fc_return *back; /* NULL: nothing to give back */
    uint32_t forks;         /* fc_forks() when it was made */
    fc_region_home home;
} RegionObject;

static void
give_back(RegionObject *region)
{
    if (region->mapped > 0 && region->forks != fc_forks()) {
        /* A child that was forked meanwhile maps these bytes too, and would see
         * what is written into the block next.  They go with the file. */
        free(region->back);
        region->back = NULL;
    }
    if (region->back != NULL) {
        fc_returns_push(region->home.returns, region->back);
        region->back = NULL;
    }
    region->home.drop(region->home.owner);
}

/* Where no mapping is to be had: a copy, read through the descriptor. */
static bool
copy_block(RegionObject *region, const struct fc_segment *s,
           const struct fc_wire_block *block)
{
    region->bytes = block->length <= SIZE_MAX
                        ? malloc((size_t)block->length + 1)
                        : NULL;
    uint64_t have = 0;
    while (region->bytes != NULL && have < block->length) {
        ssize_t got =
            pread(s->fd, region->bytes + have,
                  (size_t)(block->length - have),
                  (off_t)(block->offset + have));
        if (got <= 0) {
            free(region->bytes);
            region->bytes = NULL;
        }
        else {
            have += (uint64_t)got;
        }
    }
    return region->bytes != NULL;
}

PyObject *
fc_region_new(fc_state *st, const struct fc_segment *s,
              const struct fc_wire_block *block, fc_region_home home)
{
    struct fc_return *back = malloc(sizeof(*back));
    RegionObject *region = PyObject_New(RegionObject, st->region_type);
    if (back != NULL) {
        back->offset = block->offset;
        back->size = block->size;
    }
    if (region == NULL) {
        if (back != NULL) {
            fc_returns_push(home.returns, back);
        }
        home.drop(home.owner);
        return NULL;
    }
    region->home = home;
    region->forks = fc_forks();
    region->back = back;
    region->length = block->length;
    region->mapped = block->size;
    region->bytes =
        block->length < MAP_FROM
            ? NULL
            : fc_memory_map(s->fd, block->offset, block->size,
                            FC_MAP_PRIVATE);
    if (region->bytes == NULL) {
        region->mapped = 0;
        if (!copy_block(region, s, block)) {
            Py_DECREF(region);
            PyErr_NoMemory();
            return NULL;
        }
        if (back != NULL) {
            /* It is not needed any more. */
            fc_returns_push(home.returns, back);
            region->back = NULL;
        }
    }
    return (PyObject *)region;
}

const unsigned char *
fc_region_bytes(PyObject *self, uint64_t *length)
{
    RegionObject *region = (RegionObject *)self;
    *length = region->length;
    return region->bytes;
}

static void
region_tp_dealloc(PyObject *self)
{
    RegionObject *region = (RegionObject *)self;
    PyTypeObject *type = Py_TYPE(self);
    if (region->mapped > 0) {
        fc_memory_unmap(region->bytes, region->mapped);
    }
    else {
        free(region->bytes);
    }
    give_back(region);
    type->tp_free(self);
    Py_DECREF(type);
}

static int
region_getbuffer(PyObject *self, Py_buffer *view, int flags)
{
    RegionObject *region = (RegionObject *)self;
    return PyBuffer_FillInfo(view, self, region->bytes,
                             (Py_ssize_t)region->length, 0, flags);
}

static PyType_Slot region_slots[] = {
    {Py_tp_dealloc, region_tp_dealloc},
    {Py_bf_getbuffer, region_getbuffer},
    {0, NULL},
};

static PyType_Spec region_spec = {
    .name = "futures_c._native._Region",
    .basicsize = sizeof(RegionObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE
             | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = region_slots,
};

int
fc_region_init(PyObject *module, fc_state *st)
{
    st->region_type = (PyTypeObject *)PyType_FromModuleAndSpec(
        module, &region_spec, NULL);
    return st->region_type != NULL ? 0 : -1;
}
