-- Who may call what: run by sql/migrate as prov_api, after the functions, in
-- the same transaction.  PUBLIC may nothing (see default privileges in
-- sql/bootstrap.sql).

grant execute on function
    prov.outcome(jsonb, jsonb, jsonb),
    prov.ready(jsonb, jsonb, jsonb),
    prov.refusal(jsonb, jsonb, jsonb),
    prov.attempts(jsonb, jsonb, jsonb),
    prov.api_key_find(jsonb, jsonb, jsonb),
    prov.api_key_used(jsonb, jsonb, jsonb),
    prov.token_bought(jsonb, jsonb, jsonb),
    prov.idempotency_begin(jsonb, jsonb, jsonb),
    prov.idempotency_end(jsonb, bytea, int, json, jsonb),
    prov.dry_run(jsonb, jsonb, jsonb, text, text),
    prov.dry_run_diff(jsonb),
    prov.validated(jsonb, jsonb, jsonb, text, text),
    prov.unvalidated(jsonb, int, json),
    prov.schema_version()
to prov_partner, prov_operator;

-- the entrances: to each surface its own, and no other

grant execute on function prov.enter(jsonb) to prov_partner;
grant execute on function prov.events_begin(jsonb, jsonb, jsonb)
    to prov_partner;
grant execute on function prov.operator_enter(jsonb) to prov_operator;

grant execute on all functions in schema partner to prov_partner;
grant execute on all functions in schema operator to prov_operator;

-- what a worker does after the answer

grant execute on function
    prov.jobs_claim(jsonb, jsonb, jsonb),
    prov.jobs_report(jsonb, jsonb, jsonb),
    prov.job_run(jsonb, jsonb, jsonb),
    prov.events_since(jsonb, jsonb, jsonb),
    prov.ready(jsonb, jsonb, jsonb),
    prov.schema_version()
to prov_worker;

grant execute on function
    prov.partner_add(text, text),
    prov.partner_set_status(text, text),
    prov.purge_expired(int),
    prov.operator_key_add(text, text[]),
    prov.operator_key_revoke(text)
to prov_owner;

-- what the last two call: they run with the rights of who calls them

grant execute on function
    prov.uuid7(),
    prov.api_key_secret(),
    prov.api_key_hash(text),
    prov.api_key_text(uuid, text)
to prov_owner;
