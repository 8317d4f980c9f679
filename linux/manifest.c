/* SPDX-License-Identifier: MIT */
/* The manifest: what the command asks the kernel to run (base/wire.h has the keys). */
#include <asm-generic/errno.h>

#include "base/string.h"
#include "kernel/log.h"
#include "kernel/slab.h"
#include "linux/process.h"

static bool parse_flag(const char *value) {
    return strcmp(value, "0") != 0;
}

static bool parse_number(const char *value, uint64_t *out) {
    return string_number(&value, out) && *value == 0;
}

/* ROWSxCOLUMNS */
static bool parse_winsize(struct manifest *m, const char *value) {
    uint64_t rows, columns;

    if (!string_number(&value, &rows) || *value++ != 'x' || !parse_number(value, &columns))
        return false;
    m->rows = (uint16_t)rows;
    m->columns = (uint16_t)columns;
    return true;
}

/* One record; `value` stands behind the '='.  The caller enters arguments and environment. */
static int parse_record(struct manifest *m, const char *key, size_t length, const char *value) {
    uint64_t number;

#define KEY_IS(name) (length == sizeof(name) - 1 && memcmp(key, name, length) == 0)
    if (KEY_IS("program")) {
        m->program = value;
    } else if (KEY_IS("cwd")) {
        m->cwd = value;
    } else if (KEY_IS("verbose")) {
        m->verbose = parse_flag(value);
    } else if (KEY_IS("strace")) {
        m->strace = parse_flag(value);
    } else if (KEY_IS("populate")) {
        m->populate = parse_flag(value);
    } else if (KEY_IS("seed")) {
        if (!parse_number(value, &m->seed))
            return -EINVAL;
        m->has_seed = true;
    } else if (KEY_IS("time")) {
        if (!parse_number(value, &m->time_ns))
            return -EINVAL;
    } else if (KEY_IS("tty")) {
        if (!parse_number(value, &number))
            return -EINVAL;
        m->tty = (unsigned)number;
    } else if (KEY_IS("arg")) {
        m->argv[m->argc++] = value;
    } else if (KEY_IS("env")) {
        m->envp[m->envc++] = value;
    } else if (KEY_IS("net")) {
        m->net = value;
    } else if (KEY_IS("winsize")) {
        if (!parse_winsize(m, value))
            return -EINVAL;
    } else {
        log_info("manifest: unknown key %.*s", (int)length, key);
    }
#undef KEY_IS
    return 0;
}

int manifest_parse(struct manifest *m, const char *text, size_t size) {
    const char *end = text + size;
    size_t records = 0;
    int err;

    memset(m, 0, sizeof(*m));
    m->cwd = "/";
    if (size == 0 || end[-1] != 0)
        return -EINVAL;
    for (const char *p = text; p < end; p += strlen(p) + 1)
        records++;
    m->argv = kmalloc((records + 1) * sizeof(*m->argv));
    m->envp = kmalloc((records + 1) * sizeof(*m->envp));
    if (!m->argv || !m->envp)
        return -ENOMEM;
    for (const char *p = text; p < end; p += strlen(p) + 1) {
        const char *equals = strchr(p, '=');

        if (!equals)
            return -EINVAL;
        err = parse_record(m, p, (size_t)(equals - p), equals + 1);
        if (err)
            return err;
    }
    return m->program && m->argc > 0 ? 0 : -EINVAL;
}
