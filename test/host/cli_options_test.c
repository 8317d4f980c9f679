/* SPDX-License-Identifier: MIT */
/* Sizes, the options of `run`, the environment and the manifest. */
/* tests: cli/options.c cli/net.c cli/initrd.c cli/cpio.c cli/elf.c cli/util.c */
#include "cli/commands.h"
#include "cli/initrd.h"
#include "cli/net.h"
#include "cli/options.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_sizes(void **state) {
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = { { "0", 0 },
                 { "512", 512 },
                 { "4K", 4096 },
                 { "4k", 4096 },
                 { "64M", 64ull << 20 },
                 { "1.5G", 3ull << 29 },
                 { "2GiB", 2ull << 30 },
                 { "2GB", 2ull << 30 },
                 { "1T", 1ull << 40 } };
    static const char *const bad[] = { "",    "M",   "-1",  "4X",  "4MM", "1e3",      "0x10",
                                       "nan", "inf", "1.3", " 4M", "4 M", "99999999T" };
    uint64_t bytes;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(size_parse(good[i].text, &bytes), 0);
        assert_int_equal(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (!size_parse(bad[i], &bytes)) {
            fail_msg("'%s' was taken for a size", bad[i]);
        }
    }
}

static int parse(struct run_options *options, const char *line) {
    static char *words[32];
    static char text[512];
    int count = 1;

    snprintf(text, sizeof(text), "%s", line);
    words[0] = (char[]){ "run" };
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) {
        words[count++] = word;
    }
    words[count] = NULL;
    int status = options_parse(options, count, words);
    free(options->environment.items);
    free(options->files.items);
    free(options->ports.items);
    options->environment = options->files = options->ports = (struct words){ 0 };
    return status;
}

static void test_options(void **state) {
    struct run_options options;

    (void)state;
    assert_int_equal(parse(&options, "prog --cpus 3"), -1);
    assert_int_equal(options.cpus, 0);
    assert_string_equal(options.program[1], "--cpus");
    assert_int_equal(options.memory_bytes, 256 << 20);
    assert_int_equal(parse(&options, "--cpus 64 --mem=1G --heap buddy-page --seed 0x10 --icount "
                                     "--on linux-vm --machine q35 --timeout 0.5 prog a b"),
                     -1);
    assert_int_equal(options.cpus, 64);
    assert_int_equal(options.memory_bytes, 1 << 30);
    assert_string_equal(options.heap, "buddy-page");
    assert_true(options.has_seed && options.seed == 16 && options.icount);
    assert_int_equal(options.on, ON_LINUX_VM);
    assert_int_equal(options.machine, MACHINE_Q35);
    assert_string_equal(options.program[0], "prog");
    assert_int_equal(parse(&options, "--on linux-lean --port 6379:6379 prog"), -1);
    assert_int_equal(options.on, ON_LINUX_LEAN);
    assert_true(system_is_linux_machine(options.on));
    assert_int_equal(options_machine(&options), MACHINE_Q35);
    assert_string_equal(net_manifest(&options), "dhcp");
    assert_int_equal(parse(&options, "--machine microvm-acpi prog"), -1);
    assert_false(system_is_linux_machine(options.on));
    assert_int_equal(options_machine(&options), MACHINE_MICROVM_ACPI);
}

static void test_network(void **state) {
    static const char *const good[] = {
        "--net none p",
        "--net socket:listen=:1234 p",
        "--net socket:connect=127.0.0.1:1234 p",
        "--net socket:mcast=230.0.0.1:1234 p",
        "--net socket:mcast=230.0.0.1:1234,localaddr=127.0.0.1 p",
        "--net socket:udp=127.0.0.1:1,localaddr=127.0.0.1:2 p",
        "--net socket:fd=3 p",
        "--port 80:80 --port 80:80/udp --port 127.0.0.2:80:80/tcp p",
        "--net tap:t --ip 10.0.0.2/31,10.0.0.3 p",
        "--net tap:t --ip 10.0.0.2/32 p",
        "--net tap:t p",
        "--on linux-lean --net tap:t --ip 10.0.0.2/24 p",
        "--on linux-lean --net user p",
    };
    struct run_options options;
    struct net_port port;
    struct net_ip ip;

    (void)state;
    assert_int_equal(parse(&options, "p"), -1);
    assert_int_equal(options.net, NET_NONE);
    assert_null(net_manifest(&options));
    assert_int_equal(parse(&options, "--port 8080:80 p"), -1);
    assert_int_equal(options.net, NET_USER);
    assert_string_equal(net_manifest(&options), "dhcp");
    assert_int_equal(parse(&options, "--net tap:mimosa0 --ip 10.0.9.2/24,10.0.9.1,8.8.4.4 p"), -1);
    assert_int_equal(options.net, NET_TAP);
    assert_string_equal(options.net_detail, "mimosa0");
    assert_string_equal(net_manifest(&options), "10.0.9.2/24,10.0.9.1,8.8.4.4");
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(parse(&options, good[i]), -1);
    }
    net_port_read(&port, "0.0.0.0:65535:53/udp");
    assert_true(!port.address && port.host == 65535 && port.guest == 53 && port.is_udp);
    net_port_read(&port, "8080:80");
    assert_true(port.address == 0x7f000001 && port.host == 8080 && port.guest == 80 &&
                !port.is_udp);
    net_ip_read(&ip, "10.0.9.2/20,10.0.9.1");
    assert_true(ip.address == 0x0a000902 && ip.mask == 0xfffff000 && ip.prefix == 20 &&
                ip.gateway == 0x0a000901 && !ip.dns);
}

