/* replay.c - what runs a fuzz target where there is no libFuzzer: over the
 * files and folders that it is given, one input after the other. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <string.h>

#include "kit.h"

static unsigned files;
static char now[4096]; /* what is being run; printed where it ends badly */

static void
run_file(const char *path)
{
    static uint8_t data[1 << 16];
    FILE *file = fopen(path, "rb");
    MUST(file != NULL);
    size_t size = fread(data, 1, sizeof(data), file);
    MUST(fclose(file) == 0);
    (void)snprintf(now, sizeof(now), "%s", path);
    /* From malloc(), of its size: who reads behind it is seen. */
    uint8_t *copy = malloc(size > 0 ? size : 1);
    MUST(copy != NULL);
    memcpy(copy, data, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    files++;
}

static void
say_where(void)
{
    if (now[0] != '\0') {
        fprintf(stderr, "while this was run: %s\n", now);
    }
}

int
main(int argc, char **argv)
{
    MUST(atexit(say_where) == 0);
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        if (folder == NULL) {
            run_file(argv[i]);
            continue;
        }
        for (struct dirent *e; (e = readdir(folder)) != NULL;) {
            char path[4096];
            int length =
                snprintf(path, sizeof(path), "%s/%s", argv[i], e->d_name);
            MUST(length > 0 && (size_t)length < sizeof(path));
            if (e->d_name[0] != '.') {
                run_file(path);
            }
        }
        (void)closedir(folder);
    }
    now[0] = '\0';
    printf("%u inputs replayed\n", files);
    return files == 0;
}
