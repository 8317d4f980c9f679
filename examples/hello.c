/* SPDX-License-Identifier: MIT */
/* The least: mimosa run hello */
#include <stdio.h>

int main(int argc, char **argv) {
    printf("Hello from Mimosa");
    for (int i = 1; i < argc; i++) {
        printf("%s %s", i == 1 ? ", to" : " and", argv[i]);
    }
    puts("!");
    return 0;
}
