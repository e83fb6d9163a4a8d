/*
 * Signs the claims on standard input with libjwt, one of the verifier's
 * oracles: libjwt_sign algorithm key-file [kid].
 */

#include <jwt.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static size_t
slurp(const char *file, char *buf, size_t size)
{
    FILE    *f;
    size_t   n;

    f = file ? fopen(file, "rb") : stdin;
    if (f == NULL) {
        perror(file);
        return 0;
    }

    n = fread(buf, 1, size - 1, f);
    buf[n] = '\0';

    if (file) {
        fclose(f);
    }

    return n;
}


int
main(int argc, char **argv)
{
    char    key[16384], claims[16384], *token;
    jwt_t  *jwt;
    size_t  len;

    if (argc < 3) {
        fprintf(stderr, "usage: libjwt_sign algorithm key-file [kid]\n");
        return 2;
    }

    len = slurp(argv[2], key, sizeof(key));

    if (len == 0 || slurp(NULL, claims, sizeof(claims)) == 0) {
        return 2;
    }

    if (jwt_new(&jwt) != 0
        || jwt_add_grants_json(jwt, claims) != 0
        || jwt_set_alg(jwt, jwt_str_alg(argv[1]), (unsigned char *) key, len)
           != 0
        || (argc > 3 && jwt_add_header(jwt, "kid", argv[3]) != 0))
    {
        fprintf(stderr, "libjwt: the token cannot be made\n");
        return 1;
    }

    token = jwt_encode_str(jwt);
    if (token == NULL) {
        fprintf(stderr, "libjwt: %s\n", strerror(errno));
        return 1;
    }

    printf("%s\n", token);

    free(token);
    jwt_free(jwt);

    return 0;
}
