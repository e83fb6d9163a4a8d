-- How a tenant ends: how long a deleted one can be restored.


create or replace function prov.purge_after()
    returns interval
    language plpgsql stable
as $$
begin
    return coalesce(nullif(current_setting('prov.purge_after', true), ''),
                    '30 days');
end
$$;

comment on function prov.purge_after() is
    'How long a deleted tenant can be restored: 30 days, or what the setting '
    'prov.purge_after of the database or of the gateway''s role says.';
