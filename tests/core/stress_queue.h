/* stress_queue.h - the one way in which the queue is stressed. */
#ifndef STRESS_QUEUE_H
#define STRESS_QUEUE_H

#include <stdint.h>

struct stress_queue {
    unsigned producers;
    unsigned consumers;
    uint64_t items;      /* by each producer */
    uint64_t fail_every; /* every k-th allocation fails; 0: none */
    unsigned lives;      /* each producer is so many threads in a row */
    bool delays;         /* random pauses and sleeps between operations */
    bool quiesce;        /* consumers let go of segments now and then */
};

/* Checks that each item comes out once, and that those of one producer come
 * to each consumer in their order. */
void stress_queue(const struct stress_queue *config);

#endif /* STRESS_QUEUE_H */
