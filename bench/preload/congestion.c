/* Preloaded into every program of a run: its TCP sockets use the congestion control that BENCH_CONGESTION names.
 *
 * Accepted connections inherit it from their listener. A name that the kernel does not know is found before the run. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int socket(int domain, int type, int protocol)
{
    static int (*next)(int, int, int);
    const char *name = getenv("BENCH_CONGESTION");
    int fd;

    if (next == NULL)
        next = (int (*)(int, int, int)) dlsym(RTLD_NEXT, "socket");
    fd = next(domain, type, protocol);
    if (fd >= 0 && name != NULL && (domain == AF_INET || domain == AF_INET6) && (type & 0xf) == SOCK_STREAM)
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t) strlen(name));
    return fd;
}
