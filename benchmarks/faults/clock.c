/* Loaded before a program (LD_PRELOAD), it makes the program's wall clock FAST_S seconds fast. All else stays as it is:
   libfaketime fakes sleeps as well, and Python's then fail. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now)
{
    const char *fast = getenv("FAST_S");
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    if (!failed && fast && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += atol(fast);
    return failed;
}

int gettimeofday(struct timeval *now, void *zone)
{
    struct timespec exactly;
    int failed = clock_gettime(CLOCK_REALTIME, &exactly);
    now->tv_sec = exactly.tv_sec;
    now->tv_usec = exactly.tv_nsec / 1000;
    return failed;
}

time_t time(time_t *to)
{
    struct timespec exactly;
    clock_gettime(CLOCK_REALTIME, &exactly);
    if (to)
        *to = exactly.tv_sec;
    return exactly.tv_sec;
}
