/*
 * Buckets in a zone: that processes which take from them at the same time
 * lose and invent nothing, and which ones a full zone forgets, held against a
 * model.  The zone's memory is shared, as nginx's is; the allocator has room
 * for as many buckets as a test says.  Prints TAP; the argument is the seed of
 * what is random.
 */

#include "limit/prov_limit.h"
#include "tap.h"

#include <stdlib.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>


#define PROCESSES  4
#define TAKES      50000
#define BURST      100000

#define ROOMS      16
#define KEYS       40
#define STEPS      50000


typedef struct {
    ngx_slab_pool_t    pool;          /* first: its address is the zone's */
    ngx_uint_t         rooms;         /* how many allocations may be live */
    void              *unused;        /* list of those that were freed */
    u_char            *next;
    u_char             memory[65536];
} unit_memory_t;


volatile ngx_msec_t       ngx_current_msec = 1000;


/* nginx's functions, for the arguments that a zone gives them */

static void *
unit_alloc(unit_memory_t *memory, size_t size)
{
    u_char  *p;

    p = memory->next;
    memory->next += ngx_align(size, 16);

    return p;
}


void *
ngx_slab_alloc(ngx_slab_pool_t *pool, size_t size)
{
    return unit_alloc((unit_memory_t *) pool, size);
}


void *
ngx_slab_calloc(ngx_slab_pool_t *pool, size_t size)
{
    return unit_alloc((unit_memory_t *) pool, size);
}


void *
ngx_slab_alloc_locked(ngx_slab_pool_t *pool, size_t size)
{
    void           *p;
    unit_memory_t  *memory;

    memory = (unit_memory_t *) pool;

    if (memory->rooms == 0) {
        return NULL;
    }

    memory->rooms--;

    if (memory->unused == NULL) {
        return unit_alloc(memory, size);
    }

    p = memory->unused;
    memory->unused = *(void **) p;

    return p;
}


void
ngx_slab_free_locked(ngx_slab_pool_t *pool, void *p)
{
    unit_memory_t  *memory;

    memory = (unit_memory_t *) pool;
    memory->rooms++;

    *(void **) p = memory->unused;
    memory->unused = p;
}


void
ngx_shmtx_lock(ngx_shmtx_t *mtx)
{
    while (!__sync_bool_compare_and_swap(mtx->lock, 0, 1)) {
        sched_yield();
    }
}


void
ngx_shmtx_unlock(ngx_shmtx_t *mtx)
{
    __sync_lock_release(mtx->lock);
}


/* A zone with room for so many buckets. */

static void
unit_zone(prov_limit_zone_t *zone, ngx_shm_zone_t *shm, ngx_uint_t rooms,
    ngx_uint_t burst)
{
    unit_memory_t  *memory;

    memory = mmap(NULL, sizeof(unit_memory_t), PROT_READ|PROT_WRITE,
                  MAP_ANON|MAP_SHARED, -1, 0);
    if (memory == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }

    memory->next = memory->memory;
    memory->pool.mutex.lock = &memory->pool.lock.lock;

    ngx_memzero(zone, sizeof(prov_limit_zone_t));
    ngx_memzero(shm, sizeof(ngx_shm_zone_t));

    ngx_str_set(&zone->name, "unit");
    prov_limit_rate_set(&zone->rate, 1, 3600000, burst);
    zone->shm = shm;
    shm->data = zone;
    shm->shm.addr = (u_char *) memory;

    if (prov_limit_zone_init(shm, NULL) != NGX_OK) {
        exit(1);
    }

    memory->rooms = rooms;
}


/* all begin with one of three words, so that the tree has to look further */

static void
unit_key(u_char *key, ngx_uint_t n)
{
    ngx_memzero(key, PROV_LIMIT_KEY);
    key[0] = n % 3;
    key[PROV_LIMIT_KEY - 1] = n;
    key[PROV_LIMIT_KEY - 2] = n >> 8;
}


/* One bucket that all take from, and others that come and go around it. */

