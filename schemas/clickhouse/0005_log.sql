-- What readers see: each event once, the first copy received. FINAL costs nothing once merged.
CREATE VIEW IF NOT EXISTS audit.log AS
SELECT *, search_text
FROM audit.events FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;
