/*
 * The functions behind tap.h.
 */

#include "tap.h"


static ngx_uint_t  unit_tests;
static ngx_uint_t  unit_failures;


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


int
unit_end(void)
{
    printf("1..%u\n", (unsigned) unit_tests);

    return unit_failures != 0;
}