static void
test_processes(void)
{
    int                 status, pipes[2];
    u_char              key[PROV_LIMIT_KEY];
    ngx_int_t           rc;
    ngx_uint_t          i, n, total, clean;
    ngx_shm_zone_t      shm;
    prov_limit_room_t   room;
    prov_limit_zone_t   zone;

    unit_zone(&zone, &shm, 64, BURST);

    if (pipe(pipes) == -1) {
        exit(1);
    }

    fflush(stdout);

    for (i = 0; i < PROCESSES; i++) {

        if (fork() != 0) {
            continue;
        }

        for (n = 0, total = 0; n < TAKES; n++) {

            unit_key(key, 0);
            rc = prov_limit_take(&zone, key, &room);
            total += (rc == NGX_OK);

            /* what is given back can be taken again */

            if (rc == NGX_OK && n % 10 == 0) {
                prov_limit_give(&zone, key, &room);
                total--;
            }

            if (n % 4 == 0) {
                unit_key(key, 1 + (n * PROCESSES + i) % 500);
                (void) prov_limit_take(&zone, key, &room);
            }
        }

        _exit(write(pipes[1], &total, sizeof(total)) != sizeof(total));
    }

    for (i = 0, total = 0, clean = 0; i < PROCESSES; i++) {
        clean += (wait(&status) > 0 && status == 0
                  && read(pipes[0], &n, sizeof(n)) == sizeof(n));
        total += n;
    }

    unit_result(clean == PROCESSES, "processes share a zone and survive it");
    unit_result(total == BURST,
                "what they take together is exactly what was there");

    if (total != BURST) {
        printf("# %u of %u\n", (unsigned) total, BURST);
    }
}


/*
 * The model knows of each key how much was taken, and when it was last used;
 * a key that is not among the last ones used is forgotten.
 */

static void
test_forgetting(void)
{
    u_char              key[PROV_LIMIT_KEY];
    ngx_int_t           rc;
    ngx_uint_t          i, n, give, step, live, oldest;
    ngx_uint_t          used[KEYS], taken[KEYS];
    ngx_shm_zone_t      shm;
    prov_limit_room_t   room;
    prov_limit_zone_t   zone;

    unit_zone(&zone, &shm, ROOMS, 10);
    ngx_memzero(used, sizeof(used));
    ngx_memzero(taken, sizeof(taken));

    for (step = 1; step <= STEPS; step++) {

        /* a few keys more often than others */

        n = unit_below(2) ? unit_below(KEYS) : unit_below(KEYS / 4);
        give = unit_below(5) == 0;
        unit_key(key, n);

        if (give) {
            prov_limit_give(&zone, key, &room);

            if (used[n]) {
                used[n] = step;
                taken[n] -= (taken[n] > 0);
            }

            continue;
        }

        if (used[n] == 0) {

            for (i = 0, live = 0, oldest = KEYS; i < KEYS; i++) {
                live += (used[i] > 0);

                if (used[i]
                    && (oldest == KEYS || used[i] < used[oldest]))
                {
                    oldest = i;
                }
            }

            if (live == ROOMS) {
                used[oldest] = 0;
            }

            taken[n] = 0;
        }

        used[n] = step;
        rc = prov_limit_take(&zone, key, &room);

        if ((rc == NGX_OK) != (taken[n] < 10)) {
            break;
        }

        taken[n] += (rc == NGX_OK);

        if (room.remaining != 10 - taken[n]) {
            break;
        }
    }

    unit_result(step > STEPS,
                "a full zone forgets who was not seen for longest, and "
                "nobody else");
}


static void
test_reload(void)
{
    u_char              key[PROV_LIMIT_KEY];
    ngx_shm_zone_t      shm;
    prov_limit_room_t   room;
    prov_limit_zone_t   zone, next;

    unit_zone(&zone, &shm, 0, 5);
    unit_key(key, 1);

    unit_result(prov_limit_take(&zone, key, &room) == NGX_DECLINED,
                "a zone without memory for a single bucket counts nothing");

    unit_zone(&zone, &shm, 4, 5);
    (void) prov_limit_take(&zone, key, &room);

    next = zone;
    next.slab = NULL;
    next.shared = NULL;
    prov_limit_rate_set(&next.rate, 1, 1000, 8);
    shm.data = &next;

    unit_result(prov_limit_zone_init(&shm, &zone) == NGX_OK
                && prov_limit_take(&next, key, &room) == NGX_OK
                && room.remaining == 6,
                "a zone of the next configuration goes on with the buckets");
}


int
main(int argc, char **argv)
{
    unit_seed((argc > 1) ? argv[1] : "0");

    test_processes();
    test_forgetting();
    test_reload();

    return unit_end();
}
