/*
 * One "$ref": which file and which piece of it are meant, and what the
 * bundled document says instead.  A piece of another file is copied to the
 * root's components, once, under a name nobody else has.  Called by the walk
 * for each reference; never follows it.
 */

#include "openapi/prov_openapi_load.h"


/* RFC 3986, section 3.5: what a fragment may contain as it is */
#define PROV_OPENAPI_FRAGMENT  PROV_OPENAPI_NAME_CHARS "~!$&'()*+,;=:@/?"


static ngx_int_t prov_openapi_ref_alone(prov_openapi_load_t *load,
    prov_openapi_kind_e kind, prov_openapi_at_t *at);
static ngx_int_t prov_openapi_ref_split(prov_openapi_load_t *load,
    prov_openapi_at_t *ref, ngx_str_t *name, ngx_str_t *fragment);
static ngx_int_t prov_openapi_ref_decode(prov_openapi_load_t *load,
    prov_openapi_at_t *ref, ngx_str_t *part);
static ngx_uint_t prov_openapi_ref_scheme(ngx_str_t *text);
static ngx_int_t prov_openapi_ref_file(prov_openapi_load_t *load,
    prov_openapi_at_t *ref, ngx_str_t *name, ngx_uint_t *file);
static ngx_int_t prov_openapi_ref_move(prov_openapi_load_t *load,
    prov_openapi_kind_e kind, ngx_uint_t file, prov_openapi_at_t *target,
    prov_openapi_at_t *ref, ngx_str_t *to);
static ngx_int_t prov_openapi_ref_name(prov_openapi_load_t *load,
    prov_openapi_moved_t *moved);
static ngx_uint_t prov_openapi_ref_taken(prov_openapi_load_t *load,
    prov_openapi_moved_t *moved);
static ngx_int_t prov_openapi_ref_write(prov_openapi_load_t *load,
    prov_openapi_at_t *at, ngx_str_t *to);


/* Replaces the "$ref" of the object at with one into the bundled document. */

