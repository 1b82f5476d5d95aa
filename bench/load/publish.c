/* publish: RTMP publishers, each of one paced stream: H.264 (--frame-bytes every --interval-us, a keyframe every
 * --key-every frames) and AAC (--audio-bytes every --audio-interval-us). The headers are real, the pictures are not:
 * a frame is one NAL unit of filler with a trailer at its end.
 *
 * It is a load generator, not a client: it speaks the plain handshake, chunk size 4096, every message with a whole
 * header (fmt 0) on a chunk stream of its kind. It takes an answer for read when a name stands in the bytes received,
 * and the message stream id for 1, which every server gives to a connection's first stream. While it publishes, it
 * drops what the server sends (pings stay unanswered: servers bear that for longer than a bench runs).
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

#define HANDSHAKE_BYTES 1536
#define CHUNK_BYTES 4096
#define FIRST_CHUNK_BYTES 128          /* until Set Chunk Size */
#define HEADER_BYTES 12                /* fmt 0 with a one-byte chunk stream id */
#define ANSWER_LIMIT_S 10

enum { SET_CHUNK_SIZE = 1, AUDIO = 8, VIDEO = 9, DATA_AMF0 = 18, COMMAND_AMF0 = 20 };
enum { CONTROL_STREAM = 2, COMMAND_STREAM = 3, AUDIO_STREAM = 4, DATA_STREAM = 5, VIDEO_STREAM = 6 };

/* AVCDecoderConfigurationRecord with x264's SPS and PPS for 1280x720, main profile; AAC-LC, 44.1 kHz, stereo. */
static const unsigned char AVC_CONFIGURATION[] = {
    0x17, 0, 0, 0, 0, 0x01, 0x4d, 0x40, 0x1f, 0xff, 0xe1, 0x00, 0x19, 0x67, 0x4d, 0x40, 0x1f, 0xec, 0xa0, 0x28, 0x02,
    0xdd, 0x80, 0x88, 0x00, 0x00, 0x03, 0x00, 0x08, 0x00, 0x00, 0x03, 0x01, 0x90, 0x78, 0xc1, 0x8c, 0xb0, 0x01, 0x00,
    0x05, 0x68, 0xeb, 0xe3, 0xcb, 0x20};
static const unsigned char AAC_CONFIGURATION[] = {0xaf, 0, 0x12, 0x10};

/* A message as it goes over the wire, chunk headers within. */
struct message {
    unsigned char *bytes;
    size_t size;
};

struct publisher {
    int fd;
    uint64_t began_us, next_video_us, next_audio_us, frames;
};

static const struct options *options;
static struct message keyframe, other_frame, audio_frame;

/* ---- AMF0 and chunks ---- */

struct writer {
    unsigned char bytes[2048];
    size_t size;
};

static void put(struct writer *w, const void *bytes, size_t size)
{
    if (w->size + size > sizeof w->bytes) {
        fprintf(stderr, "load: the app or stream name is too long\n");
        exit(2);
    }
    memcpy(w->bytes + w->size, bytes, size);
    w->size += size;
}

static void put_name(struct writer *w, const char *text)
{
    size_t size = strlen(text);
    put(w, (unsigned char[]){(unsigned char)(size >> 8), (unsigned char)size}, 2);
    put(w, text, size);
}

static void put_string(struct writer *w, const char *text)
{
    put(w, "\x02", 1);
    put_name(w, text);
}

static void put_number(struct writer *w, double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    put(w, "\x00", 1);
    for (int shift = 56; shift >= 0; shift -= 8)
        put(w, (unsigned char[]){(unsigned char)(bits >> shift)}, 1);
}

static void put_null(struct writer *w)
{
    put(w, "\x05", 1);
}

static void put_end_of_object(struct writer *w)
{
    put(w, "\x00\x00\x09", 3);
}

/* Cuts a message's payload into chunks. The timestamp is 0 until set_timestamp(). */
static struct message make_message(int chunk_stream, int type, uint32_t message_stream, size_t chunk_bytes,
                                   const unsigned char *payload, size_t size)
{
    size_t chunks = size ? (size + chunk_bytes - 1) / chunk_bytes : 1;
    struct message m = {.bytes = malloc(HEADER_BYTES + size + chunks - 1)};
    unsigned char header[HEADER_BYTES] = {
        (unsigned char)chunk_stream, 0, 0, 0, (unsigned char)(size >> 16), (unsigned char)(size >> 8),
        (unsigned char)size, (unsigned char)type, (unsigned char)message_stream /* little-endian */};

    memcpy(m.bytes, header, sizeof header);
    m.size = sizeof header;
    for (size_t at = 0; at < size; at += chunk_bytes) {
        size_t part = size - at < chunk_bytes ? size - at : chunk_bytes;
        if (at)
            m.bytes[m.size++] = (unsigned char)(0xC0 | chunk_stream);   /* fmt 3 */
        memcpy(m.bytes + m.size, payload + at, part);
        m.size += part;
    }
    return m;
}

