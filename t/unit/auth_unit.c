/*
 * Issuers, keys, the verifier and its cache without a server.  Driven by
 * t/auth_*.t: takes commands on standard input, words separated by tabs, and
 * prints one line for each; it judges nothing itself.
 */

#include "auth/prov_auth_private.h"
#include "base/prov_json_memory.h"
#include "auth_shim.h"

#include <openssl/err.h>
#include <stdio.h>
#include <time.h>


#define LINE   65536
#define WORDS  8
#define SETS   64


typedef struct {
    char              *name;
    prov_auth_set_t   *set;
} named_set_t;


static ngx_pool_t         *conf_pool;
static ngx_conf_t          conf;
static ngx_cycle_t         cycle;
static ngx_array_t         issuers;
static named_set_t         sets[SETS];
static ngx_pool_t         *cache_pool;
static prov_auth_cache_t  *cache;

/* a request that goes on */
static ngx_pool_t            *held_pool;
static prov_auth_identity_t  *held;


static const char *
text(ngx_str_t *s)
{
    static char  buf[8][1024];
    static int   n;

    n = (n + 1) % 8;
    snprintf(buf[n], sizeof(buf[n]), "%.*s", (int) s->len, (char *) s->data);

    return buf[n];
}


static prov_auth_set_t *
set_named(const char *name)
{
    int  i;

    for (i = 0; i < SETS; i++) {
        if (sets[i].name && strcmp(sets[i].name, name) == 0) {
            return sets[i].set;
        }
    }

    fprintf(stderr, "no set \"%s\"\n", name);
    exit(2);
}


/* Tokens come in hexadecimal, so that they may have any byte in them. */

static ngx_str_t
token_of(const char *hex)
{
    static u_char  buf[LINE / 2];
    ngx_str_t      token;
    unsigned       byte;

    token.data = buf;
    token.len = 0;

    while (sscanf(hex, "%2x", &byte) == 1) {
        buf[token.len++] = byte;
        hex += 2;
    }

    return token;
}


/* without signers: t/oauth.t has them in nginx itself */

static char *
issuer_block(ngx_conf_t *cf, ngx_array_t *list)
{
    static ngx_array_t  signers;

    return prov_auth_issuer_block(cf, list, &signers);
}


static void
command_issuer(char **word)
{
    char        *rv, *line;
    ngx_uint_t   before;

    before = issuers.nelts;
    auth_shim_log[0] = '\0';

    rv = auth_shim_block(&conf, "provisioning_issuer", word[1], word[2],
                         issuer_block, &issuers);

    /* the driver reads one line */

    for (line = strchr(auth_shim_log, '\n'); line; line = strchr(line, '\n')) {
        *line = '\t';
    }

    printf("%s%s\t%s\n", (rv == NGX_CONF_OK) ? "ok" : "refused",
           (ERR_peek_error() == 0) ? "" : " with errors left over",
           auth_shim_log);

    if ((rv == NGX_CONF_OK) != (issuers.nelts == before + 1)) {
        exit(2);
    }
}


static prov_auth_issuer_t *
issuer_named(char *name)
{
    ngx_str_t            s;
    prov_auth_issuer_t  *issuer;

    s.data = (u_char *) name;
    s.len = strlen(name);

    issuer = prov_auth_issuer_find(&issuers, &s);
    if (issuer == NULL) {
        fprintf(stderr, "no issuer \"%s\"\n", name);
        exit(2);
    }

    return issuer;
}


static void
command_show(char **word)
{
    ngx_str_t            algorithms, none;
    ngx_uint_t           i;
    prov_auth_key_t     *key;
    prov_auth_issuer_t  *issuer;

    issuer = issuer_named(word[1]);
    algorithms = prov_auth_alg_names(conf_pool, issuer->algorithms);
    ngx_str_set(&none, "-");

    printf("%s\t%s\t%s\t%s\t%ld", text(&algorithms),
           text(&issuer->subject_claim), text(&issuer->partner_claim),
           text(&issuer->roles_claim),
           (long) issuer->leeway);

    key = issuer->keys.elts;

    for (i = 0; i < issuer->keys.nelts; i++) {
        algorithms = prov_auth_alg_names(conf_pool, key[i].algorithms);
        printf("\t%s %s", text(key[i].named ? &key[i].kid : &none),
               text(&algorithms));
    }

    printf("\n");
}


static void
command_set(char **word)
{
    int        i;
    ngx_int_t  rc;

    for (i = 0; sets[i].name; i++) { /* void */ }

    sets[i].name = strdup(word[1]);
    sets[i].set = prov_auth_set_create(conf_pool);

    rc = NGX_OK;

    for (word += 2; *word && rc == NGX_OK; word++) {
        rc = prov_auth_set_add(sets[i].set, issuer_named(*word));
    }

    printf("%s\n", (rc == NGX_OK) ? "ok" : "refused");
}


