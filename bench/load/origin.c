/* origin and fanout: an HTTP server on loopback that answers any request with a 200 head, the 13 bytes that begin an
 * FLV file, and frames. Not FLV tags: nobody between here and the sink looks inside.
 *
 * origin: every connection is a stream of its own. Its frames come at its own phase of the interval (--spread 1) or at
 * the same moment as everyone's (--spread 0), and each is stamped just before its own send. With --interval-us 0 it
 * floods. What a full socket does not take of a frame goes first next time; frames that have no place are left out,
 * and the sink sees their numbers missing.
 *
 * fanout: all connections carry one stream, sent by a bare loop over the sockets; a frame has one stamp, from before
 * the first send. It is what a fan-out costs in C with nothing around it: no parsing, no queues, no chunked coding.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "load.h"

#define MAX_DESCRIPTORS 65536
#define EVENTS 1024
#define FLOOD_BYTES (256 * 1024)
#define FLV_HEADER "FLV\x01\x05\0\0\0\x09\0\0\0\0"
#define FLV_HEADER_BYTES 13
#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\nCache-Control: no-cache\r\nConnection: close\r\n"

struct connection {
    int fd;
    bool asked;                 /* the request's head is whole */
    int matched;                /* how much of its closing CR LF CR LF has been seen */
    uint64_t next_us;           /* when its next frame is due */
    uint64_t frames;
    size_t unsent;              /* bytes of its last frame that the socket has not taken */
    struct trailer trailer;     /* of that frame */
};

static struct connection connections[MAX_DESCRIPTORS];   /* by descriptor */
static int highest;
static long accepted;
static uint64_t began_us;
static char *filler;
static char size_line[16];           /* of the chunked coding; else empty */
static size_t wire_bytes;            /* of a frame, with its chunked coding */
static const struct options *options;

/* The golden ratio's multiples fill the interval evenly, whatever the number of connections. */
static uint64_t phase_us(long number)
{
    double turn = (double)number * 0.6180339887498949;
    return options->spread ? (uint64_t)((turn - (double)(long)turn) * (double)options->interval_us) : 0;
}

static void accept_all(int listener, int epoll)
{
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        connections[fd] = (struct connection){.fd = fd};
        if (fd > highest)
            highest = fd;
        watch(epoll, fd, EPOLLIN, &connections[fd]);
    }
}

static void forget(struct connection *c)
{
    close(c->fd);
    *c = (struct connection){.fd = -1};
}

static void answer(struct connection *c, int epoll)
{
    char start[512];
    bool chunked = options->chunked && options->interval_us;
    int size = snprintf(start, sizeof start, "%s%s\r\n%s", HEAD, chunked ? "Transfer-Encoding: chunked\r\n" : "",
                        chunked ? "D\r\n" : "");
    memcpy(start + size, FLV_HEADER, FLV_HEADER_BYTES);
    size += FLV_HEADER_BYTES;
    if (chunked) {
        memcpy(start + size, "\r\n", 2);
        size += 2;
    }
    send(c->fd, start, (size_t)size, MSG_DONTWAIT);
    c->asked = true;
    if (options->interval_us == 0) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
        epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
        return;
    }
    /* The first frame comes at the next moment of this connection's phase. */
    uint64_t interval = (uint64_t)options->interval_us, first = began_us + phase_us(accepted++);
    uint64_t now = now_us();
    c->next_us = now < first ? first : first + ((now - first) / interval + 1) * interval;
}

static void read_request(struct connection *c, int epoll)
{
    static const char end[] = "\r\n\r\n";
    char buffer[8192];
    ssize_t size = recv(c->fd, buffer, sizeof buffer, 0);
    if (size < 0 && errno == EAGAIN)
        return;
    if (size <= 0) {
        forget(c);
        return;
    }
    for (ssize_t i = 0; i < size && !c->asked; i++) {
        c->matched = buffer[i] == end[c->matched] ? c->matched + 1 : buffer[i] == '\r';
        if (c->matched == 4)
            answer(c, epoll);
    }
}

