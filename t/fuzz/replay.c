/*
 * Runs a fuzz target once for each file it is given, without libFuzzer: so
 * the tests run through the corpora.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>


#define REPLAY_MAX  65536


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
main(int argc, char **argv)
{
    int      i;
    FILE    *f;
    size_t   n;

    static uint8_t  data[REPLAY_MAX];

    for (i = 1; i < argc; i++) {

        f = fopen(argv[i], "rb");
        if (f == NULL) {
            perror(argv[i]);
            return 2;
        }

        n = fread(data, 1, sizeof(data), f);
        fclose(f);

        (void) LLVMFuzzerTestOneInput(data, n);
    }

    printf("%d inputs\n", argc - 1);

    return 0;
}
