/* SPDX-License-Identifier: MIT */
/* guest: on=mimosa timeout=60 */
/* What is opened, made and removed again leaves memory where it was: the frames tell. */
#define _GNU_SOURCE
#include "test/guest/proc.h"
#include "test/guest/scratch.h"
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/timerfd.h>

/* Files in epolls, an epoll in an epoll, taken out or closed in any order. */
static void epoll_round(int round) {
    int inner = epoll_create1(0), outer = epoll_create1(0), fds[24];
    struct epoll_event e = { .events = EPOLLIN };
    CHECK_EQ(epoll_ctl(outer, EPOLL_CTL_ADD, inner, &e), 0);
    for (int i = 0; i < 24; i++) {
        fds[i] = i % 2 ? eventfd(1, 0) : timerfd_create(CLOCK_MONOTONIC, 0);
        CHECK_EQ(epoll_ctl(inner, EPOLL_CTL_ADD, fds[i], &e), 0);
        CHECK_EQ(epoll_ctl(outer, EPOLL_CTL_ADD, fds[i], &e), 0);
        struct itimerspec s = { { 0, 1000 }, { 0, 1000 } };
        if (i % 4 == 0)
            CHECK_EQ(timerfd_settime(fds[i], 0, &s, NULL), 0);
    }
    CHECK_EQ(epoll_wait(outer, &e, 1, -1), 1);
    CHECK_EQ(epoll_ctl(inner, EPOLL_CTL_DEL, fds[round % 24], NULL), 0);
    if (round % 3 == 0)
        close(inner), close(outer);
    for (int i = 0; i < 24; i++)
        close(fds[i]);
    if (round % 3 == 1)
        close(inner), close(outer);
    else if (round % 3 == 2)
        close(outer), close(inner);
}

static void one_round(int round) {
    char name[32], bytes[4096] = "";
    int ends[2];
    snprintf(name, sizeof name, "d%d", round % 7);
    CHECK_EQ(mkdir(name, 0755), 0);
    CHECK_EQ(symlink(name, "s"), 0);
    int fd = open("s/f", O_RDWR | O_CREAT, 0644);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(pwrite(fd, bytes, sizeof bytes, (long)i << (12 + 4 * i)), sizeof bytes);
    char *shared = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    shared[0] = shared[5000] = 1;
    CHECK_EQ(rename("s/f", "g"), 0);
    CHECK_EQ(ftruncate(fd, 100), 0);
    CHECK_EQ(unlink("g"), 0);
    close(fd);
    CHECK_EQ(munmap(shared, 8192), 0);
    CHECK_EQ(rmdir(name), 0);
    CHECK_EQ(unlink("s"), 0);
    CHECK_EQ(pipe(ends), 0);
    CHECK_EQ(write(ends[1], bytes, sizeof bytes), sizeof bytes);
    snprintf(name, sizeof name, "/proc/self/fd/%d", ends[0]);
    fd = open(name, O_RDONLY);
    struct pollfd many[20];
    for (int i = 0; i < 20; i++)
        many[i] = (struct pollfd){ i % 2 ? ends[0] : ends[1], POLLIN, 0 };
    CHECK_EQ(poll(many, 20, 1), 10);
    close(fd), close(ends[0]), close(ends[1]);
    fd = open("/proc/self/maps", O_RDONLY);
    CHECK(read(fd, bytes, sizeof bytes) > 0);
    close(fd);
    close(eventfd(1, 0));
    epoll_round(round);
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir))
        ;
    closedir(dir);
    CHECK_ERRNO(open("nothing/at/all", O_RDONLY), ENOENT);
    fd = open(".", O_TMPFILE | O_RDWR, 0600);
    CHECK_EQ(write(fd, bytes, 100), 100);
    close(fd);
}

static void nothing_stays(void) {
    REQUIRE(scratch_enter());
    for (int i = 0; i < 100; i++)
        one_round(i);
    long before = proc_free_kb();
    for (int i = 0; i < 1000; i++)
        one_round(i);
    long after = proc_free_kb();
    CHECK(before > 0 && after >= before - 512); /* caches may differ a little */
    scratch_leave();
}

GUEST_MAIN(CASE(nothing_stays))
