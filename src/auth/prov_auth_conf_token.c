/*
 * The directives of provisioning_issuer that say what its tokens have in them:
 * who has issued them, for whom, signed with what, and which claims name the
 * caller, the partner and the roles.
 */

#include "auth/prov_auth_private.h"


char *
prov_auth_conf_iss(ngx_conf_t *cf, ngx_command_t *cmd, void *data)
{
    prov_auth_block_t *block = data;

    ngx_str_t  *value;

    value = cf->args->elts;

    if (value[1].len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "empty \"iss\": write what the issuer's tokens "
                           "have in their \"iss\"");
        return NGX_CONF_ERROR;
    }

    block->issuer->iss = value[1];

    return NGX_CONF_OK;
}


char *
prov_auth_conf_audience(ngx_conf_t *cf, ngx_command_t *cmd, void *data)
{
    prov_auth_block_t *block = data;

    ngx_str_t   *value, *audience;
    ngx_uint_t   i;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (value[i].len == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "empty \"audience\": write one that the "
                               "issuer's tokens have in their \"aud\"");
            return NGX_CONF_ERROR;
        }

        audience = ngx_array_push(&block->issuer->audiences);
        if (audience == NULL) {
            return NGX_CONF_ERROR;
        }

        *audience = value[i];
    }

    return NGX_CONF_OK;
}


char *
prov_auth_conf_algorithms(ngx_conf_t *cf, ngx_command_t *cmd, void *data)
{
    prov_auth_block_t *block = data;

    ngx_str_t        *value, known;
    ngx_uint_t        i;
    prov_auth_alg_e   alg;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        alg = prov_auth_alg_find(value[i].data, value[i].len);

        if (alg == PROV_AUTH_ALGS) {
            known = prov_auth_alg_names(cf->pool,
                                        PROV_AUTH_ALG(PROV_AUTH_ALGS) - 1);

            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "unknown algorithm \"%V\", expected some of "
                               "%V", &value[i], &known);
            return NGX_CONF_ERROR;
        }

        if (block->issuer->algorithms & PROV_AUTH_ALG(alg)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate algorithm \"%V\"", &value[i]);
            return NGX_CONF_ERROR;
        }

        block->issuer->algorithms |= PROV_AUTH_ALG(alg);
    }

    return NGX_CONF_OK;
}


/* subject_claim, partner_claim and roles_claim: name; */

char *
prov_auth_conf_claim(ngx_conf_t *cf, ngx_command_t *cmd, void *data)
{
    prov_auth_block_t *block = data;

    ngx_str_t   *value;
    ngx_uint_t   i, bad;

    value = cf->args->elts;

    bad = (value[1].len == 0 || value[1].len > PROV_AUTH_MAX_CLAIM);

    for (i = 0; i < value[1].len; i++) {
        bad |= (value[1].data[i] < 0x20 || value[1].data[i] == 0x7f
                || value[1].data[i] == '"');
    }

    if (bad) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid claim name \"%V\": it has 1 to %d bytes, "
                           "without control characters and quotes",
                           &value[1], PROV_AUTH_MAX_CLAIM);
        return NGX_CONF_ERROR;
    }

    *(ngx_str_t *) ((char *) block->issuer + cmd->offset) = value[1];

    return NGX_CONF_OK;
}


char *
prov_auth_conf_leeway(ngx_conf_t *cf, ngx_command_t *cmd, void *data)
{
    prov_auth_block_t *block = data;

    time_t      leeway;
    ngx_str_t  *value;

    value = cf->args->elts;

    leeway = ngx_parse_time(&value[1], 1);

    if (leeway == (time_t) NGX_ERROR || leeway > PROV_AUTH_MAX_LEEWAY) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid leeway \"%V\": write seconds, at most %d, "
                           "such as \"30s\"", &value[1],
                           PROV_AUTH_MAX_LEEWAY);
        return NGX_CONF_ERROR;
    }

    block->issuer->leeway = leeway;

    return NGX_CONF_OK;
}
