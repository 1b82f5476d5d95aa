/* sink: viewers of an HTTP server on loopback. In turn:
 *
 *   1. opens its connections, evenly over --ramp-ms, each with a GET of its own; nothing waits for the one before
 *   2. waits until every viewer has had a first byte of a body (15 s at most):        {"event": "joined", ...}
 *   3. reads on for --warm-ms, then measures for --measure-ms:      {"event": "start"} ... {"event": "end"}
 *   4. stops reading, computes, says {"event": "result", ...}, and holds the connections until its stdin is closed
 *
 * A frame's latency is the time from the stamp in its trailer to the recv() that brought its last byte. Frames stamped
 * before the window (a GOP cache's) and those that arrive after it do not count. A gap is the time between two frames
 * of one viewer. Deaf viewers, the first --deaf ones, ask and then never read; their receive buffers are small.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

#define EVENTS 1024
#define RECEIVE_BYTES (1 << 20)
#define CARRY (sizeof(struct trailer) - 1)
#define JOIN_LIMIT_US 15000000u
#define DEAF_RECEIVE_BUFFER 4096
#define NO_NUMBER UINT64_MAX

enum stage { UNSTARTED, CONNECTING, HEAD, BODY, CLOSED };

struct viewer {
    int fd;
    enum stage stage;
    bool deaf;
    int matched;                  /* how much of the head's closing CR LF CR LF has been seen */
    char status[12];              /* "HTTP/1.1 200" */
    int status_bytes;
    uint64_t began_us, head_us, body_us, key_us, closed_us;
    uint64_t frame_us, number;    /* of its last frame: when it came, and which it was */
    unsigned char carry[CARRY];   /* the end of what came last: a trailer may begin there */
    size_t carried;
};

struct samples {
    double *ms;
    size_t count, room;
};

static const struct options *options;
static struct viewer *viewers;
static int epoll;
static char *buffer;
static struct samples latencies, gaps;
static uint64_t window_us;                       /* the start of the measured window; 0: not yet */
static uint64_t bytes, frames, missed;           /* within the window */
static long with_body, refused, failed, lost;    /* lost: closed by the server after the body began */

static void sample(struct samples *s, uint64_t from_us, uint64_t to_us)
{
    if (s->count == s->room) {
        s->room = s->room ? 2 * s->room : 65536;
        s->ms = realloc(s->ms, s->room * sizeof *s->ms);
        if (!s->ms)
            die("memory");
    }
    s->ms[s->count++] = ((double)to_us - (double)from_us) / 1000.0;
}

/* Sorts the samples, and prints them as a member of a JSON object. */
static void print_samples(const char *name, struct samples *s)
{
    size_t n = s->count;
    if (!n) {
        printf(", \"%s\": null", name);
        return;
    }
    qsort(s->ms, n, sizeof *s->ms, compare_doubles);
    printf(", \"%s\": {\"count\": %zu, \"p50\": %.3f, \"p90\": %.3f, \"p99\": %.3f, \"max\": %.3f}", name, n, s->ms[n / 2],
           s->ms[n * 9 / 10], s->ms[n * 99 / 100], s->ms[n - 1]);
}

static void end(struct viewer *v, long *counter)
{
    epoll_ctl(epoll, EPOLL_CTL_DEL, v->fd, NULL);
    close(v->fd);
    v->stage = CLOSED;
    v->closed_us = now_us();
    ++*counter;
}

