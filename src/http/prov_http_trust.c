/*
 * The certificates that TLS servers are judged by, read once while nginx reads
 * its configuration: parsing a bundle takes longer than a worker may stop.
 */

#include "http/prov_http_private.h"


#if (PROV_HAVE_CURL)

#include <openssl/err.h>
#include <openssl/x509_vfy.h>


static void prov_http_trust_cleanup(void *data);


ngx_int_t
prov_http_trust(ngx_conf_t *cf, prov_http_conf_t *conf)
{
    X509_STORE          *store;
    const char          *file, *reason;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    store = X509_STORE_new();
    if (store == NULL) {
        return NGX_ERROR;
    }

    cln->handler = prov_http_trust_cleanup;
    cln->data = store;

    /* libcurl's own defaults: what is in the file is trusted, whether it has
       signed itself or not */

    X509_STORE_set_flags(store, X509_V_FLAG_TRUSTED_FIRST
                                | X509_V_FLAG_PARTIAL_CHAIN);
    conf->trust = store;

    if (conf->trusted_certificate.len) {

        file = (char *) conf->trusted_certificate.data;

        if (X509_STORE_load_locations(store, file, NULL) != 1) {
            reason = ERR_reason_error_string(ERR_peek_last_error());

            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "trusted_certificate \"%s\" cannot be read "
                               "as a list of certificates in PEM (%s)", file,
                               reason ? reason : "no reason is known");
            ERR_clear_error();
            return NGX_ERROR;
        }

        return NGX_OK;
    }

    file = curl_version_info(CURLVERSION_NOW)->cainfo;

    if (file == NULL || X509_STORE_load_locations(store, file, NULL) != 1) {
        ERR_clear_error();

        /* reads what is there, and says nothing of what is not */
        (void) X509_STORE_set_default_paths(store);
        ERR_clear_error();

        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "no list of certificates in \"%s\": TLS servers "
                           "may not be believed (on Debian: apt-get install "
                           "ca-certificates), or \"trusted_certificate\" "
                           "says where one is", file ? file : "(nowhere)");
    }

    return NGX_OK;
}


static void
prov_http_trust_cleanup(void *data)
{
    X509_STORE_free(data);
}

#endif