static void
command_cache(char **word)
{
    if (cache_pool) {
        ngx_destroy_pool(cache_pool);
        cache_pool = NULL;
        cache = NULL;
    }

    if (strcmp(word[1], "off") != 0) {
        cache_pool = ngx_create_pool(4096, ngx_shim_log());
        cache = prov_auth_cache_create(cache_pool, atoi(word[1]));
    }

    printf("ok\n");
}


static void
print_identity(prov_auth_identity_t *identity)
{
    ngx_uint_t  i;

    printf("ok\t%s\t%s\t%s\t", text(&identity->issuer->name),
           text(&identity->subject), text(&identity->partner));

    for (i = 0; i < identity->nroles; i++) {
        printf("%s%s", i ? "," : "", text(&identity->roles[i]));
    }

    printf("\t%ld\n", (long) identity->expires);
}


static void
command_verify(char **word)
{
    ngx_int_t              rc;
    ngx_str_t              token;
    ngx_pool_t            *pool;
    prov_auth_refusal_t    refusal;
    prov_auth_identity_t  *identity;

    token = token_of(word[2] ? word[2] : "");
    pool = ngx_create_pool(4096, ngx_shim_log());

    rc = prov_auth_verify(set_named(word[1]), cache, &token, pool, &identity,
                          &refusal);

    if (ERR_peek_error() != 0) {
        printf("errors left over\n");

    } else if (rc == NGX_OK) {
        print_identity(identity);

    } else if (rc == NGX_DECLINED) {
        printf("refused\t%s\t%s\t%s\n", text(&refusal.code),
               text(&refusal.detail), text(&refusal.log));

    } else {
        printf("error\n");
    }

    ngx_destroy_pool(pool);
}


/* Whether the cache alone knows the token. */

static void
command_cached(char **word)
{
    u_char                 key[PROV_AUTH_CACHE_KEY];
    ngx_str_t              token;
    ngx_pool_t            *pool;
    prov_auth_identity_t  *identity;

    token = token_of(word[2] ? word[2] : "");
    pool = ngx_create_pool(4096, ngx_shim_log());

    prov_auth_cache_key(cache, set_named(word[1]), &token, key);

    if (prov_auth_cache_find(cache, key, pool, &identity) == NGX_OK) {
        print_identity(identity);

    } else {
        printf("unknown\n");
    }

    ngx_destroy_pool(pool);
}


/* As "verify", but the request lives until "held" says what it still has. */

static void
command_hold(char **word)
{
    ngx_str_t            token;
    prov_auth_refusal_t  refusal;

    token = token_of(word[2]);
    held_pool = ngx_create_pool(4096, ngx_shim_log());

    printf("%s\n", (prov_auth_verify(set_named(word[1]), cache, &token,
                                     held_pool, &held, &refusal)
                    == NGX_OK) ? "ok" : "refused");
}


static void
command_held(void)
{
    u_char     buf[4096];
    ngx_str_t  told;

    told.data = buf;
    told.len = prov_auth_identity_told(buf, held) - buf;

    printf("%s\t%s\n", text(&held->subject), text(&told));

    ngx_destroy_pool(held_pool);
}


/*
 * Verifies again and again, with another allocation failing each time, until
 * there are no more.  Returns how many there were; *wrong counts how often
 * one that failed led to anything but an error or the outcome without.
 */

static int
verify_without_memory(prov_auth_set_t *set, ngx_str_t *token,
    ngx_int_t outcome, int *wrong)
{
    int                    n;
    ngx_int_t              rc;
    ngx_uint_t             failed;
    ngx_pool_t            *pool;
    prov_auth_refusal_t    refusal;
    prov_auth_identity_t  *identity;

    for (n = 1; /* void */ ; n++) {
        pool = ngx_create_pool(4096, ngx_shim_log());

        ngx_shim_fail_at(n);
        rc = prov_auth_verify(set, cache, token, pool, &identity, &refusal);
        failed = ngx_shim_failed();
        ngx_shim_fail_at(0);

        ngx_destroy_pool(pool);

        if (rc != outcome && !(failed && rc == NGX_ERROR)) {
            (*wrong)++;
        }

        if (!failed) {
            return n - 1;
        }
    }
}


static void
command_memory(char **word)
{
    int                    n, wrong;
    ngx_int_t              outcome;
    ngx_str_t              token;
    ngx_pool_t            *pool;
    prov_auth_set_t       *set;
    prov_auth_refusal_t    refusal;
    prov_auth_identity_t  *identity;

    set = set_named(word[1]);
    token = token_of(word[2]);
    wrong = 0;

    pool = ngx_create_pool(4096, ngx_shim_log());
    outcome = prov_auth_verify(set, NULL, &token, pool, &identity, &refusal);
    ngx_destroy_pool(pool);

    n = verify_without_memory(set, &token, outcome, &wrong);

    printf("%s\t%d\t%d\n", (outcome == NGX_OK) ? "ok" : "refused", n, wrong);
}


/* The same for reading a configuration. */

