/* The load generator of the benches: what stands before and behind the server that is measured.
 *
 *     load origin  --port 0 --frame-bytes 10000 --interval-us 40000 --spread 1
 *     load sink    --port 18090 --viewers 300 --measure-ms 5000 --path "/live?src=a&app=live&stream=s"
 *     load fanout  --port 0 --frame-bytes 10000 --interval-us 40000
 *     load publish --port 1935 --app live --stream s --count 1
 *
 * origin   an HTTP server that answers any GET with a 200 head, an FLV file header and then paced frames (origin.c)
 * fanout   the same for one stream, as a bare loop of send(): the reference of the hub table (origin.c)
 * publish  RTMP publishers of a paced stream (publish.c)
 * sink     viewers, who count bytes and take times (sink.c)
 *
 * Each prints one JSON object a line on stdout. origin, fanout and publish run until they are killed; every one of
 * them ends with its parent.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

/* The first byte is not the filler and is rare in FLV and chunk headers, so that a search stops seldom in vain. */
const unsigned char MAGIC[8] = {0xF5, 'l', 'o', 'a', 'd', '-', 0xF5, 0xAF};

uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

int listen_on(long port, long *bound_port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, size) || listen(fd, 4096))
        die("listen");
    getsockname(fd, (struct sockaddr *)&address, &size);
    *bound_port = ntohs(address.sin_port);
    return fd;
}

int watch(int epoll, int fd, uint32_t events, void *data)
{
    struct epoll_event event = {.events = events, .data.ptr = data};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

int ticker(long tick_us)
{
    struct timespec tick = {.tv_sec = tick_us / 1000000, .tv_nsec = tick_us % 1000000 * 1000};
    struct itimerspec schedule = {.it_interval = tick, .it_value = tick};
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (timer < 0 || timerfd_settime(timer, 0, &schedule, NULL))
        die("timerfd");
    return timer;
}

uint64_t ticks(int timer)
{
    uint64_t passed = 0;
    if (read(timer, &passed, sizeof passed) != sizeof passed)
        return 0;
    return passed;
}

int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static struct options defaults(void)
{
    return (struct options){
        .frame_bytes = 10000, .interval_us = 40000, .tick_us = 1000, .audio_interval_us = 23220, .key_every = 50,
        .viewers = 1, .streams = 1, .ramp_ms = 0, .warm_ms = 1000, .measure_ms = 2000, .path = "/",
        .count = 1, .app = "live", .stream = "s"};
}

/* Every option is a name and a value: numbers and strings alike. */
static void read_options(struct options *o, int argc, char **argv)
{
    struct { const char *name; long *number; const char **text; } known[] = {
        {"port", &o->port, NULL}, {"frame-bytes", &o->frame_bytes, NULL}, {"interval-us", &o->interval_us, NULL},
        {"spread", &o->spread, NULL}, {"tick-us", &o->tick_us, NULL}, {"chunked", &o->chunked, NULL},
        {"audio-bytes", &o->audio_bytes, NULL}, {"audio-interval-us", &o->audio_interval_us, NULL},
        {"key-every", &o->key_every, NULL}, {"viewers", &o->viewers, NULL}, {"streams", &o->streams, NULL},
        {"deaf", &o->deaf, NULL}, {"ramp-ms", &o->ramp_ms, NULL}, {"warm-ms", &o->warm_ms, NULL},
        {"measure-ms", &o->measure_ms, NULL}, {"bulk", &o->bulk, NULL}, {"path", NULL, &o->path},
        {"count", &o->count, NULL}, {"app", NULL, &o->app}, {"stream", NULL, &o->stream}};

    for (int i = 0; i < argc; i += 2) {
        size_t k = 0, n = sizeof known / sizeof *known;
        while (k < n && (strncmp(argv[i], "--", 2) || strcmp(argv[i] + 2, known[k].name)))
            k++;
        if (k == n || i + 1 == argc) {
            fprintf(stderr, "load: %s: no such option, or no value after it\n", argv[i]);
            exit(2);
        }
        if (known[k].text)
            *known[k].text = argv[i + 1];
        else
            *known[k].number = strtol(argv[i + 1], NULL, 10);
    }
    if (o->frame_bytes < 64 || o->tick_us < 1 || o->key_every < 1 || o->streams < 1) {
        fprintf(stderr, "load: frame-bytes is at least 64; tick-us, key-every and streams at least 1\n");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    struct { const char *name; int (*run)(const struct options *); } roles[] = {
        {"origin", run_origin}, {"fanout", run_fanout}, {"sink", run_sink}, {"publish", run_publish}};
    struct options options = defaults();

    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    raise_descriptor_limit();
    for (size_t i = 0; argc > 1 && i < sizeof roles / sizeof *roles; i++)
        if (!strcmp(argv[1], roles[i].name)) {
            read_options(&options, argc - 2, argv + 2);
            return roles[i].run(&options);
        }
    fprintf(stderr, "usage: load origin|fanout|sink|publish [--NAME VALUE]...\n");
    return 2;
}
