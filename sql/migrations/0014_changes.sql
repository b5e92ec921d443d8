-- Whoever listens on the channel incident_changes hears the id of each event that is appended, at its commit. Nothing
-- depends on it: what was not heard is read again by event id.

create function announce_events() returns trigger language plpgsql as $$
begin
    perform pg_notify('incident_changes', id::text) from appended;
    return null;
end
$$;

create trigger announce_events after insert on incident_events referencing new table as appended
    for each statement execute function announce_events();