/* Sends what is left of the connection's frame: size line, filler, trailer, CR LF, the first and last for chunked. */
static void push(struct connection *c)
{
    struct iovec parts[4] = {
        {size_line, strlen(size_line)},
        {filler, (size_t)options->frame_bytes - sizeof(struct trailer)},
        {&c->trailer, sizeof(struct trailer)},
        {(void *)"\r\n", options->chunked ? 2 : 0}};
    size_t skip = wire_bytes - c->unsent;
    for (int i = 0; i < 4; i++) {
        size_t cut = skip < parts[i].iov_len ? skip : parts[i].iov_len;
        parts[i].iov_base = (char *)parts[i].iov_base + cut;
        parts[i].iov_len -= cut;
        skip -= cut;
    }
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 4};
    ssize_t sent = sendmsg(c->fd, &message, MSG_DONTWAIT);
    if (sent > 0)
        c->unsent -= (size_t)sent;
}

static void send_frame(struct connection *c)
{
    if (c->unsent > 0)
        push(c);
    uint64_t number = c->frames++;
    if (c->unsent > 0)
        return;
    memcpy(c->trailer.magic, MAGIC, sizeof MAGIC);
    c->trailer.number = number;
    c->trailer.sent_us = now_us();
    c->unsent = wire_bytes;
    push(c);
}

static void send_what_is_due(void)
{
    uint64_t now = now_us();
    for (int fd = 0; fd <= highest; fd++) {
        struct connection *c = &connections[fd];
        while (c->asked && c->next_us <= now) {
            send_frame(c);
            c->next_us += (uint64_t)options->interval_us;
        }
    }
}

static void on_socket(struct epoll_event *event, int epoll)
{
    struct connection *c = event->data.ptr;
    if (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        read_request(c, epoll);
    if (c->asked && event->events & EPOLLOUT)
        send(c->fd, filler, FLOOD_BYTES, MSG_DONTWAIT);
}

/* Accepts, reads requests, and calls `on_tick` at every tick; never returns. */
static _Noreturn void serve(long tick_us, void (*on_tick)(void))
{
    long port;
    int epoll = epoll_create1(EPOLL_CLOEXEC), listener = listen_on(options->port, &port);
    int timer = tick_us ? ticker(tick_us) : -1;
    struct epoll_event events[EVENTS];
    static int is_listener, is_timer;   /* their addresses tell these two from the connections */

    began_us = now_us();
    watch(epoll, listener, EPOLLIN, &is_listener);
    if (timer >= 0)
        watch(epoll, timer, EPOLLIN, &is_timer);
    printf("{\"event\": \"ready\", \"port\": %ld}\n", port);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == &is_listener)
                accept_all(listener, epoll);
            else if (events[i].data.ptr == &is_timer)
                ticks(timer), on_tick();
            else
                on_socket(&events[i], epoll);
        }
    }
}

static void prepare(const struct options *chosen)
{
    size_t size = (size_t)chosen->frame_bytes > FLOOD_BYTES ? (size_t)chosen->frame_bytes : FLOOD_BYTES;
    options = chosen;
    wire_bytes = (size_t)chosen->frame_bytes;
    if (chosen->chunked)
        wire_bytes += (size_t)snprintf(size_line, sizeof size_line, "%lX\r\n", chosen->frame_bytes) + 2;
    filler = malloc(size);
    memset(filler, FILLER, size);
}

int run_origin(const struct options *chosen)
{
    prepare(chosen);
    serve(chosen->interval_us ? chosen->tick_us : 0, send_what_is_due);
}

/* One packet to every viewer. A viewer whose socket is full loses the packet or its rest: the sink counts it. */
static void fan_out(const char *packet, size_t size)
{
    for (int fd = 0; fd <= highest; fd++)
        if (connections[fd].asked)
            send(fd, packet, size, MSG_DONTWAIT);
}

static void send_stream(void)
{
    static uint64_t next_video_us, next_audio_us, number;
    uint64_t now = now_us();
    if (!next_video_us)
        next_video_us = next_audio_us = now;
    while (options->audio_bytes && next_audio_us <= now) {
        /* Audio holds no trailer: what stands at the end of the filler belongs to the video. */
        fan_out(filler, (size_t)options->audio_bytes);
        next_audio_us += (uint64_t)options->audio_interval_us;
    }
    while (next_video_us <= now) {
        struct trailer trailer = {.sent_us = now_us(), .number = number | (number % options->key_every ? 0 : KEYFRAME)};
        memcpy(trailer.magic, MAGIC, sizeof MAGIC);
        memcpy(filler + options->frame_bytes - sizeof trailer, &trailer, sizeof trailer);
        fan_out(filler, (size_t)options->frame_bytes);
        number++;
        next_video_us += (uint64_t)options->interval_us;
    }
}

int run_fanout(const struct options *chosen)
{
    prepare(chosen);
    serve(chosen->tick_us, send_stream);
}
