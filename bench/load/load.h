/* Shared by the parts of the load generator; load.c says what it is and how it is called. */

#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The end of every video frame. It stands last, so that whoever finds it has received the whole frame. Both ends are
 * this program on this machine: host byte order, one monotonic clock. */
struct trailer {
    unsigned char magic[8];
    uint64_t sent_us;     /* CLOCK_MONOTONIC, taken just before the send */
    uint64_t number;      /* counts the frames of one connection or stream; the highest bit marks a keyframe */
};

#define KEYFRAME (1ull << 63)
#define FILLER 'x'        /* every other byte of a frame: never the first byte of the magic */

extern const unsigned char MAGIC[8];

struct options {
    long port;
    /* media: origin, fanout, publish */
    long frame_bytes;
    long interval_us;         /* 0: as fast as the sockets take it, without trailers */
    long spread;              /* 1: each connection has its own phase in the interval; 0: all at once */
    long tick_us;             /* how finely the phases are kept apart: frames due within one tick leave together */
    long chunked;             /* 1: the origin's body is in chunked coding, one HTTP chunk a frame */
    long audio_bytes;         /* 0: no audio */
    long audio_interval_us;
    long key_every;           /* frames from one keyframe to the next */
    /* sink */
    long viewers;
    long streams;             /* "{}" in the path becomes the viewer's number modulo this */
    long deaf;                /* how many of the viewers, the first ones, never read */
    long ramp_ms;             /* the connections are opened evenly over this time */
    long warm_ms;             /* from everyone's first byte to the measured window */
    long measure_ms;
    long bulk;                /* 1: count bytes alone, look for no trailers */
    const char *path;
    /* publish */
    long count;
    const char *app;
    const char *stream;       /* followed by the publisher's number */
};

uint64_t now_us(void);
void die(const char *what);                        /* says errno's reason, exit status 1 */
int listen_on(long port, long *bound_port);        /* port 0: any; non-blocking */
int watch(int epoll, int fd, uint32_t events, void *data);
int ticker(long tick_us);                          /* a timerfd */
uint64_t ticks(int timer);                         /* how many ticks have passed since the last call */
int compare_doubles(const void *a, const void *b);

int run_origin(const struct options *options);
int run_fanout(const struct options *options);
int run_sink(const struct options *options);
int run_publish(const struct options *options);

#endif