ngx_int_t
prov_openapi_ref(prov_openapi_load_t *load, prov_openapi_kind_e kind,
    prov_openapi_at_t *at)
{
    ngx_int_t             rc;
    ngx_str_t             name, fragment, to;
    ngx_uint_t            file;
    prov_openapi_at_t     ref, target;
    prov_openapi_ref_t   *noted;
    prov_openapi_file_t  *files;

    if (prov_openapi_ref_alone(load, kind, at) != NGX_OK
        || prov_openapi_member(load, at, "$ref", &ref) != NGX_OK
        || prov_openapi_ref_split(load, &ref, &name, &fragment) != NGX_OK
        || prov_openapi_ref_file(load, &ref, &name, &file) != NGX_OK)
    {
        return NGX_ERROR;
    }

    files = load->files.elts;

    rc = prov_openapi_find(load, files[file].json, &fragment, &target);

    if (rc == NGX_DECLINED) {
        return prov_openapi_fail(load, &ref.pointer,
                                 "there is nothing at \"#%V\" in \"%V\"",
                                 &fragment, &files[file].name);
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    to = fragment;

    if (file != 0
        && prov_openapi_ref_move(load, kind, file, &target, &ref, &to)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    noted = ngx_array_push(&load->refs);
    if (noted == NULL) {
        return prov_openapi_no_memory(load);
    }

    noted->from = at->pointer;
    noted->to = to;
    noted->kind = kind;
    noted->ends = 0;

    if (file == 0 && name.len == 0) {
        return NGX_OK;
    }

    return prov_openapi_ref_write(load, at, &to);
}


/* Beside a schema's "$ref" keywords have a meaning, elsewhere they do not. */

static ngx_int_t
prov_openapi_ref_alone(prov_openapi_load_t *load, prov_openapi_kind_e kind,
    prov_openapi_at_t *at)
{
    json_t             *value;
    const char         *key;
    prov_openapi_at_t   child;

    if (kind == PROV_OPENAPI_K_SCHEMA) {
        return NGX_OK;
    }

    json_object_foreach(at->json, key, value) {

        if (strcmp(key, "$ref") == 0) {
            continue;
        }

        if (prov_openapi_child(load, at, key, value, &child) != NGX_OK) {
            return NGX_ERROR;
        }

        if (strcmp(key, "summary") == 0 || strcmp(key, "description") == 0) {

            if (prov_openapi_walk(load, PROV_OPENAPI_K_STRING, &child)
                != NGX_OK)
            {
                return NGX_ERROR;
            }

            continue;
        }

        return prov_openapi_fail(load, &child.pointer,
                                 "\"%s\" has no effect beside a \"$ref\": "
                                 "write it where the reference leads", key);
    }

    return NGX_OK;
}


static ngx_int_t
prov_openapi_ref_split(prov_openapi_load_t *load, prov_openapi_at_t *ref,
    ngx_str_t *name, ngx_str_t *fragment)
{
    u_char     *p;
    ngx_str_t   text;

    text = prov_openapi_string(ref->json);

    if (text.len == 0) {
        return prov_openapi_fail(load, &ref->pointer,
                                 "\"$ref\" must be a string like \"#/...\" "
                                 "or \"file.json#/...\"");
    }

    if (prov_openapi_ref_scheme(&text)) {
        return prov_openapi_fail(load, &ref->pointer,
                                 "\"%V\" is a URL, and nothing is fetched: "
                                 "save the document beside this one and "
                                 "refer to the file", &text);
    }

    p = ngx_strlchr(text.data, text.data + text.len, '#');

    *name = text;
    ngx_str_set(fragment, "");

    if (p) {
        name->len = p - text.data;
        fragment->data = p + 1;
        fragment->len = text.data + text.len - (p + 1);
    }

    if (name->len && name->data[0] == '/') {
        return prov_openapi_fail(load, &ref->pointer,
                                 "\"%V\" is not relative: name the file as "
                                 "seen from the one that refers to it",
                                 &text);
    }

    if (fragment->len && fragment->data[0] != '/') {
        return prov_openapi_fail(load, &ref->pointer,
                                 "\"#%V\" is an anchor: write a JSON pointer "
                                 "like \"#/components/schemas/...\"",
                                 fragment);
    }

    if (prov_openapi_ref_decode(load, ref, name) != NGX_OK) {
        return NGX_ERROR;
    }

    return prov_openapi_ref_decode(load, ref, fragment);
}


/* RFC 6901, section 6: a pointer in a fragment is percent-encoded. */

static ngx_int_t
prov_openapi_ref_decode(prov_openapi_load_t *load, prov_openapi_at_t *ref,
    ngx_str_t *part)
{
    u_char     *p, *d, *last;
    ngx_int_t   c;
    ngx_str_t   text;

    text = *part;

    if (prov_openapi_copy(load->temp, part, &text) != NGX_OK) {
        return prov_openapi_no_memory(load);
    }

    d = part->data;
    last = text.data + text.len;

    for (p = text.data; p < last; p++) {

        if (*p != '%') {
            *d++ = *p;
            continue;
        }

        c = (last - p > 2) ? ngx_hextoi(p + 1, 2) : NGX_ERROR;

        if (c <= 0) {
            return prov_openapi_fail(load, &ref->pointer,
                                     "\"%V\" has a \"%%\" that is not "
                                     "followed by the two hexadecimal digits "
                                     "of a character: write \"%%25\"",
                                     &text);
        }

        *d++ = (u_char) c;
        p += 2;
    }

    *d = '\0';
    part->len = d - part->data;

    return NGX_OK;
}


static ngx_uint_t
prov_openapi_ref_scheme(ngx_str_t *text)
{
    u_char  *p, c;
    size_t   n;

    p = text->data;

    if (text->len > 1 && p[0] == '/' && p[1] == '/') {
        return 1;
    }

    for (n = 0; n < text->len; n++) {

        c = p[n] | 0x20;

        if (c >= 'a' && c <= 'z') {
            continue;
        }

        if (n > 0 && p[n] == ':') {
            return 1;
        }

        if (n == 0 || ((p[n] < '0' || p[n] > '9')
                       && p[n] != '+' && p[n] != '-' && p[n] != '.'))
        {
            return 0;
        }
    }

    return 0;
}


static ngx_int_t
prov_openapi_ref_file(prov_openapi_load_t *load, prov_openapi_at_t *ref,
    ngx_str_t *name, ngx_uint_t *file)
{
    u_char               *p;
    size_t                n;
    ngx_str_t             full, base;
    prov_openapi_file_t  *files;

    if (name->len == 0) {
        *file = load->file;
        return NGX_OK;
    }

    full = *name;

    while (full.len > 2 && full.data[0] == '.' && full.data[1] == '/') {
        full.data += 2;
        full.len -= 2;
    }

    files = load->files.elts;
    base = files[load->file].name;

    for (n = base.len; n > 0 && base.data[n - 1] != '/'; n--) { /* void */ }

    p = ngx_pnalloc(load->temp, n + full.len);
    if (p == NULL) {
        return prov_openapi_no_memory(load);
    }

    ngx_memcpy(p, base.data, n);
    ngx_memcpy(p + n, full.data, full.len);

    full.data = p;
    full.len += n;

    return prov_openapi_file(load, &full, &ref->pointer, file);
}


static ngx_int_t
prov_openapi_ref_move(prov_openapi_load_t *load, prov_openapi_kind_e kind,
    ngx_uint_t file, prov_openapi_at_t *target, prov_openapi_at_t *ref,
    ngx_str_t *to)
{
    json_t                *json;
    ngx_uint_t             i;
    prov_openapi_moved_t   piece, *moved;

    moved = load->moved.elts;

    for (i = 0; i < load->moved.nelts; i++) {

        if (moved[i].asked == file && moved[i].kind == kind
            && prov_openapi_compare(&moved[i].target, &target->pointer) == 0)
        {
            *to = moved[i].pointer;
            return NGX_OK;
        }
    }

    if (load->moved.nelts >= PROV_OPENAPI_MAX_COMPONENTS) {
        return prov_openapi_fail(load, &ref->pointer,
                                 "the document refers to more than %d pieces "
                                 "of other files: refer to larger ones",
                                 PROV_OPENAPI_MAX_COMPONENTS);
    }

    ngx_memzero(&piece, sizeof(prov_openapi_moved_t));

    piece.file = file;
    piece.kind = kind;
    piece.origin = target->pointer;
    piece.asked = file;
    piece.target = target->pointer;

    json = target->json;

    if (prov_openapi_ref_name(load, &piece) != NGX_OK
        || prov_openapi_replace(load, &piece, ref, &json) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* the original stays as it is: another reference may lead inside it */

    piece.json = json_deep_copy(json);

    if (piece.json == NULL
        || prov_json_give(load->temp, piece.json) != NGX_OK)
    {
        return prov_openapi_no_memory(load);
    }

    moved = ngx_array_push(&load->moved);
    if (moved == NULL) {
        return prov_openapi_no_memory(load);
    }

    *moved = piece;
    *to = piece.pointer;

    return NGX_OK;
}


/*
 * The component is called as the piece was, or as its file; "_2", "_3" … are
 * appended while that name is taken.
 */

static ngx_int_t
prov_openapi_ref_name(prov_openapi_load_t *load, prov_openapi_moved_t *moved)
{
    size_t                n, stem;
    u_char               *p, c;
    ngx_str_t             text;
    ngx_uint_t            i;
    const char           *section;
    prov_openapi_file_t  *files;

    text = moved->origin;

    if (text.len == 0) {
        files = load->files.elts;
        text = files[moved->file].name;

        if (text.len > 5
            && ngx_strncmp(text.data + text.len - 5, ".json", 5) == 0)
        {
            text.len -= 5;
        }
    }

    for (n = text.len; n > 0 && text.data[n - 1] != '/'; n--) { /* void */ }

    text.data += n;
    text.len = ngx_min(text.len - n, PROV_OPENAPI_MAX_LITERAL);

    section = prov_openapi_grammar[moved->kind].section;
    stem = sizeof("/components//") - 1 + ngx_strlen(section);

    p = ngx_pnalloc(load->temp, stem + text.len + 1 + NGX_INT_T_LEN + 1);
    if (p == NULL) {
        return prov_openapi_no_memory(load);
    }

    moved->pointer.data = p;
    moved->name.data = p + stem;

    p = ngx_sprintf(p, "/components/%s/", section);

    for (n = 0; n < text.len; n++) {
        c = text.data[n];

        *p++ = strchr(PROV_OPENAPI_NAME_CHARS, c) ? c : '_';
    }

    if (n == 0) {
        *p++ = '_';
        n = 1;
    }

    *p = '\0';
    moved->name.len = n;

    for (i = 2; prov_openapi_ref_taken(load, moved); i++) {
        p = ngx_sprintf(moved->name.data + n, "_%ui", i);
        *p = '\0';
        moved->name.len = p - moved->name.data;
    }

    moved->pointer.len = stem + moved->name.len;

    if (json_object_set_new(load->names, (char *) moved->pointer.data,
                            json_true())
        != 0)
    {
        return prov_openapi_no_memory(load);
    }

    return NGX_OK;
}


static ngx_uint_t
prov_openapi_ref_taken(prov_openapi_load_t *load, prov_openapi_moved_t *moved)
{
    json_t  *section;

    section = json_object_get(json_object_get(load->root, "components"),
                              prov_openapi_grammar[moved->kind].section);

    return json_object_get(section, (char *) moved->name.data) != NULL
           || json_object_get(load->names, (char *) moved->pointer.data)
              != NULL;
}


static ngx_int_t
prov_openapi_ref_write(prov_openapi_load_t *load, prov_openapi_at_t *at,
    ngx_str_t *to)
{
    u_char  *p, *text;
    size_t   n;

    text = ngx_pnalloc(load->temp, 1 + to->len * 3);
    if (text == NULL) {
        return prov_openapi_no_memory(load);
    }

    p = text;
    *p++ = '#';

    for (n = 0; n < to->len; n++) {

        if (strchr(PROV_OPENAPI_FRAGMENT, to->data[n])) {
            *p++ = to->data[n];

        } else {
            p = ngx_sprintf(p, "%%%02xi", (ngx_int_t) to->data[n]);
        }
    }

    if (json_object_set_new(at->json, "$ref",
                            json_stringn((char *) text, p - text))
        != 0)
    {
        return prov_openapi_no_memory(load);
    }

    return NGX_OK;
}
