/* SPDX-License-Identifier: MIT */
/* guest: timeout=120 */
/* Threads that make, move, read and remove the same few names at once; nothing is lost or left. */
#define _GNU_SOURCE
#include "test/guest/scratch.h"
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#define THREADS 4
#define ROUNDS  1500

static const char *const names[] = { "a", "b", "c", "d", "d/x", "d/y", "d/e", "d/e/z", "f", "f/g" };

static int expected(int e) {
    return e == ENOENT || e == EEXIST || e == ENOTDIR || e == EISDIR || e == ENOTEMPTY ||
           e == EINVAL || e == ELOOP || e == EPERM || e == EBUSY;
}

static void *wander(void *arg) {
    unsigned long seed = (unsigned long)arg * 7919;
    char bytes[300];
    for (int i = 0; i < ROUNDS; i++) {
        const char *one = names[guest_random(&seed) % LENGTH(names)];
        const char *two = names[guest_random(&seed) % LENGTH(names)];
        struct stat st;
        int fd, result = 0;
        switch (guest_random(&seed) % 12) {
        case 0:
        case 1:
            fd = open(one, O_RDWR | O_CREAT, 0644);
            result = fd < 0 ? -1 : (int)write(fd, bytes, 0) + close(fd);
            break;
        case 2:
            result = mkdir(one, 0755);
            break;
        case 3:
            result = unlink(one);
            break;
        case 4:
            result = rmdir(one);
            break;
        case 5:
        case 6:
            result = rename(one, two);
            break;
        case 7:
            result = syscall(SYS_renameat2, AT_FDCWD, one, AT_FDCWD, two, 2);
            break;
        case 8:
            result = symlink(two, one);
            break;
        case 9:
            result = link(one, two);
            break;
        case 10:
            result = stat(one, &st);
            break;
        default:
            fd = open(one, O_RDONLY | O_DIRECTORY);
            if (fd >= 0) {
                while (syscall(SYS_getdents64, fd, bytes, sizeof bytes) > 0)
                    ;
                result = close(fd);
            }
            break;
        }
        if (result < 0 && !expected(errno))
            CHECK_EQ(errno, 0);
    }
    return NULL;
}

/* Removes all that is below the working directory: names may have been moved deep. */
static void clear(void) {
    for (int removed = 1; removed;) {
        removed = 0;
        DIR *dir = opendir(".");
        if (!dir)
            return;
        for (struct dirent *e; (e = readdir(dir));) {
            if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
                continue;
            if (unlink(e->d_name) == 0) {
                removed++;
                continue;
            }
            if (chdir(e->d_name) == 0) {
                clear();
                CHECK_EQ(chdir(".."), 0);
            }
            removed += rmdir(e->d_name) == 0;
        }
        closedir(dir);
    }
}

static void names_race(void) {
    pthread_t threads[THREADS];
    struct stat st;
    REQUIRE(scratch_enter());
    for (unsigned long i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, wander, (void *)(i + 1)) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    clear();
    CHECK(stat(".", &st) == 0 && st.st_nlink == 2); /* no directory was lost on the way */
    scratch_leave();
}

/* Truncations against reads, writes and faults: never old bytes, never a crash. */
static int file;
static char *window;

#define SPAN (16 * 4096)

static void *shrink_and_grow(void *arg) {
    unsigned long seed = (unsigned long)arg + 5;
    for (int i = 0; i < ROUNDS; i++)
        CHECK_EQ(ftruncate(file, SPAN + (long)(guest_random(&seed) % SPAN)), 0);
    return NULL;
}

static void *write_letters(void *arg) {
    unsigned long seed = (unsigned long)arg + 6;
    char letters[5000];
    memset(letters, 'A' + (int)(long)arg, sizeof letters);
    for (int i = 0; i < ROUNDS; i++) {
        unsigned long n = guest_random(&seed) % sizeof letters;
        CHECK_EQ(pwrite(file, letters, n, guest_random(&seed) % (2 * SPAN)), n);
        window[guest_random(&seed) % SPAN] = letters[0];
    }
    return NULL;
}

static void *read_letters(void *arg) {
    unsigned long seed = (unsigned long)arg + 7;
    char bytes[6000];
    int wrong = 0;
    for (int i = 0; i < ROUNDS; i++) {
        long n = pread(file, bytes, sizeof bytes, guest_random(&seed) % (2 * SPAN));
        for (long k = 0; k < n; k++)
            wrong += bytes[k] != 0 && (bytes[k] < 'A' || bytes[k] > 'D');
        char c = window[guest_random(&seed) % SPAN];
        wrong += c != 0 && (c < 'A' || c > 'D');
    }
    CHECK_EQ(wrong, 0);
    return NULL;
}

static void contents_race(void) {
    static void *(*const roles[])(void *) = { shrink_and_grow, write_letters, write_letters,
                                              read_letters };
    pthread_t threads[LENGTH(roles)];
    REQUIRE(scratch_enter());
    file = open("f", O_RDWR | O_CREAT, 0644);
    REQUIRE(file >= 0 && ftruncate(file, SPAN) == 0);
    window = mmap(NULL, SPAN, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    REQUIRE(window != MAP_FAILED);
    for (unsigned long i = 0; i < LENGTH(roles); i++)
        REQUIRE(pthread_create(&threads[i], NULL, roles[i], (void *)i) == 0);
    for (unsigned i = 0; i < LENGTH(roles); i++)
        pthread_join(threads[i], NULL);
    munmap(window, SPAN);
    close(file);
    scratch_leave();
}

GUEST_MAIN(CASE(names_race), CASE(contents_race))
