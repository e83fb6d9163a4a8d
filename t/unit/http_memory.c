/*
 * The HTTP client without memory: the n-th allocation of src/http and of
 * libcurl fails, for each n there is from the start of a worker to its end,
 * with a request to a port where nobody is, and an answer as libcurl would hand
 * it over.  Whatever fails is said: the worker does not start, there is no
 * request, or it ends once with an error that is one.  What is left behind the
 * sanitizers and a count of allocations notice.  Prints TAP.
 */

#include "http/prov_http_private.h"
#include "tap.h"

#include <poll.h>
#include <stdlib.h>


/* more than all of it takes */
#define MEMORY_MOST  5000


/* what src/http has of nginx's event loop */

volatile ngx_msec_t      ngx_current_msec = 1000000;
ngx_rbtree_t             ngx_event_timer_rbtree;
ngx_queue_t              ngx_posted_events;
ngx_queue_t              ngx_posted_next_events;
ngx_event_actions_t      ngx_event_actions;
ngx_atomic_t            *ngx_connection_counter;
uint32_t                *ngx_crc32_table_short;

static ngx_atomic_t        memory_counter;
static uint32_t            memory_crc32[16];
static ngx_int_t           memory_left;     /* of libcurl's allocations */
static ngx_uint_t          memory_delivered;
static prov_http_error_e   memory_error;

/* there is one of each at a time */
static ngx_rbtree_node_t  *memory_destination;
static ngx_connection_t   *memory_connection;


void
ngx_rbtree_insert(ngx_rbtree_t *tree, ngx_rbtree_node_t *node)
{
    /* there is one destination; timers are never looked for */

    if (tree == &prov_http_client.destinations) {
        memory_destination = node;
    }
}


void
ngx_rbtree_delete(ngx_rbtree_t *tree, ngx_rbtree_node_t *node)
{
    if (node == memory_destination) {
        memory_destination = NULL;
    }
}


void
ngx_rbtree_insert_timer_value(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel)
{
}


void
ngx_str_rbtree_insert_value(ngx_rbtree_node_t *temp, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *sentinel)
{
}


ngx_str_node_t *
ngx_str_rbtree_lookup(ngx_rbtree_t *tree, ngx_str_t *name, uint32_t hash)
{
    return (ngx_str_node_t *) memory_destination;
}


ngx_connection_t *
ngx_get_connection(ngx_socket_t s, ngx_log_t *log)
{
    ngx_connection_t  *c;

    c = ngx_calloc(sizeof(ngx_connection_t) + 2 * sizeof(ngx_event_t), log);

    if (c) {
        c->fd = s;
        c->read = (ngx_event_t *) (c + 1);
        c->write = c->read + 1;
        c->read->data = c;
        c->write->data = c;
        c->write->write = 1;
        memory_connection = c;
    }

    return c;
}


void
ngx_close_connection(ngx_connection_t *c)
{
    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }

    memory_connection = NULL;
    ngx_free(c);
}


static ngx_int_t
memory_event(ngx_event_t *ev, ngx_int_t event, ngx_uint_t flags)
{
    ev->active = !ev->active;

    return NGX_OK;
}


size_t
ngx_sock_ntop(struct sockaddr *sa, socklen_t socklen, u_char *text,
    size_t len, ngx_uint_t port)
{
    return 0;
}


time_t
ngx_parse_http_time(u_char *value, size_t len)
{
    return NGX_ERROR;
}


/* libcurl's allocator */

static void *
memory_malloc(size_t size)
{
    void  *p;

    p = ngx_shim_malloc(size);
    memory_left += (p != NULL);

    return p;
}


static void
memory_free(void *p)
{
    memory_left -= (p != NULL);
    free(p);
}


static void *
memory_realloc(void *p, size_t size)
{
    void  *q;

    if (p == NULL) {
        return memory_malloc(size);
    }

    q = ngx_shim_malloc(1);
    if (q == NULL) {
        return NULL;
    }

    free(q);

    return realloc(p, size);
}


static char *
memory_strdup(const char *s)
{
    char  *p;

    p = memory_malloc(strlen(s) + 1);

    return p ? strcpy(p, s) : NULL;
}


static void *
memory_calloc(size_t n, size_t size)
{
    void  *p;

    p = memory_malloc(n * size);

    return p ? memset(p, 0, n * size) : NULL;
}


/* turns of the loop, until there is nothing more to do */

static void
memory_socket(void)
{
    struct pollfd      p;
    ngx_connection_t  *c;

    c = memory_connection;

    if (c == NULL) {
        (void) poll(NULL, 0, 1);
        return;
    }

    p.fd = c->fd;
    p.events = (c->read->active ? POLLIN : 0)
               | (c->write->active ? POLLOUT : 0);

    if (poll(&p, 1, 10) > 0) {
        c->write->handler(c->write);
    }
}