static void begin(struct viewer *v)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)options->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    v->began_us = now_us();
    v->number = NO_NUMBER;
    v->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (v->fd < 0)
        die("socket");
    if (v->deaf) {
        int size = DEAF_RECEIVE_BUFFER;
        setsockopt(v->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    }
    v->stage = CONNECTING;
    watch(epoll, v->fd, EPOLLOUT, v);
    if (connect(v->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS)
        end(v, &failed);
}

static void ask(struct viewer *v)
{
    char request[1024], path[512];
    long stream = (v - viewers) % options->streams;
    const char *mark = strstr(options->path, "{}");
    if (mark)
        snprintf(path, sizeof path, "%.*s%ld%s", (int)(mark - options->path), options->path, stream, mark + 2);
    else
        snprintf(path, sizeof path, "%s", options->path);
    int size = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%ld\r\nUser-Agent: load\r\n\r\n",
                        path, options->port);
    if (send(v->fd, request, (size_t)size, MSG_DONTWAIT) != size) {
        end(v, &failed);
        return;
    }
    struct epoll_event event = {.events = v->deaf ? 0 : EPOLLIN, .data.ptr = v};
    epoll_ctl(epoll, EPOLL_CTL_MOD, v->fd, &event);
    v->stage = HEAD;
}

/* Takes the head's bytes; returns how many they were. */
static size_t read_head(struct viewer *v, const char *data, size_t size, uint64_t now)
{
    static const char end_of_head[] = "\r\n\r\n";
    size_t i = 0;
    if (!v->head_us)
        v->head_us = now;
    while (i < size && v->matched < 4) {
        if (v->status_bytes < (int)sizeof v->status)
            v->status[v->status_bytes++] = data[i];
        v->matched = data[i] == end_of_head[v->matched] ? v->matched + 1 : data[i] == '\r';
        i++;
    }
    return i;
}

static void on_frame(struct viewer *v, const struct trailer *t, uint64_t now)
{
    uint64_t number = t->number & ~KEYFRAME;
    if (t->number & KEYFRAME && !v->key_us)
        v->key_us = now;
    if (window_us && t->sent_us >= window_us) {
        frames++;
        sample(&latencies, t->sent_us, now);
        if (v->frame_us)
            sample(&gaps, v->frame_us, now);
        if (v->number != NO_NUMBER && number > v->number + 1)
            missed += number - v->number - 1;
    }
    v->frame_us = now;
    v->number = number;
}

/* Finds the whole trailers in `data` that begin before `starts`. */
static void find_trailers(struct viewer *v, const char *data, size_t size, size_t starts, uint64_t now)
{
    const char *at = data, *limit = data + starts, *stop = data + size;
    while (at < limit && (at = memchr(at, MAGIC[0], (size_t)(limit - at))) != NULL) {
        struct trailer t;
        if ((size_t)(stop - at) >= sizeof t && !memcmp(at, MAGIC, sizeof MAGIC)) {
            memcpy(&t, at, sizeof t);
            on_frame(v, &t, now);
            at += sizeof t;
        } else {
            at++;
        }
    }
}

static void read_body(struct viewer *v, const char *data, size_t size, uint64_t now)
{
    char seam[2 * CARRY];
    size_t head = size < CARRY ? size : CARRY;

    if (!v->body_us) {
        v->body_us = now;
        with_body++;
    }
    bytes += size;
    if (options->bulk)
        return;
    /* First the trailers that began in an earlier recv, then those that lie in this one. */
    memcpy(seam, v->carry, v->carried);
    memcpy(seam + v->carried, data, head);
    find_trailers(v, seam, v->carried + head, v->carried, now);
    find_trailers(v, data, size, size, now);
    if (size >= CARRY) {
        memcpy(v->carry, data + size - CARRY, CARRY);
        v->carried = CARRY;
    } else {
        size_t all = v->carried + size, keep = all < CARRY ? all : CARRY;
        memcpy(v->carry, seam + all - keep, keep);
        v->carried = keep;
    }
}

static void on_readable(struct viewer *v)
{
    ssize_t size = recv(v->fd, buffer, RECEIVE_BYTES, 0);
    uint64_t now = now_us();
    if (size < 0 && errno == EAGAIN)
        return;
    if (size <= 0) {
        end(v, v->stage == BODY ? &lost : &failed);
        return;
    }
    size_t skip = 0;
    if (v->stage == HEAD) {
        skip = read_head(v, buffer, (size_t)size, now);
        if (v->matched < 4)
            return;
        if (memcmp(v->status + 8, " 200", 4)) {
            fprintf(stderr, "load: the answer was %.12s\n", v->status);
            end(v, &refused);
            return;
        }
        v->stage = BODY;
    }
    if ((size_t)size > skip)
        read_body(v, buffer + skip, (size_t)size - skip, now);
}