static void
command_memory_conf(char **word)
{
    int          n, wrong;
    char        *rv;
    ngx_conf_t   cf;
    ngx_uint_t   failed;
    ngx_pool_t  *pool;
    ngx_array_t  list;
    ngx_cycle_t  cy;

    wrong = 0;

    for (n = 1, failed = 1; failed; n++) {
        pool = ngx_create_pool(4096, ngx_shim_log());
        auth_shim_conf(&cf, &cy, pool, (char *) cycle.conf_prefix.data);
        ngx_array_init(&list, pool, 1, sizeof(prov_auth_issuer_t *));
        auth_shim_log[0] = '\0';

        ngx_shim_fail_at(n);
        rv = auth_shim_block(&cf, "provisioning_issuer", word[1], word[2],
                             issuer_block, &list);
        failed = ngx_shim_failed();
        ngx_shim_fail_at(0);

        wrong += (failed == (rv == NGX_CONF_OK));

        ngx_destroy_pool(pool);
    }

    printf("ok\t%d\t%d\n", n - 2, wrong);
}


/* Microseconds for one verification. */

static void
command_bench(char **word)
{
    int                    i, n;
    double                 spent;
    ngx_str_t              token;
    ngx_pool_t            *pool;
    struct timespec        from, to;
    prov_auth_refusal_t    refusal;
    prov_auth_identity_t  *identity;

    n = atoi(word[3]);
    token = token_of(word[2] ? word[2] : "");

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);

    for (i = 0; i < n; i++) {
        pool = ngx_create_pool(4096, ngx_shim_log());
        prov_auth_verify(set_named(word[1]), cache, &token, pool, &identity,
                         &refusal);
        ngx_destroy_pool(pool);
    }

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);

    spent = (to.tv_sec - from.tv_sec) * 1e6 + (to.tv_nsec - from.tv_nsec) / 1e3;

    printf("%.2f\n", spent / n);
}


static void
command_base64url(char **word)
{
    u_char     dst[1024];
    ngx_int_t  i, n;

    n = prov_auth_base64url(dst, atoi(word[1]), (u_char *) word[2],
                            strlen(word[2]));
    if (n < 0) {
        printf("refused\n");
        return;
    }

    for (i = 0; i < n; i++) {
        printf("%02x", dst[i]);
    }

    printf("\n");
}


static void
command(char **word)
{
    if (strcmp(word[0], "issuer") == 0) {
        command_issuer(word);

    } else if (strcmp(word[0], "show") == 0) {
        command_show(word);

    } else if (strcmp(word[0], "set") == 0) {
        command_set(word);

    } else if (strcmp(word[0], "clock") == 0) {
        ngx_shim_set_time(atol(word[1]), 0);
        printf("ok\n");

    } else if (strcmp(word[0], "cache") == 0) {
        command_cache(word);

    } else if (strcmp(word[0], "count") == 0) {
        printf("%lu\n", (unsigned long) prov_auth_cache_count(cache));

    } else if (strcmp(word[0], "forget") == 0) {
        issuer_named(word[1])->algorithms = 0;
        printf("ok\n");

    } else if (strcmp(word[0], "verify") == 0) {
        command_verify(word);

    } else if (strcmp(word[0], "cached") == 0) {
        command_cached(word);

    } else if (strcmp(word[0], "hold") == 0) {
        command_hold(word);

    } else if (strcmp(word[0], "held") == 0) {
        command_held();

    } else if (strcmp(word[0], "memory") == 0) {
        command_memory(word);

    } else if (strcmp(word[0], "memory_conf") == 0) {
        command_memory_conf(word);

    } else if (strcmp(word[0], "bench") == 0) {
        command_bench(word);

    } else if (strcmp(word[0], "base64url") == 0) {
        command_base64url(word);

    } else {
        fprintf(stderr, "no command \"%s\"\n", word[0]);
        exit(2);
    }
}


int
main(int argc, char **argv)
{
    int    i;
    char  *p, *word[WORDS + 1];

    static char  line[LINE];

    if (argc != 2) {
        fprintf(stderr, "usage: auth_unit directory/\n");
        return 2;
    }

    setvbuf(stdout, NULL, _IOLBF, 0);

    conf_pool = ngx_create_pool(4096, ngx_shim_log());

    json_set_alloc_funcs(ngx_shim_malloc, free);
    prov_json_memory_init(conf_pool);

    auth_shim_conf(&conf, &cycle, conf_pool, argv[1]);
    ngx_array_init(&issuers, conf_pool, 4, sizeof(prov_auth_issuer_t *));

    while (fgets(line, sizeof(line), stdin)) {
        memset(word, 0, sizeof(word));
        p = strtok(line, "\t\n");

        for (i = 0; p && i < WORDS; i++) {
            word[i] = p;
            p = strtok(NULL, "\t\n");
        }

        if (word[0]) {
            command(word);
        }
    }

    if (cache_pool) {
        ngx_destroy_pool(cache_pool);
    }

    for (i = 0; i < SETS; i++) {
        free(sets[i].name);
    }

    ngx_destroy_pool(conf_pool);

    return 0;
}
