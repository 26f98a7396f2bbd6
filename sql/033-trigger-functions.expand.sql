-- Functions that run as the owner of the schema are for its own triggers. Anybody may use a function by default: a role could make a trigger
-- of a temporary table with one, and have the owner carry out what it likes. The right is asked for when a trigger is made, not when it
-- fires, so triggers that exist go on.
revoke execute on function audit_row(), audit_rows(), component_interrupted(), owe_notices() from public;
