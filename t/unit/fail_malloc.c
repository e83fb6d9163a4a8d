/*
 * A malloc() that has no memory for what is exactly FAIL_SIZE bytes long, from
 * the environment; for LD_PRELOAD, in t/bodies_memory.t.
 */

#include <stdlib.h>


void *__libc_malloc(size_t size);


void *
malloc(size_t size)
{
    static size_t  failing;

    const char  *text;

    if (failing == 0) {
        text = getenv("FAIL_SIZE");
        failing = text ? strtoul(text, NULL, 10) : (size_t) -1;
    }

    return (size == failing) ? NULL : __libc_malloc(size);
}
