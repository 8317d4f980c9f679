/* SPDX-License-Identifier: MIT */
/*
 * `mimosa run` as a whole, against fake_qemu.c instead of QEMU: text and exit
 * status of what can happen on the wire and on the command line.  Run from the
 * root of the sources, with build/mimosa and build/test/fake_qemu made.
 */
#include <arpa/inet.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/cli_run_XXXXXX";
static char output[1 << 16];

/*
 * Runs a shell line with $RUN = mimosa run, $P = the program and $D = a folder
 * of its own; what it prints is in `output`.  Returns its exit status.
 */
static int shell(const char *line) {
    char command[2048];

    snprintf(command, sizeof(command),
             "exec 2>&1; D=%s P=%s/prog RUN='timeout 20 build/mimosa run'; %s", folder, folder,
             line);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t length = fread(output, 1, sizeof(output) - 1, pipe);
    output[length] = '\0';
    int status = pclose(pipe);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void expect(const char *line, int status, const char *text) {
    int got = shell(line);

    if (got != status || !strstr(output, text)) {
        fail_msg("%s\nexpected status %d and \"%s\", got %d and:\n%s", line, status, text, got,
                 output);
    }
}

static void test_streams(void **state) {
    (void)state;
    expect("echo hi | $RUN $P cat", 0, "hi\n");
    expect("$RUN $P cat </dev/null", 0, "");
    assert_string_equal(output, "");
    expect("$RUN $P cat <&-", 0, "");
    expect("$RUN $P both 2>/dev/null", 0, "output");
    assert_string_equal(output, "output\n");
    expect("$RUN $P both >/dev/null", 0, "error");
    assert_string_equal(output, "error\nreport\n");
    expect("$RUN $P both", 0, "error\noutput\nreport\n");
    expect("head -c 30000000 /dev/zero | $RUN $P cat | cksum", 0, " 30000000");
    expect("head -c 5000000 /dev/zero | $RUN $P cat | (sleep 0.3; cksum)", 0, " 5000000");
    expect("($RUN $P yes; echo status $? >&2) | head -c 10", 0, "status 141");
}

static void test_status(void **state) {
    (void)state;
    expect("$RUN $P exit 0", 0, "");
    expect("$RUN $P exit 200", 200, "");
    expect("$RUN $P exit 255", 255, "");
    expect("$RUN $P linger", 7, "");
    expect("$RUN $P exit 256", 125, "rules of the wire");
}

static void test_manifest(void **state) {
    (void)state;
    expect("A=x $RUN --env A --env B=2 --heap bump --seed 5 --populate $P manifest 'two words' ''",
           0, "arg=two words\narg=\n");
    assert_non_null(strstr(output, "program=bin/prog\n"));
    assert_non_null(strstr(output, "env=A=x\nenv=B=2\nenv=MIMOSA_HEAP=bump\n"));
    assert_non_null(strstr(output, "seed=5\npopulate=1\n"));
    assert_non_null(strstr(output, "cwd=/\n"));
}

static void test_network(void **state) {
    (void)state;
    expect("$RUN $P command", 0, "-serial\n");
    assert_null(strstr(output, "-net"));
    assert_null(strstr(output, "rng"));
    expect("$RUN --port 47801:80 --port 127.0.0.1:47802:53/udp $P command", 0,
           "-netdev\nuser,id=net,hostfwd=tcp:127.0.0.1:47801-:80,hostfwd=udp:127.0.0.1:47802-:53\n"
           "-device\nvirtio-net-device,netdev=net\n-object\nrng-random,");
    expect("$RUN --net user --machine q35 $P command", 0, "-device\nvirtio-net-pci,netdev=net,");
    expect("$RUN --net user --ip 10.1.0.2/16 $P command", 0,
           ",net=10.1.0.0/16,host=10.1.0.1,dns=10.1.0.3,dhcpstart=10.1.0.2\n");
    expect("$RUN --net user --ip 10.1.0.1/16,10.1.9.9,8.8.4.4 $P command", 0,
           ",net=10.1.0.0/16,host=10.1.9.9,dns=10.1.0.2,dhcpstart=10.1.0.1\n");
    expect("$RUN --net socket:listen=:1234 $P command", 0, "-netdev\nsocket,id=net,listen=:1234\n");
    assert_non_null(strstr(output, "virtio-net-device,netdev=net,mac=52:54:00:"));
    expect("$RUN --net socket:fd=0 $P command </dev/null", 0, "socket,id=net,fd=0\n");
    expect("$RUN --net user --ip 10.0.2.9/24 $P manifest", 0, "net=10.0.2.9/24\n");
    expect("$RUN --port 47801:80 $P manifest", 0, "net=dhcp\n");
    expect("$RUN $P manifest", 0, "arg=");
    assert_null(strstr(output, "net="));
}

/* Another program has the port that this one wants. */
static void hold_port(int type, uint16_t port, int *fd) {
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                   .sin_port = htons(port) };
    int one = 1;

    *fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    assert_return_code(setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
    assert_return_code(bind(*fd, (struct sockaddr *)&address, sizeof(address)), errno);
    assert_true(type == SOCK_DGRAM || !listen(*fd, 1));
}

static void test_network_failures(void **state) {
    int stream, datagram;

    (void)state;
    hold_port(SOCK_STREAM, 47803, &stream);
    hold_port(SOCK_DGRAM, 47804, &datagram);
    expect("$RUN --port 47803:80 $P cat </dev/null", 125,
           "mimosa: --port 47803:80: port 47803 of 127.0.0.1 is in use on this host");
    expect("$RUN --port 47803:80/udp $P cat </dev/null", 0, "");
    expect("$RUN --port 47804:80/udp $P cat </dev/null", 125, "is in use on this host");
    close(stream);
    close(datagram);
    expect("$RUN --port 192.0.2.1:47803:80 $P cat", 125, "this host has no address 192.0.2.1\n");
    expect("$RUN --port 99999:80 $P", 2, "ports go from 1 to 65535");
    expect("$RUN --port 80 $P", 2, "such as 8080:80");
    expect("$RUN --port 1:1 --net tap:x $P", 2, "--port goes with --net user");
    expect("$RUN --net tap:mimosa-none $P cat", 125, "sudo ip tuntap add dev mimosa-none mode tap");
    expect("$RUN --net socket:fd=99 $P cat", 125, "no open descriptor 99");
    expect("$RUN --port 47803:80 $P no-port", 125,
           "mimosa: a port of --port was taken on this host just now");
    expect("$RUN --on linux --port 47803:80 --port 81:81 $D/text", 125, "is not an ELF file");
    expect("$RUN --on linux --port 81:81 --port 47803:80 build/bin/hello", 0,
           "change nothing; look for it at port 80\n");
}

static void test_failures(void **state) {
    (void)state;
    expect("$RUN $P die", 125, "last words\nmimosa: the machine stopped before");
    expect("$RUN $P panic", 125,
           "[0.1 0] its log\nmimosa: panic: bad thing at 0x1\n  second line\n");
    expect("$RUN $P refuse", 125,
           "mimosa: cannot start: too little memory for this; give more with --mem\n");
    assert_string_equal(output,
                        "mimosa: cannot start: too little memory for this; give more with --mem\n");
    expect("$RUN $P killed", 125, "QEMU was ended by signal 9");
    expect("$RUN $P no-hello", 125, "something is wrong with the options");
    expect("$RUN $P bad-frame", 125, "rules of the wire (frame type 99");
    expect("$RUN $P bad-length", 125, "rules of the wire");
    expect("$RUN $P early-data", 125, "rules of the wire");
    expect("MIMOSA_QEMU=no-such-qemu $RUN $P cat", 125, "install QEMU");
    expect("MIMOSA_KERNEL=/nonexistent $RUN $P cat", 125, "cannot read the kernel");
    expect("$RUN --mem 4M --file $D/big $P cat", 125, "give more with --mem");
    expect("$RUN --file /nonexistent $P cat", 125, "cannot put /nonexistent");
}

static void test_time(void **state) {
    (void)state;
    expect("$RUN --timeout 0.3 $P stuck", 124, "thread 1 sleeps");
    expect("$RUN --timeout 0.3 $P deaf", 124,
           "did not answer; its last words:\n[0.1 0] going deaf");
    expect("($RUN --timeout 0.5 $P yes; echo status $? >&2) | sleep 4", 0, "status 124");
}

/* Sends signals once the program said "ready". */
#define SIGNALLED(part, signals)                                                                   \
    "mkfifo $D/fifo; (env --default-signal=INT build/mimosa run $P " part                          \
    " >$D/fifo & pid=$!; read line <$D/fifo; "                                                     \
    "for s in " signals                                                                            \
    "; do kill -$s $pid; sleep 0.1; done; wait $pid); s=$?; rm $D/fifo; exit $s"

static void test_signals(void **state) {
    (void)state;
    expect(SIGNALLED("signal", "INT"), 102, "");
    expect(SIGNALLED("signal", "TERM"), 115, "");
    expect(SIGNALLED("signal", "HUP"), 101, "");
    expect("trap '' HUP; " SIGNALLED("signal", "HUP TERM"), 115, ""); /* as under nohup */
    expect(SIGNALLED("stuck", "INT INT"), 130, "thread 1 sleeps");
}

static void test_programs(void **state) {
    (void)state;
    expect("$RUN $D/text", 125, "is not an ELF file");
    expect("$RUN $D/script", 125, "is a script");
    expect("$RUN $D/none", 125, "cannot read the program");
    expect("$RUN $D", 125, "cannot read the program");
    expect("head -c 100 $P >$D/cut; $RUN $D/cut", 125, "is truncated");
    expect("$RUN no-such-program", 125, "there is no program 'no-such-program'");
    expect("$RUN /bin/sh", 125, "dynamically linked");
    expect("$RUN --heap bump $P exit 3", 3, "--heap bump changes nothing");
    expect("$RUN --heap none $P", 2, "the heaps are: buddy");
    expect("$RUN --cpus 65 $P", 2, "is too many");
}

static int set_up(void **state) {
    /* A static program as far as the command can tell; fake_qemu never runs it. */
    struct {
        Elf64_Ehdr header;
        Elf64_Phdr segment;
    } program = {
        .header = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
                    .e_type = ET_EXEC,
                    .e_machine = EM_X86_64,
                    .e_entry = 1,
                    .e_phoff = sizeof(Elf64_Ehdr),
                    .e_phentsize = sizeof(Elf64_Phdr),
                    .e_phnum = 1 },
        .segment = { .p_type = PT_LOAD, .p_filesz = 8 },
    };
    char path[64];

    (void)state;
    if (!mkdtemp(folder)) {
        return -1;
    }
    snprintf(path, sizeof(path), "%s/prog", folder);
    FILE *file = fopen(path, "w");
    if (!file || fwrite(&program, sizeof(program), 1, file) != 1 || fclose(file)) {
        return -1;
    }
    setenv("MIMOSA_QEMU", "build/test/fake_qemu", 1);
    setenv("MIMOSA_KERNEL", path, 1);
    unsetenv("MIMOSA_HEAP");
    return shell("echo hello >$D/text; printf '#!/bin/sh\\n' >$D/script; "
                 "head -c 5000000 /dev/zero >$D/big");
}

static int clean_up(void **state) {
    (void)state;
    return shell("rm -r $D");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_manifest),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_programs),
        cmocka_unit_test(test_network),
        cmocka_unit_test(test_network_failures),
    };

    return cmocka_run_group_tests(tests, set_up, clean_up);
}
