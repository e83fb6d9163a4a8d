/*
 * What patterns may cost: a hostile one ends within bounds, an honest one is
 * not held up by them.  Prints TAP.
 */

#include "schema_cost.h"


static void
patterns_cost(void)
{
    cost_check("an exponential pattern is given up",
                 "{\"pattern\": \"^(a+)+$\"}", cost_text('a', 1000, "!"),
                 "pattern_limit", 2);

    cost_check("many texts for an exponential pattern are given up",
                 "{\"items\": {\"pattern\": \"^(a|a)*$\"}}",
                 cost_repeat(cost_text('a', 30, "!"), COST_LARGE),
                 "pattern_limit", 5);

    cost_check("a text too long for a pattern that is not linear is "
                 "refused",
                 "{\"pattern\": \"\\\\s+$\"}",
                 cost_text(' ', COST_LARGE, "x"), "pattern_limit", 2);

    cost_check("a search with a quadratic pattern ends",
                 "{\"pattern\": \"(?=.*x)(?=.*y).*\"}",
                 cost_text('a', 16000, ""), "pattern", 2);

    cost_check("a search with a cubic pattern ends",
                 "{\"pattern\": \"(a*)\\\\1[xz]\"}",
                 cost_text('a', 16000, ""), "pattern_limit", 5);

    cost_check("a pattern that is linear has no bound",
                 "{\"pattern\": \"^[a-z]+[0-9]?$\"}",
                 cost_text('a', COST_LARGE, "1"), NULL, 2);

    cost_check("a pattern without repetition searches a long text",
                 "{\"pattern\": \"\\\\S\"}",
                 cost_text(' ', COST_LARGE, "x"), NULL, 2);

    cost_check("a slug's pattern has room",
                 "{\"pattern\": \"^[a-z0-9]+(-[a-z0-9]+)*$\"}",
                 cost_text('a', 16000, "-b"), NULL, 2);

    cost_check("a pattern that needs more stack than the JIT has matches",
                 "{\"pattern\": \"^(?:[a-z]|-)*$\"}",
                 cost_text('a', 16000, ""), NULL, 2);

    cost_check("many honest texts for a pattern with repetition pass",
                 "{\"items\": {\"pattern\": \"^[a-z]+(-[a-z]+)*$\"}}",
                 cost_repeat(json_string("one-two-three"), COST_LARGE / 4),
                 NULL, 5);

    cost_check("a pattern that is given up does not satisfy \"not\"",
                 "{\"not\": {\"pattern\": \"^(a+)+$\"}}",
                 cost_text('a', 1000, "!"), "pattern_limit", 2);

    cost_check("a pattern that is given up does not decide \"if\"",
                 "{\"if\": {\"pattern\": \"^(a+)+$\"}, \"then\": false}",
                 cost_text('a', 1000, "!"), "pattern_limit", 2);

    cost_check("a pattern that is given up does not count as not contained",
                 "{\"contains\": {\"pattern\": \"^(a+)+$\"},"
                 " \"minContains\": 0, \"maxContains\": 1}",
                 cost_repeat(cost_text('a', 1000, "!"), 1),
                 "pattern_limit", 2);

    cost_check("a pattern that is given up decides no alternative",
                 "{\"anyOf\": [{\"pattern\": \"^(a+)+$\"}, true]}",
                 cost_text('a', 1000, "!"), "pattern_limit", 2);

    cost_check("a pattern that is given up decides none of one",
                 "{\"oneOf\": [{\"pattern\": \"^(a+)+$\"}, true]}",
                 cost_text('a', 1000, "!"), "pattern_limit", 2);

    cost_check("a name that a pattern gives up on is refused",
                 "{\"patternProperties\": {\"^(a+)+$\": false}}",
                 json_pack("{so}",
                           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!",
                           json_true()),
                 "pattern_limit", 2);

    cost_check("a caller's pattern is compiled within bounds",
                 "{\"items\": {\"format\": \"regex\"}}",
                 cost_repeat(json_string("((((((a{200}){200}){200}){200})"
                                           "{200}){200}|[\\S\\s\\S])"), 100),
                 "format", 5);

    cost_check("a caller's pattern has groups in groups up to a number",
                 "{\"format\": \"regex\"}", cost_text('(', 500, ""),
                 "format", 1);

    cost_check("a caller's pattern has a length",
                 "{\"format\": \"regex\"}", cost_text('a', 1001, ""),
                 "format", 1);
}


/* whether a pattern is taken for linear shows in whether length matters */

static void
patterns_linear(void)
{
    char         name[128], schema[256];
    ngx_uint_t   i;

    static struct {
        const char  *pattern;
        ngx_uint_t   linear;
    } patterns[] = {
        { "a", 1 },
        { "^a*$", 1 },
        { "^a{1,}?$", 1 },
        { "^a+b?$", 1 },
        { "^b*$|^a*$", 1 },
        { "^(?:a|b|c)a*$", 1 },
        { "^a?a?a?a?a?a?a*$", 1 },
        { "^a?a?a?a?a?a?a?a*$", 0 },
        { "^(?:a|b|c|d)(?:a|b|c|d)(?:a|b)a*$", 0 },
        { "^a*b*$", 0 },
        { "^a{0,9}a*$", 0 },
        { "a+", 0 },
        { "^(?:a)*$", 0 },
        { "^(?:a)?a*$", 0 },
        { "^(?=a)a*$", 0 },
        { "^(?!b)a*$", 0 },
        { "^(?<!b)a*$", 0 },
        { "^(a)\\\\1a*$", 0 },
        { "^(?<n>a)\\\\k<n>a*$", 0 },
        { NULL, 0 }
    };

    for (i = 0; patterns[i].pattern; i++) {

        snprintf(name, sizeof(name), "the pattern %s is %slinear",
                 patterns[i].pattern, patterns[i].linear ? "" : "not ");
        snprintf(schema, sizeof(schema), "{\"pattern\": \"%s\"}",
                 patterns[i].pattern);

        cost_check(name, schema, cost_text('a', 17000, ""),
                     patterns[i].linear ? NULL : "pattern_limit", 2);
    }
}


int
main(void)
{
    patterns_cost();
    patterns_linear();

    return unit_end();
}