static void set_timestamp(struct message *m, uint64_t ms)
{
    m->bytes[1] = (unsigned char)(ms >> 16);
    m->bytes[2] = (unsigned char)(ms >> 8);
    m->bytes[3] = (unsigned char)ms;
}

/* ---- Connecting: one publisher after the other, blocking ---- */

static void send_whole(int fd, const void *bytes, size_t size)
{
    if (send(fd, bytes, size, 0) != (ssize_t)size)
        die("the server takes no more of the stream");
}

static void send_message(int fd, struct message m)
{
    send_whole(fd, m.bytes, m.size);
    free(m.bytes);
}

static void send_command(int fd, uint32_t message_stream, size_t chunk_bytes, const struct writer *w)
{
    send_message(fd, make_message(COMMAND_STREAM, COMMAND_AMF0, message_stream, chunk_bytes, w->bytes, w->size));
}

static void wait_for(int fd, const char *name)
{
    char received[65536];
    size_t size = 0;
    while (size < sizeof received) {
        ssize_t part = recv(fd, received + size, sizeof received - size, 0);
        if (part <= 0)
            break;
        size += (size_t)part;
        if (memmem(received, size, name, strlen(name)))
            return;
    }
    fprintf(stderr, "load: the RTMP server did not answer with %s\n", name);
    exit(1);
}

static void shake_hands(int fd)
{
    unsigned char c0_c1[1 + HANDSHAKE_BYTES] = {3}, s0_s1_s2[1 + 2 * HANDSHAKE_BYTES];
    for (size_t i = 9; i < sizeof c0_c1; i++)
        c0_c1[i] = (unsigned char)(i * 131 >> 3);
    send_whole(fd, c0_c1, sizeof c0_c1);
    if (recv(fd, s0_s1_s2, sizeof s0_s1_s2, MSG_WAITALL) != sizeof s0_s1_s2)
        die("RTMP handshake");
    send_whole(fd, s0_s1_s2 + 1, HANDSHAKE_BYTES);   /* C2 repeats S1 */
}

static void ask_to_publish(int fd, const char *stream)
{
    char url[256];
    struct writer connect = {0}, create = {0}, publish = {0};
    unsigned char chunk_size[4] = {0, 0, CHUNK_BYTES >> 8, CHUNK_BYTES & 0xFF};

    snprintf(url, sizeof url, "rtmp://127.0.0.1:%ld/%s", options->port, options->app);
    put_string(&connect, "connect");
    put_number(&connect, 1);
    put(&connect, "\x03", 1);
    put_name(&connect, "app"), put_string(&connect, options->app);
    put_name(&connect, "type"), put_string(&connect, "nonprivate");
    put_name(&connect, "flashVer"), put_string(&connect, "FMLE/3.0 (compatible; load)");
    put_name(&connect, "tcUrl"), put_string(&connect, url);
    put_end_of_object(&connect);
    send_command(fd, 0, FIRST_CHUNK_BYTES, &connect);
    wait_for(fd, "_result");

    send_message(fd, make_message(CONTROL_STREAM, SET_CHUNK_SIZE, 0, CHUNK_BYTES, chunk_size, sizeof chunk_size));
    put_string(&create, "createStream");
    put_number(&create, 2);
    put_null(&create);
    send_command(fd, 0, CHUNK_BYTES, &create);
    wait_for(fd, "_result");

    put_string(&publish, "publish");
    put_number(&publish, 3);
    put_null(&publish);
    put_string(&publish, stream);
    put_string(&publish, "live");
    send_command(fd, 1, CHUNK_BYTES, &publish);
    wait_for(fd, "NetStream.Publish.Start");
}

static void send_what_comes_first(int fd)
{
    struct writer w = {0};
    put_string(&w, "@setDataFrame");
    put_string(&w, "onMetaData");
    put(&w, "\x08\x00\x00\x00\x07", 5);   /* ECMA array of 7 */
    put_name(&w, "width"), put_number(&w, 1280);
    put_name(&w, "height"), put_number(&w, 720);
    put_name(&w, "framerate"), put_number(&w, 1e6 / (double)options->interval_us);
    put_name(&w, "videocodecid"), put_number(&w, 7);
    put_name(&w, "audiocodecid"), put_number(&w, 10);
    put_name(&w, "audiosamplerate"), put_number(&w, 44100);
    put_name(&w, "stereo"), put(&w, "\x01\x01", 2);
    put_end_of_object(&w);
    send_message(fd, make_message(DATA_STREAM, DATA_AMF0, 1, CHUNK_BYTES, w.bytes, w.size));
    send_message(fd, make_message(VIDEO_STREAM, VIDEO, 1, CHUNK_BYTES, AVC_CONFIGURATION, sizeof AVC_CONFIGURATION));
    if (options->audio_bytes)
        send_message(fd, make_message(AUDIO_STREAM, AUDIO, 1, CHUNK_BYTES, AAC_CONFIGURATION,
                                      sizeof AAC_CONFIGURATION));
}