/* None of these is taken. */
static void refuse(const char *const *lines, size_t count) {
    struct run_options options;
    int null = open("/dev/null", O_WRONLY);
    int saved = dup(2);

    dup2(null, 2);
    for (size_t i = 0; i < count; i++) {
        int status = parse(&options, lines[i]);
        if (status != CLI_USAGE) {
            fail_msg("'%s' gives %d", lines[i], status);
        }
    }
    dup2(saved, 2);
    close(saved);
    close(null);
}

static void test_wrong_network(void **state) {
    static const char *const lines[] = {
        "--net p",
        "--net usermode p",
        "--net tap: p",
        "--net tap:sixteen-letters- p",
        "--net socket: p",
        "--net socket:listen=x p",
        "--net socket:listen=: p",
        "--net socket:listen=:1,connect=:2 p",
        "--net socket:udp=1.2.3.4:5 p",
        "--net socket:fd=x p",
        "--net socket:fd=3,x=y p",
        "--port 80 p",
        "--port : p",
        "--port :80 p",
        "--port 80: p",
        "--port a:80 p",
        "--port 80:80x p",
        "--port 80:80/sctp p",
        "--port 0:80 p",
        "--port 80:0 p",
        "--port 65536:80 p",
        "--port 80:65536 p",
        "--port 80:99999999999999999999 p",
        "--port host:80:80 p",
        "--port ::1:80:80 p",
        "--port 1.2.3.4.5:80:80 p",
        "--port 80:80 --port 80:81 p",
        "--port 80:80 --net none p",
        "--port 80:80 --net tap:t p",
        "--ip 10.0.0.2/24 p",
        "--net user --ip 10.0.0.2 p",
        "--net user --ip 10.0.0.2/ p",
        "--net user --ip 10.0.0.2/0 p",
        "--net user --ip 10.0.0.2/33 p",
        "--net user --ip 10.0.0.2/30 p",
        "--net user --ip 10.0.0.0/24 p",
        "--net user --ip 10.0.0.255/24 p",
        "--net user --ip 10.0.0.256/24 p",
        "--net user --ip 10.0.0.2/24, p",
        "--net user --ip 10.0.0.2/24,10.0.1.1 p",
        "--net user --ip 10.0.0.2/24,10.0.0.2 p",
        "--net user --ip 10.0.0.2/24,10.0.0.1,x p",
        "--net user --ip 10.0.0.2/24,10.0.0.1,10.0.0.3,x p",
        "--on linux-lean --net tap:t p",
        "--on linux-lean --net socket:listen=:1 p",
    };

    (void)state;
    refuse(lines, sizeof(lines) / sizeof(lines[0]));
}

static void test_wrong_options(void **state) {
    static const char *const lines[] = {
        "",
        "--cpus 0 p",
        "--cpus 65 p",
        "--cpus two p",
        "--cpus",
        "--mem 3M p",
        "--mem much p",
        "--heap no p",
        "--on mars p",
        "--on linux-leaner p",
        "--machine pc p",
        "--accel x p",
        "--timeout -1 p",
        "--timeout x p",
        "--env =x p",
        "--seed q p",
        "--nonsense",
        "--icount --accel kvm p",
    };

    (void)state;
    refuse(lines, sizeof(lines) / sizeof(lines[0]));
}

static void test_environment(void **state) {
    struct words environment;
    char *more[] = { (char[]){ "HOME=/root" }, (char[]){ "A=b=c" }, (char[]){ "FROM_HOST" },
                     (char[]){ "NOT_THERE" } };
    struct run_options options = { .heap = "bump", .environment = { more, 4 } };
    bool home = false, a = false, host = false, heap = false;

    (void)state;
    setenv("FROM_HOST", "yes", 1);
    setenv("MIMOSA_HEAP", "musl", 1);
    environment_build(&options, &environment);
    for (size_t i = 0; i < environment.count; i++) {
        home |= !strcmp(environment.items[i], "HOME=/root");
        a |= !strcmp(environment.items[i], "A=b=c");
        host |= !strcmp(environment.items[i], "FROM_HOST=yes");
        heap |= !strcmp(environment.items[i], "MIMOSA_HEAP=bump");
        assert_string_not_equal(environment.items[i], "HOME=/");
        assert_null(strstr(environment.items[i], "NOT_THERE"));
        free(environment.items[i]);
    }
    free(environment.items);
    assert_true(home && a && host && heap);
}

static void test_manifest(void **state) {
    struct manifest manifest;

    (void)state;
    manifest_begin(&manifest);
    manifest_add(&manifest, "arg", "a\nb=c");
    manifest_add(&manifest, "arg", "");
    assert_int_equal(manifest.size, 15);
    assert_memory_equal(manifest.bytes, "arg=a\nb=c\0arg=\0", 15);
    free(manifest.bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),         cmocka_unit_test(test_options),
        cmocka_unit_test(test_network),       cmocka_unit_test(test_wrong_network),
        cmocka_unit_test(test_wrong_options), cmocka_unit_test(test_environment),
        cmocka_unit_test(test_manifest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
