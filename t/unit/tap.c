/*
 * The functions behind tap.h.
 */

#include "tap.h"

#include <stdlib.h>


static ngx_uint_t  unit_tests;
static ngx_uint_t  unit_failures;
static uint64_t    unit_state;


void
unit_result(ngx_uint_t ok, const char *name)
{
    unit_tests++;
    unit_failures += !ok;

    printf("%sok %u - %s\n", ok ? "" : "not ", (unsigned) unit_tests, name);
}


void
unit_is(const char *got, const char *expected, const char *name)
{
    unit_result(strcmp(got, expected) == 0, name);

    if (strcmp(got, expected) != 0) {
        printf("# got:\n%s\n# expected:\n%s\n", got, expected);
    }
}


void
unit_seed(const char *seed)
{
    unit_state = strtoull(seed, NULL, 10);
    printf("# seed %llu\n", (unsigned long long) unit_state);
    unit_state = unit_state * 2 + 1;
}


uint64_t
unit_below(uint64_t n)
{
    unit_state ^= unit_state << 13;
    unit_state ^= unit_state >> 7;
    unit_state ^= unit_state << 17;

    return unit_state % n;
}


int
unit_end(void)
{
    printf("1..%u\n", (unsigned) unit_tests);

    return unit_failures != 0;
}