static void on_event(struct viewer *v, uint32_t events)
{
    if (v->stage == CLOSED)
        return;
    if (v->stage == CONNECTING) {
        if (events & (EPOLLERR | EPOLLHUP))
            end(v, &failed);
        else
            ask(v);
    } else if (v->deaf) {
        end(v, &lost);
    } else {
        on_readable(v);
    }
}

static void serve(uint64_t until_us)
{
    struct epoll_event events[EVENTS];
    uint64_t now = now_us();
    int wait_ms = until_us > now ? (int)((until_us - now + 999) / 1000) : 0;
    int count = epoll_wait(epoll, events, EVENTS, wait_ms);
    for (int i = 0; i < count; i++)
        on_event(events[i].data.ptr, events[i].events);
}

static void join(void)
{
    uint64_t began = now_us(), ramp_us = (uint64_t)options->ramp_ms * 1000, last_body = 0;
    uint64_t limit = began + ramp_us + JOIN_LIMIT_US, now;
    long started = 0, total = options->viewers;
    struct samples heads = {0}, bodies = {0};

    while ((now = now_us()) < limit) {
        while (started < total && now >= began + (uint64_t)started * ramp_us / (uint64_t)total) {
            viewers[started].deaf = started < options->deaf;
            begin(&viewers[started++]);
        }
        if (started == total && with_body + refused + failed + options->deaf >= total)
            break;
        serve(now + 1000);
    }
    for (struct viewer *v = viewers; v < viewers + total; v++) {
        if (v->head_us)
            sample(&heads, v->began_us, v->head_us);
        if (v->body_us)
            sample(&bodies, v->began_us, v->body_us);
        if (v->body_us > last_body)
            last_body = v->body_us;
    }
    printf("{\"event\": \"joined\", \"with_body\": %ld, \"last_body_ms\": %.3f", with_body,
           last_body ? (double)(last_body - began) / 1000.0 : -1.0);
    print_samples("first_byte_ms", &heads);
    print_samples("first_body_ms", &bodies);
    printf("}\n");
}

static void report(void)
{
    struct samples keys = {0}, deaf = {0};
    for (struct viewer *v = viewers; v < viewers + options->viewers; v++) {
        if (v->key_us)
            sample(&keys, v->began_us, v->key_us);
        if (v->deaf && v->closed_us)
            sample(&deaf, v->began_us, v->closed_us);
    }
    printf("{\"event\": \"result\", \"bytes\": %lu, \"frames\": %lu, \"missed\": %lu, \"refused\": %ld, \"failed\": %ld, "
           "\"lost\": %ld", bytes, frames, missed, refused, failed, lost);
    print_samples("latency_ms", &latencies);
    print_samples("gap_ms", &gaps);
    print_samples("first_keyframe_ms", &keys);
    print_samples("deaf_closed_ms", &deaf);
    printf("}\n");
}

int run_sink(const struct options *chosen)
{
    uint64_t until;
    options = chosen;
    viewers = calloc((size_t)options->viewers, sizeof *viewers);
    buffer = malloc(RECEIVE_BYTES);
    epoll = epoll_create1(EPOLL_CLOEXEC);

    join();
    for (until = now_us() + (uint64_t)options->warm_ms * 1000; now_us() < until;)
        serve(until);

    bytes = 0;
    window_us = now_us();
    printf("{\"event\": \"start\"}\n");
    for (until = window_us + (uint64_t)options->measure_ms * 1000; now_us() < until;)
        serve(until);
    printf("{\"event\": \"end\", \"seconds\": %.6f}\n", (double)(now_us() - window_us) / 1e6);

    report();
    while (getchar() != EOF)
        ;
    return 0;
}
