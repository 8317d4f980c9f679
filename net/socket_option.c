/* SPDX-License-Identifier: MIT */
/*
 * setsockopt and getsockopt at SOL_SOCKET: what every family has, with Linux's
 * limits and errors.  All values are atomics of their own: a call in progress
 * may see an option change, as on Linux.
 */
#include <asm-generic/errno.h>
#include <asm-generic/socket.h>
#include "base/string.h"
#include "net/socket.h"

#define BUFFER_MAX    212992u /* Linux's wmem_max and rmem_max */
#define SEND_LEAST    4608u
#define RECEIVE_LEAST 2304u

/* Switches that the families look at; NULL: not one of them. */
static atomic_bool *switch_of(struct socket *s, int name) {
    switch (name) {
    case SO_REUSEADDR:
        return &s->reuse_address;
    case SO_REUSEPORT:
        return &s->reuse_port;
    case SO_KEEPALIVE:
        return &s->keep_alive;
    case SO_BROADCAST:
        return &s->broadcast;
    case SO_PASSCRED:
        return &s->pass_credentials;
    default:
        return NULL;
    }
}

/* Switches that are only kept. */
static bool is_other_flag(int name) {
    return name == SO_DEBUG || name == SO_DONTROUTE || name == SO_OOBINLINE ||
           name == SO_NO_CHECK || name == SO_RXQ_OVFL;
}

/* Numbers that are only kept. */
static _Atomic(int) *number_of(struct socket *s, int name) {
    switch (name) {
    case SO_PRIORITY:
        return &s->priority;
    case SO_MARK:
        return &s->mark;
    case SO_INCOMING_CPU:
        return &s->incoming_cpu;
    default:
        return NULL;
    }
}

/* Linux counts its own bookkeeping in and so doubles what the program asks for. */
static void set_buffer(struct socket *s, bool sends, uint32_t value, uint32_t most) {
    uint32_t buffer = MAX(MIN(value, most) * 2, sends ? SEND_LEAST : RECEIVE_LEAST);
    *(sends ? &s->send_buffer : &s->receive_buffer) = buffer;
    *(sends ? &s->send_limit : &s->receive_limit) = buffer / 2;
    wait_wake_all(&s->writable);
}

/* struct timeval; 0: no limit. */
static int set_timeout(_Atomic(uint64_t) *timeout, const void *value, uint32_t size) {
    int64_t t[2];
    if (size < sizeof t)
        return -EINVAL;
    memcpy(t, value, sizeof t);
    if (t[1] < 0 || t[1] >= 1000000)
        return -EDOM;
    if (t[0] < 0)
        *timeout = 1; /* Linux: does not wait, and says 0 when asked */
    else if ((uint64_t)t[0] >= INT64_MAX / NS_PER_SEC - 1)
        *timeout = 0;
    else
        *timeout = (uint64_t)t[0] * NS_PER_SEC + (uint64_t)t[1] * NS_PER_US;
    return 0;
}

static int set_linger(struct socket *s, const void *value, uint32_t size) {
    int linger[2];
    if (size < sizeof linger)
        return -EINVAL;
    memcpy(linger, value, sizeof linger);
    if (linger[0])
        s->linger_s = (uint32_t)linger[1];
    s->linger = linger[0] != 0;
    return 0;
}