static int connect_to_server(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    struct timeval limit = {.tv_sec = ANSWER_LIMIT_S};
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)options->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&address, sizeof address))
        die("connect to the RTMP server");
    return fd;
}

static void begin(struct publisher *p, long number)
{
    char stream[256];
    uint64_t interval = (uint64_t)options->interval_us;
    snprintf(stream, sizeof stream, "%s%ld", options->stream, number);
    p->fd = connect_to_server();
    shake_hands(p->fd);
    ask_to_publish(p->fd, stream);
    send_what_comes_first(p->fd);
    p->began_us = now_us();
    /* Publishers of their own do not keep step with each other. */
    p->next_video_us = p->next_audio_us = p->began_us + (uint64_t)number * 7919u % interval;
}

/* ---- Publishing ---- */

static struct message make_frame(bool key)
{
    size_t size = (size_t)options->frame_bytes;
    unsigned char *payload = malloc(size);
    uint32_t unit = (uint32_t)size - 9;   /* what is left for the NAL unit, after tag header and length */
    unsigned char start[] = {key ? 0x17 : 0x27, 1, 0, 0, 0, (unsigned char)(unit >> 24), (unsigned char)(unit >> 16),
                             (unsigned char)(unit >> 8), (unsigned char)unit, key ? 0x65 : 0x41};
    size_t trailer_at = size - sizeof(struct trailer);

    if (trailer_at / CHUNK_BYTES != (size - 1) / CHUNK_BYTES) {
        fprintf(stderr, "load: with --frame-bytes %zu a chunk header would split the trailer\n", size);
        exit(2);
    }
    memset(payload, FILLER, size);
    memcpy(payload, start, sizeof start);
    struct message m = make_message(VIDEO_STREAM, VIDEO, 1, CHUNK_BYTES, payload, size);
    free(payload);
    return m;
}

static void send_video(struct publisher *p)
{
    bool key = p->frames % (uint64_t)options->key_every == 0;
    struct message *m = key ? &keyframe : &other_frame;
    struct trailer trailer = {.sent_us = now_us(), .number = p->frames | (key ? KEYFRAME : 0)};
    memcpy(trailer.magic, MAGIC, sizeof MAGIC);
    memcpy(m->bytes + m->size - sizeof trailer, &trailer, sizeof trailer);
    set_timestamp(m, (p->next_video_us - p->began_us) / 1000);
    send_whole(p->fd, m->bytes, m->size);
    p->frames++;
    p->next_video_us += (uint64_t)options->interval_us;
}

static void send_audio(struct publisher *p)
{
    set_timestamp(&audio_frame, (p->next_audio_us - p->began_us) / 1000);
    send_whole(p->fd, audio_frame.bytes, audio_frame.size);
    p->next_audio_us += (uint64_t)options->audio_interval_us;
}

static void drop_what_came(struct publisher *p)
{
    char dropped[4096];
    ssize_t size = recv(p->fd, dropped, sizeof dropped, MSG_DONTWAIT);
    if (size == 0 || (size < 0 && errno != EAGAIN))
        die("the RTMP server closed the connection");
}

static void prepare(const struct options *chosen)
{
    unsigned char *audio = malloc((size_t)chosen->audio_bytes + 2);
    options = chosen;
    keyframe = make_frame(true);
    other_frame = make_frame(false);
    memset(audio, FILLER, (size_t)chosen->audio_bytes + 2);
    memcpy(audio, "\xaf\x01", 2);
    audio_frame = make_message(AUDIO_STREAM, AUDIO, 1, CHUNK_BYTES, audio, (size_t)chosen->audio_bytes);
    free(audio);
}

int run_publish(const struct options *chosen)
{
    struct epoll_event events[128];
    struct publisher *publishers = calloc((size_t)chosen->count, sizeof *publishers);
    int epoll = epoll_create1(EPOLL_CLOEXEC), timer = ticker(chosen->tick_us);

    prepare(chosen);
    for (long i = 0; i < options->count; i++) {
        begin(&publishers[i], i);
        watch(epoll, publishers[i].fd, EPOLLIN, &publishers[i]);
    }
    watch(epoll, timer, EPOLLIN, NULL);
    printf("{\"event\": \"ready\", \"publishers\": %ld}\n", options->count);
    for (;;) {
        int count = epoll_wait(epoll, events, 128, -1);
        for (int i = 0; i < count; i++)
            if (events[i].data.ptr)
                drop_what_came(events[i].data.ptr);
        if (!ticks(timer))
            continue;
        uint64_t now = now_us();
        for (struct publisher *p = publishers; p < publishers + options->count; p++) {
            while (options->audio_bytes && p->next_audio_us <= now)
                send_audio(p);
            while (p->next_video_us <= now)
                send_video(p);
        }
    }
}