static void
memory_turns(void)
{
    ngx_uint_t    i;
    ngx_event_t  *ev;

    for (i = 0; i < 1000 && !memory_delivered; i++) {

        if (!ngx_queue_empty(&ngx_posted_next_events)) {
            ngx_queue_add(&ngx_posted_events, &ngx_posted_next_events);
            ngx_queue_init(&ngx_posted_next_events);
        }

        if (prov_http_client.timer.timer_set) {
            prov_http_client.timer.timer_set = 0;
            prov_http_client.timer.handler(&prov_http_client.timer);
        }

        memory_socket();

        while (!ngx_queue_empty(&ngx_posted_events)) {
            ev = ngx_queue_data(ngx_queue_head(&ngx_posted_events),
                                ngx_event_t, queue);
            ngx_delete_posted_event(ev);
            ev->handler(ev);
        }
    }
}


static void
memory_done(prov_http_request_t *r)
{
    memory_delivered++;
    memory_error = r->error;
}


/* what libcurl would hand over; 0: it is told that there was no memory */

static ngx_uint_t
memory_answer(prov_http_request_t *r)
{
    char  header[] = "X-Header: value\r\n", body[2000];

    memset(body, 'b', sizeof(body));

    return prov_http_answer_header(header, 1, sizeof(header) - 1, r)
           == sizeof(header) - 1
           && prov_http_answer_body(body, 1, 400, r) == 400
           && prov_http_answer_body(body, 1, sizeof(body), r)
              == sizeof(body);
}


/* "" where what has failed was said, else what was not */

static const char *
memory_run(prov_http_conf_t *conf, ngx_uint_t n)
{
    ngx_uint_t            failed;
    ngx_cycle_t           cycle;
    const char           *headers[] = { "X-One: two", "X-None:" }, *wrong;
    prov_http_request_t  *r;

    memset(&cycle, 0, sizeof(cycle));
    cycle.log = ngx_shim_log();
    cycle.pool = ngx_create_pool(4096, cycle.log);

    wrong = "";
    memory_delivered = 0;

    ngx_queue_init(&ngx_posted_events);
    ngx_queue_init(&ngx_posted_next_events);

    ngx_shim_fail_at(n);

    if (prov_http_init_worker(&cycle, conf) != NGX_OK) {
        wrong = ngx_shim_failed() ? "" : "it does not start";
        goto done;
    }

    r = prov_http_create();

    if (r == NULL) {
        wrong = ngx_shim_failed() ? "" : "there is no request";
        goto done;
    }

    r->method = "POST";
    r->url = "http://127.0.0.1:1/";
    r->headers = headers;
    r->nheaders = 2;
    ngx_str_set(&r->body, "body");
    r->handler = memory_done;
    r->log = cycle.log;

    prov_http_submit(r);
    memory_turns();

    failed = ngx_shim_failed();

    if (memory_delivered != 1) {
        wrong = "its handler is not called once";

    } else if (memory_error == PROV_HTTP_ANSWERED) {
        wrong = "it is said to be answered";

    } else if (!failed && memory_error != PROV_HTTP_UNREACHABLE) {
        wrong = "it ends otherwise than with nobody there";

    } else if (!memory_answer(r)
               && (!r->exhausted || failed || !ngx_shim_failed()))
    {
        wrong = "an answer is not kept, and that is not said";

    } else if (r->exhausted != (ngx_shim_failed() && !failed)) {
        wrong = "an answer is kept without memory";
    }

    prov_http_release(r);

done:

    failed = ngx_shim_failed();
    ngx_shim_fail_at(0);

    prov_http_exit_worker();
    ngx_destroy_pool(cycle.pool);

    if (memory_left) {
        wrong = "libcurl's memory is not given back";
    }

    return (*wrong || failed) ? wrong : NULL;
}


int
main(void)
{
    ngx_uint_t        n;
    const char       *wrong;
    ngx_pool_t       *pool;
    prov_http_conf_t  conf;

    static prov_http_network_t  all;

    ngx_connection_counter = &memory_counter;
    ngx_crc32_table_short = memory_crc32;
    ngx_event_actions.add = memory_event;
    ngx_event_actions.del = memory_event;

    pool = ngx_create_pool(4096, ngx_shim_log());

    memset(&conf, 0, sizeof(conf));
    ngx_array_init(&conf.deny, pool, 1, sizeof(prov_http_network_t));
    ngx_array_init(&conf.allow, pool, 1, sizeof(prov_http_network_t));
    *(prov_http_network_t *) ngx_array_push(&conf.allow) = all;

    /* libcurl forgets a socket that it has no memory for: then time ends it */

    conf.timeout = 200;
    conf.connect_timeout = 200;
    conf.max_response = 65536;
    conf.connections = 4;
    conf.queue = 4;
    conf.destination_connections = 4;
    conf.destination_queue = 4;
    conf.plain_http = 1;

    /* before src/http does, which then counts only */

    if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, memory_malloc, memory_free,
                             memory_realloc, memory_strdup, memory_calloc)
        != CURLE_OK)
    {
        return 2;
    }

    memory_left = 0;

    for (n = 1; n < MEMORY_MOST; n++) {
        wrong = memory_run(&conf, n);

        if (wrong == NULL) {
            break;
        }

        if (*wrong) {
            printf("# allocation %u: %s\n", (unsigned) n, wrong);
            break;
        }
    }

    unit_result(wrong == NULL, "whatever allocation fails, it is said");
    unit_result(n > 50 && n < MEMORY_MOST, "and there are many");
    printf("# %u allocations\n", (unsigned) n - 1);

    curl_global_cleanup();
    ngx_destroy_pool(pool);

    return unit_end();
}