/* Options with an int; -ENOPROTOOPT: none of them. */
static int set_number(struct socket *s, int name, int value) {
    atomic_bool *on = switch_of(s, name);
    _Atomic(int) *number = number_of(s, name);
    if (on) {
        *on = value != 0;
        return 0;
    }
    if (number) {
        *number = value;
        return 0;
    }
    if (is_other_flag(name)) {
        if (value)
            atomic_fetch_or(&s->other_flags, 1ul << name);
        else
            atomic_fetch_and(&s->other_flags, ~(1ul << name));
        return 0;
    }
    switch (name) {
    case SO_SNDBUF:
        set_buffer(s, true, (uint32_t)value, BUFFER_MAX);
        return 0;
    case SO_SNDBUFFORCE:
        set_buffer(s, true, (uint32_t)MAX(value, 0), INT32_MAX / 2);
        return 0;
    case SO_RCVBUF:
        set_buffer(s, false, (uint32_t)value, BUFFER_MAX);
        return 0;
    case SO_RCVBUFFORCE:
        set_buffer(s, false, (uint32_t)MAX(value, 0), INT32_MAX / 2);
        return 0;
    case SO_RCVLOWAT:
        s->receive_low = value < 0 ? INT32_MAX : value ? (uint32_t)value : 1;
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

int socket_set_option(struct socket *s, int level, int name, const void *value, uint32_t size) {
    if (level != SOL_SOCKET)
        return s->ops->set_option ? s->ops->set_option(s, level, name, value, size) : -EOPNOTSUPP;
    int number;
    if (size < sizeof number)
        return -EINVAL;
    switch (name) {
    case SO_LINGER:
        return set_linger(s, value, size);
    case SO_RCVTIMEO_OLD:
    case SO_RCVTIMEO_NEW:
        return set_timeout(&s->receive_timeout_ns, value, size);
    case SO_SNDTIMEO_OLD:
    case SO_SNDTIMEO_NEW:
        return set_timeout(&s->send_timeout_ns, value, size);
    default:
        break;
    }
    memcpy(&number, value, sizeof number);
    int err = set_number(s, name, number);
    if (!s->ops->set_option || (err && err != -ENOPROTOOPT))
        return err;
    /* What is kept here the family may have to know as well. */
    (void)s->ops->set_option(s, level, name, value, size);
    return err;
}

/* As much of the answer as there is room for. */
static int answer(void *value, uint32_t *size, const void *from, uint32_t n) {
    *size = MIN(*size, n);
    memcpy(value, from, *size);
    return 0;
}

static int answer_timeout(void *value, uint32_t *size, uint64_t timeout) {
    int64_t t[2] = { (int64_t)(timeout / NS_PER_SEC), (int64_t)(timeout % NS_PER_SEC / NS_PER_US) };
    return answer(value, size, t, sizeof t);
}

/* Options with an int; -ENOPROTOOPT: none of them. */
static int get_number(struct socket *s, int name, int *value) {
    atomic_bool *on = switch_of(s, name);
    _Atomic(int) *number = number_of(s, name);
    if (on || number) {
        *value = on ? *on : *number;
        return 0;
    }
    if (is_other_flag(name)) {
        *value = s->other_flags >> name & 1;
        return 0;
    }
    switch (name) {
    case SO_TYPE:
        *value = s->type;
        return 0;
    case SO_DOMAIN:
        *value = s->family;
        return 0;
    case SO_PROTOCOL:
        *value = s->protocol;
        return 0;
    case SO_ERROR:
        *value = -socket_take_error(s);
        return 0;
    case SO_ACCEPTCONN:
        *value = s->ops->listening && s->ops->listening(s);
        return 0;
    case SO_SNDBUF:
        *value = (int)s->send_buffer;
        return 0;
    case SO_RCVBUF:
        *value = (int)s->receive_buffer;
        return 0;
    case SO_RCVLOWAT:
        *value = (int)s->receive_low;
        return 0;
    case SO_SNDLOWAT:
        *value = 1;
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

int socket_get_option(struct socket *s, int level, int name, void *value, uint32_t *size) {
    if (level != SOL_SOCKET)
        return s->ops->get_option ? s->ops->get_option(s, level, name, value, size) : -EOPNOTSUPP;
    if (name == SO_LINGER) {
        int linger[2] = { s->linger, (int)s->linger_s };
        return answer(value, size, linger, sizeof linger);
    }
    if (name == SO_RCVTIMEO_OLD || name == SO_RCVTIMEO_NEW)
        return answer_timeout(value, size, s->receive_timeout_ns);
    if (name == SO_SNDTIMEO_OLD || name == SO_SNDTIMEO_NEW)
        return answer_timeout(value, size, s->send_timeout_ns);
    int number, err = get_number(s, name, &number);
    if (!err)
        return answer(value, size, &number, sizeof number);
    if (s->ops->get_option)
        err = s->ops->get_option(s, level, name, value, size);
    if (err == -ENOPROTOOPT && name == SO_PEERCRED) {
        struct socket_credentials none = { 0, UINT32_MAX, UINT32_MAX };
        return answer(value, size, &none, sizeof none);
    }
    return err;
}
