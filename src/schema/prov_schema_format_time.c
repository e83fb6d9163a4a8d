/*
 * Dates, times and durations of RFC 3339, narrowed where PostgreSQL's types
 * end, so that what passes here does not fail there: years from 0001, offsets
 * of a date-time below 16 hours, numbers of a duration up to eight digits.
 */

#include "schema/prov_schema_format.h"


/* the longest fraction that is still a time to PostgreSQL has some more */
#define PROV_SCHEMA_FRACTION     30
#define PROV_SCHEMA_DURATION     8

/* hours; PostgreSQL manual, "Date/Time Types": MAX_TZDISP_HOUR */
#define PROV_SCHEMA_MAX_OFFSET   15


static ngx_uint_t prov_schema_digits(u_char *text, size_t n,
    ngx_uint_t *value);
static ngx_uint_t prov_schema_clock(u_char *text, size_t len,
    ngx_uint_t max_offset);
static u_char *prov_schema_offset(u_char *p, u_char *last,
    ngx_int_t *minutes, ngx_uint_t max_offset);
static u_char *prov_schema_units(u_char *p, u_char *last, const char *units);


/* full-date */

ngx_uint_t
prov_schema_format_date(u_char *text, size_t len)
{
    ngx_uint_t  year, month, day, days;

    static ngx_uint_t  lengths[] = { 31, 28, 31, 30, 31, 30,
                                     31, 31, 30, 31, 30, 31 };

    if (len != sizeof("2025-01-31") - 1
        || text[4] != '-' || text[7] != '-'
        || !prov_schema_digits(text, 4, &year)
        || !prov_schema_digits(text + 5, 2, &month)
        || !prov_schema_digits(text + 8, 2, &day))
    {
        return 0;
    }

    if (year == 0 || month == 0 || month > 12) {
        return 0;
    }

    days = lengths[month - 1];

    if (month == 2
        && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
    {
        days++;
    }

    return day > 0 && day <= days;
}


/* date-time */

ngx_uint_t
prov_schema_format_date_time(u_char *text, size_t len)
{
    return len > 11
           && (text[10] == 'T' || text[10] == 't')
           && prov_schema_format_date(text, 10)
           && prov_schema_clock(text + 11, len - 11, PROV_SCHEMA_MAX_OFFSET);
}


/* full-time */

ngx_uint_t
prov_schema_format_time(u_char *text, size_t len)
{
    return prov_schema_clock(text, len, 23);
}


static ngx_uint_t
prov_schema_clock(u_char *text, size_t len, ngx_uint_t max_offset)
{
    u_char      *p, *last;
    ngx_int_t    offset, utc;
    ngx_uint_t   hour, minute, second;

    if (len < sizeof("12:30:00Z") - 1
        || text[2] != ':' || text[5] != ':'
        || !prov_schema_digits(text, 2, &hour)
        || !prov_schema_digits(text + 3, 2, &minute)
        || !prov_schema_digits(text + 6, 2, &second)
        || hour > 23 || minute > 59 || second > 60)
    {
        return 0;
    }

    p = text + 8;
    last = text + len;

    if (*p == '.') {
        for (p++; p < last && prov_schema_is_digit(*p); p++) { /* void */ }

        if (p == text + 9 || p - text > 9 + PROV_SCHEMA_FRACTION) {
            return 0;
        }
    }

    p = prov_schema_offset(p, last, &offset, max_offset);

    if (p != last) {
        return 0;
    }

    if (second < 60) {
        return 1;
    }

    /* a leap second is the last one of a day in UTC (RFC 3339, 5.7) */

    utc = (ngx_int_t) (hour * 60 + minute) - offset;
    utc = (utc + 2 * 1440) % 1440;

    return utc == 1439;
}


/* returns NULL unless "Z" or "+hh:mm" stands at p */

static u_char *
prov_schema_offset(u_char *p, u_char *last, ngx_int_t *minutes,
    ngx_uint_t max_offset)
{
    ngx_uint_t  hour, minute;

    if (p < last && (*p == 'Z' || *p == 'z')) {
        *minutes = 0;
        return p + 1;
    }

    if (last - p < (ssize_t) sizeof("+00:00") - 1
        || (*p != '+' && *p != '-')
        || p[3] != ':'
        || !prov_schema_digits(p + 1, 2, &hour)
        || !prov_schema_digits(p + 4, 2, &minute)
        || hour > max_offset || minute > 59)
    {
        return NULL;
    }

    *minutes = (ngx_int_t) (hour * 60 + minute);

    if (*p == '-') {
        *minutes = -*minutes;
    }

    return p + 6;
}


/* RFC 3339, appendix A: no fractions, no gap between units, weeks alone */

ngx_uint_t
prov_schema_format_duration(u_char *text, size_t len)
{
    u_char  *p, *q, *last;

    last = text + len;

    if (len < 3 || *text != 'P') {
        return 0;
    }

    p = text + 1;

    q = prov_schema_units(p, last, "W");
    if (q == last) {
        return 1;
    }

    if (*p != 'T') {
        q = prov_schema_units(p, last, "YMD");

        if (q == NULL || q == last) {
            return q == last;
        }

        p = q;
    }

    return *p == 'T' && prov_schema_units(p + 1, last, "HMS") == last;
}


/*
 * One or more "<digits><unit>" with neighbouring units in this order; returns
 * where it ends, or NULL when there is none.
 */

static u_char *
prov_schema_units(u_char *p, u_char *last, const char *units)
{
    u_char      *start, *end;
    const char  *unit;

    end = NULL;
    unit = units;

    while (p < last) {

        for (start = p; p < last && prov_schema_is_digit(*p); p++) {
            /* void */
        }

        if (p == start) {
            break;
        }

        if (p == last || p - start > PROV_SCHEMA_DURATION) {
            return NULL;
        }

        if (end == NULL) {
            /* any of them may begin */
            for ( /* void */ ; *unit && *unit != *p; unit++) { /* void */ }
        }

        if (*unit == '\0' || *unit != *p) {
            return NULL;
        }

        unit++;
        end = ++p;
    }

    return end;
}


static ngx_uint_t
prov_schema_digits(u_char *text, size_t n, ngx_uint_t *value)
{
    *value = 0;

    while (n--) {
        if (!prov_schema_is_digit(*text)) {
            return 0;
        }

        *value = *value * 10 + (*text++ - '0');
    }

    return 1;
}
